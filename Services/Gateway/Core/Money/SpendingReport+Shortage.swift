public import ClusterModel
import Limits
public import Money

extension SpendingReport {
  /// The error for a plan that needs more than its hold. It names the ceiling with the least money.
  ///
  /// - Parameters:
  ///   - hold: money that the plan may spend. If the ceiling has more, other requests hold the rest.
  ///   - time: now, in milliseconds since 1970.
  /// - Returns: `nil` if neither a budget nor a balance applies to the key.
  public func shortage(hold: MicroCredits, at time: Int64) -> Failure? {
    guard let least = ceilings.min(by: { $0.remaining < $1.remaining }) else { return nil }
    return hold < least.remaining
      ? least.temporaryFailure(at: time)
      : least.failure("does not pay for this request", at: time)
  }

  /// Budgets and balance with the ids that the registry gives them.
  private var ceilings: [Ceiling] {
    var ceilings = budgets.map { budget -> Ceiling in
      let owner =
        switch budget.owner {
        case .organisation: "org"
        case .team: "team"
        case .key: "key"
        }
      let window = "\(budget.window.period.rawValue)-\(budget.window.kind.rawValue)"
      return Ceiling(
        id: CeilingID("\(owner)/\(budget.id)/\(window)"), remaining: budget.remaining,
        resetsAt: budget.resetsAt)
    }
    if let balance {
      ceilings.append(
        Ceiling(
          id: CeilingID("\(Ceiling.balancePrefix)\(balance.organisation)"),
          remaining: MicroCredits(balance.available.count.addingCapped(balance.held.count))))
    }
    return ceilings
  }
}
