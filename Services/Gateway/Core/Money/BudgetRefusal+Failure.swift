public import ClusterModel
import Limits
public import Money

extension BudgetRefusal {
  /// The error that the client receives. If a ceiling binds, the error names it.
  /// - Parameter time: now, in milliseconds since 1970.
  public func failure(at time: Int64) -> Failure {
    switch self {
    case .exhausted(let ceiling): ceiling.failure("does not pay for this request", at: time)
    case .outOfPatience(let ceiling?):
      ceiling.failure("is used up by requests that are still answered", at: time)
    case .outOfPatience(nil):
      Failure(
        .overloaded, "Too many requests of this key wait for its budget; ask again later.",
        retryAfter: .seconds(1))
    case .registryAway:
      Failure(
        .overloaded,
        "The registry, which keeps the budget of this key, does not answer; ask again later.",
        retryAfter: .seconds(1))
    case .queueIsFull:
      Failure(
        .overloaded, "Too many requests wait for their budgets; ask again later.",
        retryAfter: .seconds(1))
    case .keyRevoked: Failure(.invalidAPIKey, "The key was revoked.")
    case .repeated: Failure(.internalError, "a request's number was used twice")
    }
  }
}

extension Ceiling {
  /// Prefix of the ids of balances.
  private static let balancePrefix = "balance/"

  fileprivate func failure(_ problem: String, at time: Int64) -> Failure {
    let isBalance = id.name.hasPrefix(Self.balancePrefix)
    let subject =
      isBalance
      ? "The balance of organisation \(id.name.dropFirst(Self.balancePrefix.count))"
      : "The budget \(id)"
    let remedy =
      resetsAt.map { "It resets at \(UTCDate(milliseconds: $0))." } ?? "An admin can raise it."
    let wait = resetsAt.map { Duration.milliseconds(max(1_000, $0.subtractingCapped(time))) }
    return Failure(
      isBalance ? .insufficientBalance : .budgetExhausted,
      "\(subject) \(problem): \(remaining.credits) credits are left. \(remedy)", retryAfter: wait)
  }
}
