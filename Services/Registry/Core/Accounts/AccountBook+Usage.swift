internal import Access
internal import Limits
public import Money

extension AccountBook {
  /// Budgets, balance and spending of a key. An unknown key has no budgets and no balance.
  ///
  /// - Parameter time: milliseconds since 1970.
  public func spending(_ query: SpendingQuery, at time: Int64) -> SpendingReport {
    let today = DailyUsage.day(of: time)
    let days = Int64(min(max(query.days, 1), Limits.usageDays.value))
    let account = register.keys[query.key]?.account
    let owners = account.map { register.owners(key: query.key, account: $0) } ?? []
    return SpendingReport(
      key: query.key,
      budgets: owners.flatMap { owner in
        budgets.ceilings(of: owner).compactMap { budgets.use(of: $0, at: time) }
          .map { SpendingReport.Budget($0, of: owner) }
      },
      balance: account.flatMap { balance(ofPrepaid: $0.organisation) },
      rows: usage.rows(of: query.key, days: (today - days + 1)...today),
      firstDay: max(usage.firstDay, today - days + 1))
  }

  private func balance(ofPrepaid organisation: String) -> SpendingReport.Balance? {
    guard register.organisations[organisation]?.isPrepaid == true else { return nil }
    return SpendingReport.Balance(
      organisation: organisation, available: ledger.balance(of: .organisation(organisation)),
      held: ledger.balance(of: .holds(of: organisation)))
  }

  /// The largest spent parts of budgets, and the thresholds that budgets have reached, for metrics.
  public func budgetSummary(at time: Int64) -> BudgetSummary {
    BudgetSummary(budgets.uses(at: time))
  }
}

extension SpendingReport.Budget {
  fileprivate init(_ use: BudgetUse, of owner: BudgetOwner) {
    let (kind, id): (Owner, String) =
      switch owner {
      case .organisation(let id): (.organisation, id)
      case .team(let account): (.team, "\(account)")
      case .key(let id): (.key, id)
      }
    self.init(
      owner: kind, id: id, window: use.terms.window, amount: use.terms.amount,
      spent: use.spent, resetsAt: use.resetsAt)
  }
}
