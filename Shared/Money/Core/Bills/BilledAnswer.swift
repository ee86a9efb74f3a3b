public import ClusterModel
internal import Limits

/// One attempt of a host at an answer, with the facts that its pay depends on.
public struct BilledAttempt: Hashable, Sendable {
  public enum Role: String, Codable, CaseIterable, Sendable {
    /// Began the answer and delivered its part: to the end, until the client left, or until a
    /// faster host took over.
    case winner
    /// Took part in a race, and another host was first.
    case loser
    /// Resumed the answer of another host and delivered its part.
    case continued
    /// Host of the tier `fallback` that finished the answer of another host. A fallback host that
    /// began the answer is a winner.
    case fallback
    /// Broke off, stalled or sent an invalid answer, before or after its first token. A race winner
    /// that stalls is a failed host.
    case failed
  }

  public let host: HostID
  /// The host's price when the request was admitted.
  public let price: TokenPrice
  /// Tokens of the prompt, and all completion tokens that the host made.
  public let usage: TokenUsage
  /// Completion tokens that became part of the answer; repeated and dropped text does not count.
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

  /// Pay for delivered tokens, in full. Zero for losers and failed hosts.
  ///
  /// The prompt is paid once, to the winner: otherwise hosts would earn from each other's failures.
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

/// Outcome of one answer: the tokens that the client pays for, and the attempts that led to it.
///
/// For a request on the fast path it is the client's answer; for a plan there is one per task.
public struct BilledAnswer: Hashable, Sendable {
  /// Prompt tokens once, and completion tokens that reached the client. For a task of a plan, the
  /// tokens of its output.
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
