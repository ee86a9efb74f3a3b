public import ClusterModel
import HostModel
import Money
import Text

/// Maximum tokens of a request, for all its prompts and answers together.
///
/// Credits are converted at the highest price of the most expensive host that may be asked, so the
/// budget is kept on every host. If all these hosts are free, a budget in credits limits nothing.
/// If one of them may cost something and no price is stated, a budget in credits is refused. If the
/// client sets tokens and credits, the stricter limit applies.
public struct TokenBudget: Hashable, Sendable {
  public var tokens: Int
  /// How credits were converted. `nil` means that credits do not set the limit.
  public var bought: Purchase?
  /// Whether the money of the request's hold sets the limit.
  var isFromKeyBudget = false

  /// A conversion of credits to tokens.
  public struct Purchase: Hashable, Sendable {
    var credits: Int
    /// Highest price of the host, in millionths of a credit per million tokens. `nil` means that
    /// the host is not free and has no stated price, so that the credits buy an unknown number of
    /// tokens.
    var price: Int64?
    public var host: HostID
  }

  static let tokensOption = "tutti.budget.tokens"
  static let creditsOption = "tutti.budget.credits"

  /// - Parameter affordable: tokens that the request's hold of money pays. `nil` means no limit.
  /// - Returns: the budget. `nil` means no limit.
  public static func of(
    _ request: ClientRequest, table: HostTable, pools: HostPools = .all, affordable: Int?
  ) -> TokenBudget? {
    let own = of(request, table: table, pools: pools)
    // A refused budget stays, so that the client reads why.
    if let bought = own?.bought, bought.price == nil { return own }
    guard let affordable, affordable < own?.tokens ?? .max else { return own }
    return TokenBudget(tokens: affordable, isFromKeyBudget: true)
  }

  /// - Parameter pools: host pools of the client's key.
  /// - Returns: the budget. `nil` means no limit.
  public static func of(
    _ request: ClientRequest, table: HostTable, pools: HostPools = .all
  ) -> TokenBudget? {
    let options = request.options
    let own = options.budgetTokens.map { TokenBudget(tokens: $0) }
    guard let credits = options.budgetCredits else { return own }
    let hosts = table.hosts.filter { mayBeAsked($0, by: request, pools) }
    if let unpriced = hosts.filter({ $0.price == nil && !$0.isFree }).min(by: { $0.id < $1.id }) {
      return TokenBudget(
        tokens: 0, bought: Purchase(credits: credits, price: nil, host: unpriced.id))
    }
    guard let dearest = hosts.max(by: isCheaper), dearest.highestPrice > 0 else { return own }
    let exact =
      Int128(credits) * Int128(MicroCredits.perCredit) * tokensPerPrice
      / Int128(dearest.highestPrice)
    let tokens = min(Int(clamping: exact), OptionRanges.budget.upperBound)
    if let own, own.tokens <= tokens { return own }
    return TokenBudget(
      tokens: tokens,
      bought: Purchase(credits: credits, price: dearest.highestPrice, host: dearest.id))
  }

  private static let tokensPerPrice: Int128 = 1_000_000

  private static func isCheaper(_ left: Host, _ right: Host) -> Bool {
    (left.highestPrice, right.id) < (right.highestPrice, left.id)
  }

  /// Whether the host may be asked for the request. `true` for unreachable hosts, too, because they
  /// may return before the request ends.
  private static func mayBeAsked(
    _ host: Host, by request: ClientRequest, _ pools: HostPools
  ) -> Bool {
    let named = request.options.models
    let models: HostNeed.Models =
      if !GatewayRouting.ownModels.contains(request.model.name) {
        .oneOf([request.model])
      } else {
        named.isEmpty ? .anyChat : .oneOf(named)
      }
    let need = HostNeed(
      models, dataPolicy: request.options.dataPolicy, pools: pools, horizon: .later)
    return need.refusal(of: host) == nil
  }

  /// The option to name in errors about this budget.
  public var param: String { bought == nil ? Self.tokensOption : Self.creditsOption }

  /// Whether the failure is about a budget that the money of the request's hold sets.
  public func isAboutMoney(_ failure: Failure) -> Bool {
    isFromKeyBudget && failure.param == Self.tokensOption
  }

  /// Rewrites a budget failure for a limit in credits or money, because planner and dispatcher
  /// report tokens.
  ///
  /// - Parameter shortage: the error that names the ceiling which limits the hold. `nil` means that
  ///   the ceiling is not known, or that the hold is the highest that a plan may have.
  public func explained(_ failure: Failure, shortage: Failure? = nil) -> Failure {
    guard failure.param == Self.tokensOption else { return failure }
    var failure = failure
    if isFromKeyBudget {
      // Clients retry `budgetHeld` by themselves. If the plan has used tokens, a retry would cost
      // as much again.
      let hasUsedTokens = failure.code == .budgetExhausted
      let mayRetry = !hasUsedTokens || shortage?.code != .budgetHeld
      if mayRetry { failure.code = shortage?.code ?? .budgetExhausted }
      failure.param = nil
      failure.retryAfter = mayRetry ? shortage?.retryAfter : nil
      let limit = "The plan may take \(counted(tokens, "token")): \(failure.message)"
      failure.message = shortage.map { "\($0.message) \(limit)" } ?? limit
    }
    guard let bought else { return failure }
    failure.param = Self.creditsOption
    failure.message = "\(bought.sentence(tokens)): \(failure.message)"
    return failure
  }

  /// - Throws: an error if the credits do not buy a single token, or an unknown number of tokens.
  func check() throws(Failure) {
    guard tokens < 1, let bought else { return }
    guard let price = bought.price else {
      throw .invalid(
        param,
        "limits nothing at \(bought.host), which has no stated price: state it with "
          + "`tutti hosts set \(bought.host) --price IN/OUT`, or set \(Self.tokensOption) instead")
    }
    throw .invalid(
      param,
      "is \(bought.credits), which buys no token at \(bought.host), the most expensive host that "
        + "the request may use: it takes \(MicroCredits(price).credits) credits per million tokens")
  }
}

extension TokenBudget.Purchase {
  fileprivate func sentence(_ tokens: Int) -> String {
    "`\(TokenBudget.creditsOption)` of \(credits) buys \(counted(tokens, "token")) at \(host), the "
      + "most expensive host that the request may use"
      + (price.map { " (\(MicroCredits($0).credits) credits per million tokens)" } ?? "")
  }
}

extension Host {
  /// Price of the host's dearest tokens. 0 means free, or not stated.
  fileprivate var highestPrice: Int64 { price?.dearest ?? 0 }
}

extension ClientRequest {
  /// The body for a direct answer, with the answer's token limit lowered to the budget and to
  /// `affordable`. If neither applies or the limit already fits, the bytes are unchanged.
  /// - Parameter affordable: maximum tokens of one answer that the request's hold pays. `nil` means
  ///   no limit.
  /// - Throws: a failure if the budget does not cover the prompt and one token of each answer.
  public func body(
    within budget: TokenBudget?, affordable: Int? = nil
  ) throws(Failure) -> [UInt8] {
    guard let budget else { return affordable.map(limited) ?? body }
    try budget.check()
    let left = budget.tokens - promptTokens
    let each = endpoint == .embeddings ? 0 : left / answers
    guard endpoint == .embeddings ? left >= 0 : each >= 1 else {
      throw .invalid(
        budget.param,
        "is too small: it allows \(counted(budget.tokens, "token")), the prompt needs about "
          + "\(promptTokens)"
          + (endpoint == .embeddings ? "" : ", and an answer needs tokens, too"))
    }
    return endpoint == .embeddings ? body : limited(to: min(each, affordable ?? each))
  }

  /// - Parameter most: maximum tokens of one answer.
  private func limited(to most: Int) -> [UInt8] {
    if let place = statedLimits.insertion {
      let (name, number) = ("\"max_tokens\":", String(most))
      var edited: [UInt8] = []
      edited.reserveCapacity(body.count + name.utf8.count + number.utf8.count + 1)
      edited += body[..<place]
      edited += name.utf8
      edited += number.utf8
      edited.append(UInt8(ascii: ","))
      edited += body[place...]
      return edited
    }
    guard statedLimits.highest > most else { return body }
    // The body was validated on arrival.
    guard let scanner = try? JSONObjectScanner(body) else { return body }
    let given = StatedLimits.names.filter { name in
      scanner[name].map { $0.kind != .null } ?? false
    }
    let tooLarge = given.filter { name in
      guard let limit = scanner[name].flatMap(scanner.document.integer) else { return true }
      return !(0...most).contains(limit)
    }
    let changed = given.isEmpty ? ["max_tokens"] : tooLarge
    guard !changed.isEmpty else { return body }
    return scanner.edited(replacing: changed.map { (name: $0, json: JSON.integer(most).encoded) })
  }
}

/// The limits on the tokens of an answer that a request's body states.
struct StatedLimits: Sendable {
  /// `n_predict` is llama.cpp's own name for the limit.
  static let names = ["max_tokens", "max_completion_tokens", "n_predict"]

  /// Position of the body's first member, at which a limit can be inserted. `nil` means that the
  /// body already has a member with one of the `names`.
  var insertion: Int?
  /// The highest limit. A value that sets no limit counts as the largest number.
  var highest = 0
}
