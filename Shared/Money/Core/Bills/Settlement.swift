public import ClusterModel

/// A gateway's report of one request that has ended. The registry makes bill and payouts of it.
public struct Settlement: Hashable, Sendable {
  /// Amounts and the request's number, by which repeated reports are recognised.
  public var lease: LeaseSettlement
  /// The request's trace, for people.
  public var trace: String
  public var model: ModelID
  /// When the request was admitted, in milliseconds since 1970. Prices of this time apply.
  public var admittedAt: Int64
  /// The client's price at that time.
  public var price: TokenPrice
  /// One answer; for a plan, one per task.
  public var answers: [SettledAnswer]

  public init(
    lease: LeaseSettlement, trace: String, model: ModelID, admittedAt: Int64, price: TokenPrice,
    answers: [SettledAnswer]
  ) {
    self.lease = lease
    self.trace = trace
    self.model = model
    self.admittedAt = admittedAt
    self.price = price
    self.answers = answers
  }
}

/// Tokens of one answer, and the attempts that led to it.
public struct SettledAnswer: Hashable, Sendable {
  public var usage: TokenUsage
  public var attempts: [SettledAttempt]
  /// The client's price, if the answer's model has another one than the settlement. `nil` means
  /// the settlement's price.
  public var price: TokenPrice?

  public init(usage: TokenUsage, attempts: [SettledAttempt], price: TokenPrice? = nil) {
    self.usage = usage
    self.attempts = attempts
    self.price = price
  }
}

/// One attempt. The registry knows the host's price.
public struct SettledAttempt: Hashable, Sendable {
  public var host: HostID
  public var model: ModelID
  /// Tokens of the prompt, and all completion tokens that the host made.
  public var usage: TokenUsage
  /// Completion tokens that became part of the answer.
  public var contributed: Int64
  public var role: BilledAttempt.Role

  public init(
    host: HostID, model: ModelID, usage: TokenUsage, contributed: Int64, role: BilledAttempt.Role
  ) {
    self.host = host
    self.model = model
    self.usage = usage
    self.contributed = contributed
    self.role = role
  }
}
