/// A query to the registry for the spending of one key.
public struct SpendingQuery: Hashable, Sendable {
  /// Account of the key, `key/ID`.
  public var key: AccountID
  /// Number of UTC days that the rows cover, today included.
  public var days: Int

  public init(key: AccountID, days: Int) {
    self.key = key
    self.days = days
  }
}

/// Budgets, balance and spending of one key, from the registry's ledger.
public struct SpendingReport: Hashable, Sendable {
  /// A budget that the key's spending counts against.
  public struct Budget: Hashable, Sendable {
    public enum Owner: String, CaseIterable, Sendable {
      case organisation, team, key
    }

    public var owner: Owner
    /// Id of the organisation, the team or the key.
    public var id: String
    public var window: BudgetWindow
    public var amount: MicroCredits
    /// Credits that all keys of the owner spent in the present period.
    public var spent: MicroCredits
    /// Next time at which spent credits become available again, in milliseconds since 1970. `nil`
    /// means that no spending will expire.
    public var resetsAt: Int64?

    public init(
      owner: Owner, id: String, window: BudgetWindow, amount: MicroCredits, spent: MicroCredits,
      resetsAt: Int64?
    ) {
      self.owner = owner
      self.id = id
      self.window = window
      self.amount = amount
      self.spent = spent
      self.resetsAt = resetsAt
    }

    /// Credits that are not spent yet, at least 0. Running requests may hold a part of them.
    public var remaining: MicroCredits { amount.subtractingCapped(spent).orZero }
  }

  /// Balance of a prepaid organisation.
  public struct Balance: Hashable, Sendable {
    public var organisation: String
    /// Credits that are neither spent nor held by gateways.
    public var available: MicroCredits
    /// Credits in leases of gateways, for running and later requests.
    public var held: MicroCredits

    public init(organisation: String, available: MicroCredits, held: MicroCredits) {
      self.organisation = organisation
      self.available = available
      self.held = held
    }
  }

  public var key: AccountID
  /// Budgets that apply to the key. The organisation's come first, then the team's, then the key's
  /// own.
  public var budgets: [Budget]
  /// Balance of the organisation. `nil` means that the organisation does not pay before use.
  public var balance: Balance?
  /// Usage by day and model, the newest day first.
  public var rows: [DailyUsage.Row]
  /// First day that the rows cover completely.
  public var firstDay: Int64

  public init(
    key: AccountID, budgets: [Budget], balance: Balance?, rows: [DailyUsage.Row], firstDay: Int64
  ) {
    self.key = key
    self.budgets = budgets
    self.balance = balance
    self.rows = rows
    self.firstDay = firstDay
  }
}
