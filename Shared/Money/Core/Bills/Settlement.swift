public import ClusterModel

/// A gateway's report of one request that has ended. The registry computes bill and payouts from
/// it.
public struct Settlement: Hashable, Sendable {
  /// Amounts, and the number by which the registry recognises a repeated settlement.
  public var lease: LeaseSettlement
  /// Id of the request's trace, for people.
  public var trace: String
  public var model: ModelID
  /// Time of the request's admission, in milliseconds since 1970. Prices of this time apply.
  public var admittedAt: Int64
  /// The client's price at the admission.
  public var price: TokenPrice
  /// The answers: at most one for a direct answer, usually several for a plan.
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
  /// The client's price, if the answer's model has another price than the settlement. `nil` means
  /// the settlement's price.
  public var price: TokenPrice?

  public init(usage: TokenUsage, attempts: [SettledAttempt], price: TokenPrice? = nil) {
    self.usage = usage
    self.attempts = attempts
    self.price = price
  }
}

/// One attempt. The registry adds the price that the price book has for host and model.
public struct SettledAttempt: Hashable, Sendable {
  public var host: HostID
  public var model: ModelID
  /// Tokens of the prompt, and all completion tokens that the host made.
  public var usage: TokenUsage
  /// Completion tokens that became part of the answer.
  public var contributed: Int64
  public var role: BilledAttempt.Role
  /// The host's own price at the admission, which applies if the price book has none. `nil` means
  /// that the gateway does not know it, and the host's present price applies.
  public var hostPrice: TokenPrice?

  public init(
    host: HostID, model: ModelID, usage: TokenUsage, contributed: Int64, role: BilledAttempt.Role,
    hostPrice: TokenPrice? = nil
  ) {
    self.host = host
    self.model = model
    self.usage = usage
    self.contributed = contributed
    self.role = role
    self.hostPrice = hostPrice
  }
}
