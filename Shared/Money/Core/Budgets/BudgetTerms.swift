internal import Limits

/// Settings of a budget: an amount per period, and thresholds for warnings.
public struct BudgetTerms: Hashable, Codable, Sendable {
  public let amount: MicroCredits
  public let window: BudgetWindow
  /// Spent shares that cause a warning, in thousandths of the amount, ascending and without
  /// repeats.
  public let warnings: [Int]

  /// - Parameter warnings: spent shares that cause a warning, in thousandths of the amount, 1 …
  ///   1000, in any order.
  /// - Throws: `MoneyError.negative` for a negative amount, `.invalidWarnings` if there are too
  ///   many thresholds or one is out of range.
  public init(
    amount: MicroCredits, window: BudgetWindow, warnings: [Int] = []
  ) throws(MoneyError) {
    guard amount >= .zero else { throw .negative }
    guard warnings.count <= Limits.budgetWarnings.value,
      warnings.allSatisfy({ (1...1_000).contains($0) })
    else { throw .invalidWarnings }
    self.amount = amount
    self.window = window
    self.warnings = Set(warnings).sorted()
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      amount: members.decode(MicroCredits.self, forKey: .amount),
      window: members.decode(BudgetWindow.self, forKey: .window),
      warnings: members.decodeIfPresent([Int].self, forKey: .warnings) ?? [])
  }

  /// Whether spending has reached a threshold of `warnings`.
  public func isReached(_ threshold: Int, by spent: MicroCredits) -> Bool {
    spent > .zero
      && Int128(spent.count) * 1_000 >= Int128(amount.count) * Int128(threshold)
  }
}
