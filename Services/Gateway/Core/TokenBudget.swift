public import ClusterModel
import Text

/// What a request may spend, in tokens: prompts and answers of all that is done for it.
///
/// Credits count as the tokens that they buy at the dearest host that may be asked, so it does not
/// matter which of them is. Where every such host is free, credits limit nothing. With both options, the
/// stricter one is the budget.
public struct TokenBudget: Hashable, Sendable {
  public var tokens: Int
  /// Where the number comes from; nil: the client said it in tokens.
  public var bought: Purchase?

  /// Tokens for credits.
  public struct Purchase: Hashable, Sendable {
    public var credits: Int
    /// Of a million tokens.
    public var price: Int
    public var host: HostID
  }

  static let tokensOption = "tutti.budget.tokens"
  static let creditsOption = "tutti.budget.credits"

  /// More than any request can use, and sums of it stay numbers.
  private static let most = 1_000_000_000_000

  /// - Returns: nil: nothing limits it.
  public static func of(_ request: ClientRequest, table: HostTable) -> TokenBudget? {
    let options = request.options
    let own = options.budgetTokens.map { TokenBudget(tokens: $0) }
    guard let credits = options.budgetCredits,
      let dearest = table.hosts.filter({ mayBeAsked($0, by: request) }).max(by: isCheaper),
      dearest.pricePerMillion > 0
    else { return own }
    let (millionths, overflow) = credits.multipliedReportingOverflow(by: 1_000_000)
    let tokens = overflow ? Self.most : min(millionths / dearest.pricePerMillion, Self.most)
    if let own, own.tokens <= tokens { return own }
    return TokenBudget(
      tokens: tokens,
      bought: Purchase(credits: credits, price: dearest.pricePerMillion, host: dearest.id))
  }

  private static func isCheaper(_ left: Host, _ right: Host) -> Bool {
    (left.pricePerMillion, right.id) < (right.pricePerMillion, left.id)
  }

  /// Also a host that does not answer now: it may be back before the request is done.
  private static func mayBeAsked(_ host: Host, by request: ClientRequest) -> Bool {
    guard host.state != .suspended, host.trust >= request.options.dataPolicy else { return false }
    guard GatewayRouting.ownModels.contains(request.model.name) else {
      return host.offers(request.model)
    }
    let named = request.options.models
    return host.models.contains { named.isEmpty ? $0.id.looksLikeChat : named.contains($0.id) }
  }

  /// The option to blame when it does not suffice.
  public var param: String { bought == nil ? Self.tokensOption : Self.creditsOption }

  /// A failure that blames the budget, as the client who asked for it reads it: planner and dispatcher
  /// know it in tokens only.
  public func explained(_ failure: Failure) -> Failure {
    guard let bought, failure.param == Self.tokensOption else { return failure }
    var failure = failure
    failure.param = Self.creditsOption
    failure.message = "\(bought.sentence(tokens)): \(failure.message)"
    return failure
  }

  /// - Throws: credits that do not buy a single token.
  func check() throws(RequestProblem) {
    guard tokens < 1, let bought else { return }
    throw .invalid(
      param,
      "is \(bought.credits), which buys no token at \(bought.host), the dearest host that may "
        + "be asked: it takes \(bought.price) credits for a million")
  }
}

extension TokenBudget.Purchase {
  fileprivate func sentence(_ tokens: Int) -> String {
    "`\(TokenBudget.creditsOption)` of \(credits) buys \(counted(tokens, "token")) at \(host), the "
      + "dearest host that may be asked (\(price) credits for a million)"
  }
}

extension ClientRequest {
  /// The body as one model gets it, no part of a plan: with an answer as short as the budget wants it.
  /// Without a budget, and where it suffices, every byte is as it came.
  /// - Throws: `RequestProblem`: the budget does not cover the prompt and a token of each answer.
  public func body(within budget: TokenBudget?) throws(RequestProblem) -> [UInt8] {
    guard let budget else { return body }
    try budget.check()
    let left = budget.tokens - promptTokens
    let each = endpoint == .embeddings ? 0 : left / answers
    guard endpoint == .embeddings ? left >= 0 : each >= 1 else {
      throw .invalid(
        budget.param,
        "is too small: of \(counted(budget.tokens, "token")), the prompt takes about \(promptTokens)"
          + (endpoint == .embeddings ? "" : ", and an answer needs some, too"))
    }
    return endpoint == .embeddings ? body : limited(to: each)
  }

  /// - Parameter most: tokens of one answer.
  private func limited(to most: Int) -> [UInt8] {
    // It was checked when it came in.
    guard let scanner = try? JSONObjectScanner(body) else { return body }
    // llama.cpp has a name of its own for it.
    let names = ["max_tokens", "max_completion_tokens", "n_predict"]
    let given = names.filter { name in scanner[name].map { $0.kind != .null } ?? false }
    let tooLarge = given.filter { name in
      guard let limit = scanner[name].flatMap(scanner.document.integer) else { return true }
      return !(0...most).contains(limit)
    }
    let changed = given.isEmpty ? ["max_tokens"] : tooLarge
    guard !changed.isEmpty else { return body }
    return scanner.edited(replacing: changed.map { (name: $0, json: JSON.integer(most).encoded) })
  }
}
