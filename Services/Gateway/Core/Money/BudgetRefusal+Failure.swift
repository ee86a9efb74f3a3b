public import ClusterModel
import Limits
public import Money

extension BudgetRefusal {
  /// The error that the client receives. If a ceiling binds, the error names it.
  /// - Parameter time: now, in milliseconds since 1970.
  public func failure(at time: Int64) -> Failure {
    switch self {
    case .exhausted(let ceiling): ceiling.failure("does not pay for this request", at: time)
    case .outOfPatience(let ceiling?): ceiling.temporaryFailure(at: time)
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
  static let balancePrefix = "balance/"

  /// Wait before a retry if running requests hold the money. The request has waited before, and an
  /// answer takes some seconds.
  private static let temporaryWait = Duration.seconds(5)

  private var isBalance: Bool { id.name.hasPrefix(Self.balancePrefix) }

  private var subject: String {
    isBalance
      ? "The balance of organisation \(id.name.dropFirst(Self.balancePrefix.count))"
      : "The budget \(id)"
  }

  private var code: Failure.Code { isBalance ? .insufficientBalance : .budgetExhausted }

  /// Time until the ceiling resets, at least a second.
  private func wait(at time: Int64) -> Duration? {
    resetsAt.map { .milliseconds(max(1_000, $0.subtractingCapped(time))) }
  }

  /// The error for a request that the rest of the ceiling does not pay.
  func failure(_ problem: String, at time: Int64) -> Failure {
    let remedy =
      resetsAt.map { "It resets at \(UTCDate(milliseconds: $0))." } ?? "An admin can raise it."
    return Failure(
      code, "\(subject) \(problem): \(remaining.credits) credits are left. \(remedy)",
      retryAfter: wait(at: time))
  }

  /// The error for a request that lacks money only because running requests hold it. Its wait is
  /// short, because the money may be free long before the ceiling resets.
  func temporaryFailure(at time: Int64) -> Failure {
    Failure(
      .budgetHeld,
      "\(subject) has \(remaining.credits) credits that are not spent, and running requests hold "
        + "those that this request needs. Try again in a few seconds.",
      retryAfter: min(Self.temporaryWait, wait(at: time) ?? Self.temporaryWait))
  }
}
