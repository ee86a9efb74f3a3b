public import Access
public import Money

/// Account that a budget belongs to.
public enum BudgetOwner: Hashable, Sendable {
  case organisation(String)
  case team(AccountPath)
  case key(String)
}

/// Names a budget ceiling or a prepaid balance, for example `org/acme/month-calendar`.
extension CeilingID {
  static func balance(of organisation: String) -> CeilingID {
    CeilingID("balance/\(organisation)")
  }

  static func budget(of owner: BudgetOwner, _ window: BudgetWindow) -> CeilingID {
    let prefix =
      switch owner {
      case .organisation(let id): "org/\(id)"
      case .team(let account): "team/\(account)"
      case .key(let id): "key/\(id)"
      }
    return CeilingID("\(prefix)/\(window.period.rawValue)-\(window.kind.rawValue)")
  }
}

/// A warning threshold of a budget that spending has crossed.
public struct CrossedThreshold: Hashable, Sendable {
  public let ceiling: CeilingID
  /// Thousandths of the budget's amount.
  public let threshold: Int
  public let amount: MicroCredits
  public let spent: MicroCredits
}

/// A budget with its spending in the present period.
struct BudgetUse: Sendable {
  let ceiling: CeilingID
  let terms: BudgetTerms
  let spent: MicroCredits
  private let budget: SpendingBudget
  private let time: Int64

  init(_ ceiling: CeilingID, _ budget: SpendingBudget, at time: Int64) {
    self.ceiling = ceiling
    self.budget = budget
    self.time = time
    terms = budget.terms
    spent = budget.spent(at: time)
  }

  /// Time at which spent credits become available again. `nil` means that no spending will expire.
  var resetsAt: Int64? { budget.resets(at: time) }
}

/// All budgets with their spending.
///
/// Money in leases of gateways is not counted here, because `LeaseIssuer` subtracts it.
struct BudgetTable: Sendable {
  struct Entry {
    var budget: SpendingBudget
    let afterPosition: Int64

    /// Counts a charge against the budget. Returns the thresholds that spending crossed.
    ///
    /// - Parameter expiry: time at which spending of the budget expires next. It is updated.
    mutating func spend(
      _ charged: MicroCredits, of id: CeilingID, at time: Int64, expiry: inout Int64?
    ) -> [CrossedThreshold] {
      // A charge that would raise the sum above 64 bits is not counted.
      let thresholds = (try? budget.spend(charged, at: time)) ?? []
      // An expiry that is already due stays due until the next tick.
      expiry = min(expiry ?? .max, budget.resets(at: time) ?? .max)
      guard !thresholds.isEmpty else { return [] }
      let spent = budget.spent(at: time)
      return thresholds.map {
        CrossedThreshold(
          ceiling: id, threshold: $0, amount: budget.terms.amount, spent: spent)
      }
    }
  }

  var entries: [CeilingID: Entry] = [:]
  private var ceilings: [BudgetOwner: [CeilingID]] = [:]
  /// Time at which spent credits of each budget become available again.
  var expiries: [CeilingID: Int64] = [:]

  var allCeilings: [CeilingID] { entries.keys.sorted() }

  /// All budgets with their spending, in no particular order.
  func uses(at time: Int64) -> [BudgetUse] {
    entries.map { BudgetUse($0.key, $0.value.budget, at: time) }
  }

  func ceilings(of owner: BudgetOwner) -> [CeilingID] { ceilings[owner] ?? [] }

  /// The ceiling that a budget sets: the credits that can still be spent. They are negative if an
  /// admin lowered the amount below the spending.
  func ceiling(_ id: CeilingID, at time: Int64) -> Ceiling? {
    guard let budget = entries[id]?.budget else { return nil }
    let spent = budget.spent(at: time)
    // Neither number is negative, so the difference fits into 64 bits.
    let remaining = MicroCredits(budget.terms.amount.count - spent.count)
    return Ceiling(id: id, remaining: remaining, resetsAt: budget.resets(at: time))
  }

  func use(of id: CeilingID, at time: Int64) -> BudgetUse? {
    entries[id].map { BudgetUse(id, $0.budget, at: time) }
  }

  func spent(_ id: CeilingID, at time: Int64) -> MicroCredits? {
    entries[id]?.budget.spent(at: time)
  }

  /// Replaces the budgets of an account. A budget keeps its spending if its window and its place in
  /// the ledger stay the same.
  mutating func set(_ records: [BudgetRecord], of owner: BudgetOwner) {
    let before = ceilings[owner] ?? []
    var ids: [CeilingID] = []
    for record in records {
      let id = CeilingID.budget(of: owner, record.terms.window)
      ids.append(id)
      if entries[id]?.afterPosition == record.afterPosition {
        // The earliest possible time does not move the budget's clock. Only transactions of the
        // ledger may move that clock, so that a replay ends with the same state.
        entries[id]?.budget.setTerms(record.terms, at: UTCDate.times.lowerBound)
      } else {
        entries[id] = Entry(
          budget: SpendingBudget(record.terms), afterPosition: record.afterPosition)
        expiries[id] = nil
      }
    }
    for id in before where !ids.contains(id) {
      entries[id] = nil
      expiries[id] = nil
    }
    ceilings[owner] = ids.isEmpty ? nil : ids
  }

  /// Counts the charge of one transaction against the budgets of `owners` that were made before it.
  mutating func spend(
    _ charged: MicroCredits, of owners: [BudgetOwner], position: Int64, at time: Int64
  ) -> [CrossedThreshold] {
    guard charged > .zero else { return [] }
    var crossed: [CrossedThreshold] = []
    for owner in owners {
      for id in ceilings[owner] ?? [] {
        guard let place = entries.index(forKey: id),
          position > entries.values[place].afterPosition
        else { continue }
        // The entry is changed in place, because a copy would copy the budget's buckets.
        crossed += entries.values[place].spend(charged, of: id, at: time, expiry: &expiries[id])
      }
    }
    return crossed
  }

  /// Makes all budgets follow a clock that was set back: see `SpendingBudget.setBack(to:)`.
  mutating func setBack(to time: Int64) {
    for id in entries.keys {
      entries[id]?.budget.setBack(to: time)
      if expiries[id] != nil { expiries[id] = entries[id]?.budget.resets(at: time) }
    }
  }

  /// Returns the budgets of which spending has expired, each once per expiry.
  mutating func takeExpired(at time: Int64) -> [CeilingID] {
    let due = expiries.filter { $0.value <= time }.keys.sorted()
    for id in due { expiries[id] = entries[id]?.budget.resets(at: time) }
    return due
  }
}
