import CProtobufC
import ClusterModel
import ClusterProto
import Limits
import Money

extension Arena {
  func spendingQuery(_ query: SpendingQuery) -> UnsafeMutablePointer<Tutti__V1__SpendingQuery> {
    let message = unsafe make(tutti__v1__spending_query__init)
    unsafe message.pointee.key = text(query.key.name)
    unsafe message.pointee.days = UInt32(clamping: query.days)
    return unsafe message
  }

  func spendingReport(
    _ report: SpendingReport
  ) -> UnsafeMutablePointer<Tutti__V1__SpendingReport> {
    let message = unsafe make(tutti__v1__spending_report__init)
    unsafe message.pointee.key = text(report.key.name)
    unsafe message.pointee.n_budgets = report.budgets.count
    unsafe message.pointee.budgets = array(report.budgets) { unsafe spendingBudget($0) }
    if let balance = report.balance {
      unsafe message.pointee.balance = spendingBalance(balance)
    }
    unsafe message.pointee.n_rows = report.rows.count
    unsafe message.pointee.rows = array(report.rows) { unsafe spendingRow($0) }
    unsafe message.pointee.first_day = report.firstDay
    return unsafe message
  }

  private func spendingBudget(
    _ budget: SpendingReport.Budget
  ) -> UnsafeMutablePointer<Tutti__V1__SpendingBudget>? {
    let message = unsafe make(tutti__v1__spending_budget__init)
    unsafe message.pointee.owner = text(budget.owner.rawValue)
    unsafe message.pointee.id = text(budget.id)
    unsafe message.pointee.period = text(budget.window.period.rawValue)
    unsafe message.pointee.window = text(budget.window.kind.rawValue)
    unsafe message.pointee.amount = budget.amount.count
    unsafe message.pointee.spent = budget.spent.count
    unsafe message.pointee.has_reset = budget.resetsAt == nil ? 0 : 1
    unsafe message.pointee.resets_at_ms = budget.resetsAt ?? 0
    return unsafe message
  }

  private func spendingBalance(
    _ balance: SpendingReport.Balance
  ) -> UnsafeMutablePointer<Tutti__V1__SpendingBalance> {
    let message = unsafe make(tutti__v1__spending_balance__init)
    unsafe message.pointee.organisation = text(balance.organisation)
    unsafe message.pointee.available = balance.available.count
    unsafe message.pointee.held = balance.held.count
    return unsafe message
  }

  private func spendingRow(
    _ row: DailyUsage.Row
  ) -> UnsafeMutablePointer<Tutti__V1__SpendingRow>? {
    let message = unsafe make(tutti__v1__spending_row__init)
    unsafe message.pointee.day = row.day
    unsafe message.pointee.model = text(row.model)
    unsafe message.pointee.requests = row.requests
    unsafe message.pointee.usage = billedTokens(row.usage)
    unsafe message.pointee.cost = row.cost.count
    return unsafe message
  }
}

extension SpendingQuery {
  init(wire message: Tutti__V1__SpendingQuery) throws(WireError) {
    self.init(
      key: AccountID(try unsafe String(wire: message.key, "SpendingQuery.key")),
      days: Int(unsafe message.days))
  }
}

extension SpendingReport {
  /// Maximum budgets of a report: those of an organisation, of a team and of a key.
  private static let maximumBudgets = 3 * Limits.accountBudgets.value
  /// Maximum rows of a report. Each day has a row per named model, and one for all other models.
  private static let maximumRows = Limits.usageDays.value * (Limits.usageModels.value + 1)

  init(wire message: Tutti__V1__SpendingReport) throws(WireError) {
    let budgets = unsafe message.n_budgets
    guard budgets <= Self.maximumBudgets else {
      throw .tooManyElements(limit: Self.maximumBudgets)
    }
    let rows = unsafe message.n_rows
    guard rows <= Self.maximumRows else { throw .tooManyElements(limit: Self.maximumRows) }
    self.init(
      key: AccountID(try unsafe String(wire: message.key, "SpendingReport.key")),
      budgets: try unsafe elements(budgets, message.budgets) { budget throws(WireError) in
        try unsafe Budget(wire: budget)
      },
      balance: unsafe message.balance == nil
        ? nil
        : try unsafe required(message.balance, "SpendingReport.balance") {
          balance throws(WireError) in
          Balance(
            organisation: try unsafe String(
              wire: balance.organisation, "SpendingBalance.organisation"),
            available: MicroCredits(unsafe balance.available),
            held: MicroCredits(unsafe balance.held))
        },
      rows: try unsafe elements(rows, message.rows) { row throws(WireError) in
        DailyUsage.Row(
          day: unsafe row.day, model: try unsafe String(wire: row.model, "SpendingRow.model"),
          requests: unsafe row.requests,
          usage: try unsafe tokenUsage(row.usage, "SpendingRow.usage"),
          cost: MicroCredits(unsafe row.cost))
      },
      firstDay: unsafe message.first_day)
  }
}

extension SpendingReport.Budget {
  fileprivate init(wire message: Tutti__V1__SpendingBudget) throws(WireError) {
    self.init(
      owner: try unsafe Owner(wire: message.owner, "SpendingBudget.owner"),
      id: try unsafe String(wire: message.id, "SpendingBudget.id"),
      window: BudgetWindow(
        try unsafe BudgetWindow.Kind(wire: message.window, "SpendingBudget.window"),
        try unsafe BudgetPeriod(wire: message.period, "SpendingBudget.period")),
      amount: MicroCredits(unsafe message.amount), spent: MicroCredits(unsafe message.spent),
      resetsAt: unsafe message.has_reset == 0 ? nil : unsafe message.resets_at_ms)
  }
}
