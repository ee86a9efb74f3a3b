internal import Access
public import ClusterModel
internal import Limits
public import Money

extension AccountBook {
  /// Checks a change, and returns the record to store. The caller stores the record and then sends
  /// it as `Event.record`, before any other event.
  public func record(
    for change: AccountChange, at time: Int64
  ) throws(AccountRefusal) -> AccountRecord {
    guard !isStale else { throw .stale }
    switch change {
    case .setOrganisation(let id, let name, let isPrepaid, let terms):
      guard AccountPath(organisation: id) != nil else { throw .invalidAccountID(id) }
      try checkName(name)
      let old = register.organisations[id]
      try register.checkRoom(for: old == nil)
      return .organisation(
        OrganisationRecord(
          id: id, name: name, isPrepaid: isPrepaid,
          budgets: try register.budgets(
            terms, replacing: old?.budgets ?? [], position: position)))
    case .setTeam(let account, let name, let terms):
      guard account.team != nil else { throw .invalidAccountID("\(account)") }
      guard register.organisations[account.organisation] != nil else {
        throw .unknownOrganisation(account.organisation)
      }
      try checkName(name)
      let old = register.teams[account]
      try register.checkRoom(for: old == nil)
      return .team(
        TeamRecord(
          account: account, name: name,
          budgets: try register.budgets(
            terms, replacing: old?.budgets ?? [], position: position)))
    case .setKeyBudgets(let key, let terms):
      try checkName(key)
      return .keyBudgets(
        KeyBudgetsRecord(
          key: key,
          budgets: try register.budgets(
            terms, replacing: register.keyBudgets[key]?.budgets ?? [], position: position)))
    case .addPrice(let row):
      for name in [row.model.name, row.host?.name].compactMap(\.self) { try checkName(name) }
      try checkPrices { tariff throws(PriceRowRefusal) in try tariff.add(row, now: time) }
      return .price(row)
    case .withdrawPrice(let row):
      do throws(PriceRowRefusal) {
        try tariff.book.checkWithdrawal(of: row, now: time)
      } catch {
        throw .price(error)
      }
      return .withdrawnPrice(row)
    case .setPayoutRule(let rule): return .payoutRule(rule)
    case .setUnknownPrice(let policy):
      // If models without a price become free, more aliases have a price, so the price table needs
      // more room.
      try checkPrices { tariff throws(PriceRowRefusal) in tariff.unknownPrice = policy }
      return .unknownPrice(policy)
    case .removeAccount(let account, let keys):
      let use = use(of: account, keys: keys)
      guard use.isEmpty else { throw .inUse(account, use) }
      return .removedAccount(account)
    }
  }

  /// Whether the book would be the same with a record. A key without a record of budgets counts as
  /// a key with an empty record.
  public func has(_ record: AccountRecord) -> Bool {
    switch record {
    case .organisation(let new): register.organisations[new.id] == new
    case .team(let new): register.teams[new.account] == new
    case .keyBudgets(let new): (register.keyBudgets[new.key]?.budgets ?? []) == new.budgets
    case .price(let row): tariff.book.contains(row)
    case .withdrawnPrice(let row): !tariff.book.contains(row)
    case .payoutRule(let rule): tariff.rule == rule
    case .unknownPrice(let policy): tariff.unknownPrice == policy
    case .removedAccount(let account):
      account.team == nil
        ? register.organisations[account.organisation] == nil : register.teams[account] == nil
    }
  }

  /// Checks that the price table of gateways has room for all prices if models get these aliases.
  public func check(aliases: [ModelID: [ModelID]]) throws(AccountRefusal) {
    try checkPrices { tariff throws(PriceRowRefusal) in tariff.aliases = aliases }
  }

  private func checkPrices(
    after change: (inout Tariff) throws(PriceRowRefusal) -> Void
  ) throws(AccountRefusal) {
    do throws(PriceRowRefusal) { try tariff.checkRoom(after: change) } catch { throw .price(error) }
  }

  /// Moves credits on an admin's order.
  ///
  /// - Parameter stored: the transaction in the store that has the transfer's id. The book
  ///   remembers only recent transactions. `nil` means that the store has none.
  /// - Returns: no directives if the same transfer was made before.
  public mutating func transfer(
    _ transfer: AdminTransfer, stored: LedgerTransaction? = nil, at time: AccountTime
  ) throws(AccountRefusal) -> [Directive] {
    guard !isStale else { throw .stale }
    try checkName(transfer.id)
    let time = steady(time)
    let transaction = try transaction(transfer, time: time.wall)
    if let stored {
      guard stored.kind == transaction.kind, stored.entries == transaction.entries else {
        throw .repeatedID(transfer.id)
      }
      return []
    }
    do throws(LedgerRefusal) {
      let posting = try ledger.check(transaction, isAbsentFromStore: true)
      guard posting == .posted else { return [] }
    } catch {
      switch error {
      case .conflict, .forgotten: throw .repeatedID(transfer.id)
      case .overdrawn(let account, let balance, _):
        throw .insufficient(account, balance: balance)
      case .overflow: throw .balanceTooLarge
      }
    }
    if case .payout(let amount, let host) = transfer.kind {
      let earned = ledger.balance(of: .host(host))
      guard amount <= earned else { throw .insufficient(.host(host), balance: earned) }
    }
    return perform(transaction, at: time)
  }

  /// Adds a checked transaction to the book. If that fails, the book becomes stale.
  private mutating func perform(
    _ transaction: LedgerTransaction, at time: AccountTime
  ) -> [Directive] {
    do throws(BookFault) {
      try post(transaction)
      for case .organisation(let id) in transaction.entries.map(\.account.kind) {
        try refreshBalance(of: id, at: time)
      }
    } catch {
      return handle(.writeFailed("\(error)"), at: time)
    }
    return takeDirectives()
  }

  private func transaction(
    _ transfer: AdminTransfer, time: Int64
  ) throws(AccountRefusal) -> LedgerTransaction {
    try check(transfer.kind)
    do throws(MoneyError) {
      let (kind, entries) = try transfer.kind.lines()
      return try LedgerTransaction(
        id: transfer.transactionID, kind: kind, time: time, entries: entries,
        note: TransferNote(author: transfer.author, remark: transfer.note).text)
    } catch {
      throw error == .oversized ? .tooLong : .invalidAmount
    }
  }

  private func check(_ kind: AdminTransfer.Kind) throws(AccountRefusal) {
    switch kind {
    case .credit(let amount, let organisation), .debit(let amount, let organisation):
      guard amount > .zero else { throw .invalidAmount }
      guard register.organisations[organisation] != nil else {
        throw .unknownOrganisation(organisation)
      }
    case .payout(let amount, let host):
      guard amount > .zero else { throw .invalidAmount }
      try check(.host(host))
    case .correction(let entries):
      guard !entries.isEmpty else { throw .invalidAmount }
      for entry in entries { try check(entry.account) }
    }
  }

  /// Checks an account that a correction or a payout names.
  private func check(_ account: AccountID) throws(AccountRefusal) {
    switch account.kind {
    case .organisation(let id) where register.organisations[id] != nil: break
    case .host(let id) where id.name.isLedgerName: break
    case .issued, .margin, .paid: break
    case .organisation, .host, .holds, nil: throw .invalidAccount(account)
    }
  }

  private func checkName(_ name: String) throws(AccountRefusal) {
    guard name.isLedgerName else { throw .invalidName(name) }
  }
}

extension AdminTransfer.Kind {
  fileprivate func lines() throws(MoneyError) -> (LedgerTransaction.Kind, [LedgerEntry]) {
    switch self {
    case .credit(let amount, let organisation):
      (.credit, try LedgerEntry.pair(amount, from: .issued, to: .organisation(organisation)))
    case .debit(let amount, let organisation):
      (.credit, try LedgerEntry.pair(amount, from: .organisation(organisation), to: .issued))
    case .payout(let amount, let host):
      (.payout, try LedgerEntry.pair(amount, from: .host(host), to: .paid))
    case .correction(let entries): (.correction, entries)
    }
  }
}
