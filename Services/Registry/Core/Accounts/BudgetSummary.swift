internal import Limits
public import Money

/// The largest spent parts of budgets, and the thresholds that budgets have reached, for metrics.
/// The number of rows is limited.
public struct BudgetSummary: Hashable, Sendable {
  public struct Share: Hashable, Sendable {
    public let ceiling: CeilingID
    /// Spent part of the budget's amount. It is above 1 if an admin lowered the amount below the
    /// spending.
    public let ratio: Double
  }

  public struct Threshold: Hashable, Sendable {
    /// Threshold in thousandths of a budget's amount. `nil` means all thresholds that have no row
    /// of their own.
    public let perMille: Int?
    /// Number of budgets that warn at this threshold and have reached it.
    public let reached: Int
  }

  /// Label of the thresholds that are counted together.
  public static let otherLabel = "other"

  /// The budgets with the largest spent parts, the largest first.
  public let largest: [Share]
  /// Thresholds that at least one budget has, the lowest first. If there are too many, the last row
  /// counts the highest ones together.
  public let thresholds: [Threshold]

  /// - Parameter capacity: maximum number of budgets, and of thresholds. `nil` means
  ///   `usage.budget_series`.
  init(_ budgets: [BudgetUse], capacity: Int? = nil) {
    let capacity = max(capacity ?? Limits.budgetSeries.value, 1)
    largest = Self.largest(budgets, capacity)
    var reached: [Int: Int] = [:]
    for budget in budgets {
      for threshold in budget.terms.warnings {
        let isReached = budget.terms.isReached(threshold, by: budget.spent)
        reached[threshold, default: 0] += isReached ? 1 : 0
      }
    }
    let sorted = reached.sorted { $0.key < $1.key }
    var thresholds = sorted.prefix(capacity).map {
      Threshold(perMille: $0.key, reached: $0.value)
    }
    if sorted.count > capacity {
      thresholds.append(
        Threshold(
          perMille: nil, reached: sorted.dropFirst(capacity).reduce(0) { $0 + $1.value }))
    }
    self.thresholds = thresholds
  }
}

extension BudgetSummary {
  /// The budgets with the largest spent part. There may be many thousands of budgets, and
  /// settlements wait for this function, so it does not sort all of them.
  private static func largest(_ budgets: [BudgetUse], _ capacity: Int) -> [Share] {
    func isLarger(_ left: Share, _ right: Share) -> Bool {
      (right.ratio, left.ceiling) < (left.ratio, right.ceiling)
    }
    var largest: [Share] = []
    for budget in budgets {
      let share = Share(ceiling: budget.ceiling, ratio: budget.terms.ratio(of: budget.spent))
      if largest.count >= capacity {
        guard let last = largest.last, isLarger(share, last) else { continue }
        largest.removeLast()
      }
      let place = largest.firstIndex { isLarger(share, $0) } ?? largest.count
      largest.insert(share, at: place)
    }
    return largest
  }
}

extension BudgetTerms {
  /// A budget of zero counts as fully spent.
  fileprivate func ratio(of spent: MicroCredits) -> Double {
    amount > .zero ? Double(spent.count) / Double(amount.count) : 1
  }
}
