public import ClusterModel
internal import Limits

/// One attempt of a host at an answer, with the facts that determine its pay.
public struct BilledAttempt: Hashable, Sendable {
  public enum Role: String, Codable, CaseIterable, Sendable {
    /// The host began the answer and delivered its part. The part ends with the answer, when the
    /// client leaves, or when a faster host takes over.
    case winner
    /// The host took part in a race, and another host was first.
    case loser
    /// The host resumed the answer of another host and delivered its part.
    case continued
    /// The host has the tier `fallback` and resumed the answer of another host. A fallback host
    /// that began the answer is a winner.
    case fallback
    /// The host broke off, stalled or sent an invalid answer, before or after its first token. A
    /// race winner that stalls counts as failed.
    case failed
  }

  public let host: HostID
  /// The host's price when the request was admitted.
  public let price: TokenPrice
  /// Tokens of the prompt, and all completion tokens that the host made.
  public let usage: TokenUsage
  /// Completion tokens that became part of the answer. Repeated and dropped text does not count.
  public let contributed: Int64
  public let role: Role

  /// - Throws: `MoneyError.invalidTokens` if `contributed` is outside 0 … `usage.completion`.
  public init(
    host: HostID, price: TokenPrice, usage: TokenUsage, contributed: Int64, role: Role
  ) throws(MoneyError) {
    guard (0...usage.completion).contains(contributed) else { throw .invalidTokens }
    self.host = host
    self.price = price
    self.usage = usage
    self.contributed = contributed
    self.role = role
  }

  /// Full pay for delivered tokens. Losers and failed hosts get none.
  ///
  /// Only the winner is paid for the prompt. Otherwise hosts would earn from each other's failures.
  func deliveryPay() throws(MoneyError) -> MicroCredits {
    switch role {
    case .winner:
      try price.cost(
        of: TokenUsage(
          prompt: usage.prompt, cached: usage.cached, completion: contributed))
    case .continued, .fallback: try price.cost(of: TokenUsage(prompt: 0, completion: contributed))
    case .loser, .failed: .zero
    }
  }
}

extension BilledAttempt.Role {
  /// Returns the tokens of an attempt with this role at one answer.
  ///
  /// Only the winner is paid for the prompt, and the answer's cached tokens were in the winner's
  /// cache. So an attempt with another role has no cached tokens.
  ///
  /// - Parameters:
  ///   - answer: tokens that the client pays for.
  ///   - made: all completion tokens that the host made. A negative count means none.
  public func usage(in answer: TokenUsage, made: Int64) -> TokenUsage {
    // This cannot fail, because no count is negative and at most the whole prompt is cached.
    let usage = try? TokenUsage(
      prompt: answer.prompt, cached: self == .winner ? answer.cached : 0,
      completion: max(0, made))
    return usage ?? .zero
  }
}

/// Outcome of one answer: the tokens that the client pays for, and the attempts that led to it.
///
/// On the fast path, it is the client's answer. A plan usually has several such answers.
public struct BilledAnswer: Hashable, Sendable {
  /// Prompt tokens, which count once, and completion tokens that reached the client. For an
  /// inference of a plan, the completion tokens are those that its task received.
  public let usage: TokenUsage
  /// The client's price when the request was admitted.
  public let price: TokenPrice
  public let attempts: [BilledAttempt]

  /// - Throws: `MoneyError.invalidOutcome` for two winners or too many attempts.
  public init(
    usage: TokenUsage, price: TokenPrice, attempts: [BilledAttempt]
  ) throws(MoneyError) {
    guard attempts.count <= Limits.billedAttempts.value,
      attempts.count(where: { $0.role == .winner }) <= 1
    else { throw .invalidOutcome }
    self.usage = usage
    self.price = price
    self.attempts = attempts
  }
}
