internal import Limits

extension SpendingBudget {
  /// Spending of a budget, for a checkpoint of the ledger.
  public struct Spending: Hashable, Codable, Sendable {
    let terms: BudgetTerms
    let buckets: [Bucket]
    let warned: [Warning]
    let clock: Int64

    /// Whether the same amounts expire at the same times. Warnings are not compared, because a
    /// change of the amount removes some of them.
    public func hasSameAmounts(as other: Spending) -> Bool {
      buckets == other.buckets && clock == other.clock
    }
  }

  public var spending: Spending {
    Spending(terms: terms, buckets: buckets, warned: warned, clock: clock)
  }

  /// Restores a budget with its spending. The amount and the warnings may have changed since, but
  /// not the window.
  public init(_ terms: BudgetTerms, restoring spending: Spending) throws(CheckpointFault) {
    let expiries = spending.buckets.map(\.expiry)
    let total = spending.buckets.reduce(Int128(0)) { $0 + Int128($1.amount.count) }
    guard spending.terms.window == terms.window,
      spending.buckets.count <= Int(BudgetWindow.bucketsPerPeriod) + 2,
      spending.warned.count <= Limits.budgetWarnings.value,
      UTCDate.times.contains(spending.clock),
      spending.buckets.allSatisfy({ $0.amount > .zero && $0.expiry > spending.clock }),
      zip(expiries, expiries.dropFirst()).allSatisfy({ $0 < $1 }), Int64(exactly: total) != nil
    else { throw CheckpointFault("the spending of a budget is impossible") }
    self.init(spending.terms)
    buckets = spending.buckets
    warned = spending.warned
    clock = spending.clock
    // A change of terms must not move the budget's clock, so the change is made at the earliest
    // time.
    if terms != spending.terms { setTerms(terms, at: UTCDate.times.lowerBound) }
  }
}
