/// All ceilings of a key: the budgets of its organisation, of its team and its own, and the
/// organisation's prepaid balance.
///
/// A value for one decision. The owner of the budgets makes it, and stores `levels` after a change.
public struct BudgetPath: Hashable, Sendable {
  /// A budget and its place in the path.
  public struct Level: Hashable, Sendable {
    public let ceiling: BudgetCeiling
    public fileprivate(set) var budget: SpendingBudget

    public init(_ ceiling: BudgetCeiling, _ budget: SpendingBudget) {
      self.ceiling = ceiling
      self.budget = budget
    }
  }

  /// Balance of a prepaid organisation in the ledger. Its holds are already subtracted.
  public struct Balance: Hashable, Sendable {
    public let organisation: String
    public fileprivate(set) var amount: MicroCredits

    public init(organisation: String, amount: MicroCredits) {
      self.organisation = organisation
      self.amount = amount
    }
  }

  /// A warning threshold that was crossed.
  public struct Warning: Hashable, Sendable {
    public let ceiling: BudgetCeiling
    /// Thousandths of the budget's amount.
    public let threshold: Int
  }

  public enum Decision: Hashable, Sendable {
    case granted
    /// Nothing was reserved at any level.
    case refused(CeilingRefusal)
  }

  /// From organisation to key. An account without a budget is absent.
  public private(set) var levels: [Level]
  /// `nil` means that the organisation does not pay in advance.
  public private(set) var balance: Balance?

  public init(levels: [Level], balance: Balance? = nil) {
    self.levels = levels
    self.balance = balance
  }

  /// Credits left under the lowest ceiling, at least 0. `nil` means that there is no ceiling.
  public func remaining(at time: Int64) -> MicroCredits? {
    binding(for: .zero, at: time)?.remaining
  }

  /// The lowest ceiling, if `needed` does not fit under it. `nil` means that it fits.
  public func refusal(of needed: MicroCredits, at time: Int64) -> CeilingRefusal? {
    guard let binding = binding(for: needed, at: time), needed > binding.remaining else {
      return nil
    }
    return binding
  }

  /// Reserves credits under all ceilings, or under none.
  ///
  /// - Throws: `MoneyError.negative` for a negative amount.
  public mutating func reserve(
    _ needed: MicroCredits, at time: Int64
  ) throws(MoneyError) -> Decision {
    guard needed >= .zero else { throw .negative }
    if let refusal = refusal(of: needed, at: time) { return .refused(refusal) }
    var reserved = levels
    for index in reserved.indices { try reserved[index].budget.reserve(needed) }
    // A balance below zero lets only free requests through.
    if let amount = balance?.amount { balance?.amount = try amount.subtracting(needed) }
    levels = reserved
    return .granted
  }

  /// Returns reserved credits that will not be spent, to all budgets and the balance.
  public mutating func release(_ amount: MicroCredits) throws(MoneyError) {
    _ = try settle(reserved: amount, spent: .zero, at: UTCDate.times.lowerBound)
  }

  /// Ends a reservation of which a part was spent, and returns the warnings that this caused.
  ///
  /// More may be spent than was reserved, for example by a settlement after its lease. The budgets
  /// record it. The balance pays no more than was reserved: the ledger charges the rest elsewhere.
  public mutating func settle(
    reserved: MicroCredits, spent: MicroCredits, at time: Int64
  ) throws(MoneyError) -> [Warning] {
    guard reserved >= .zero, spent >= .zero else { throw .negative }
    var settled = levels
    var warnings: [Warning] = []
    for index in settled.indices {
      try settled[index].budget.release(reserved)
      let crossed = try settled[index].budget.spend(spent, at: time)
      warnings += crossed.map { Warning(ceiling: settled[index].ceiling, threshold: $0) }
    }
    if let amount = balance?.amount, spent < reserved {
      balance?.amount = try amount.adding(try reserved.subtracting(spent))
    }
    levels = settled
    return warnings
  }

  /// The ceiling with the least left. Of two equal ones, the one that resets later.
  private func binding(for needed: MicroCredits, at time: Int64) -> CeilingRefusal? {
    var ceilings = levels.map { level in
      CeilingRefusal(
        ceiling: level.ceiling, window: level.budget.terms.window,
        amount: level.budget.terms.amount, remaining: level.budget.remaining(at: time),
        needed: needed, resets: level.budget.resets(at: time, needed: needed))
    }
    if let balance {
      ceilings.append(
        CeilingRefusal(
          ceiling: .balance(organisation: balance.organisation), window: nil,
          amount: balance.amount, remaining: max(.zero, balance.amount), needed: needed,
          resets: nil))
    }
    return ceilings.min { left, right in
      if left.remaining != right.remaining { return left.remaining < right.remaining }
      return left.resets ?? .max > right.resets ?? .max
    }
  }
}
