internal import Access
internal import ClusterModel
internal import Limits
internal import Money

extension AccountCheckpoint {
  /// Puts the checkpoint into a book that has all records and no transactions.
  ///
  /// - Parameter last: the ledger's transaction at `position`. If the checkpoint does not remember
  ///   this transaction, it belongs to another ledger and is refused.
  func restore(
    _ book: inout AccountBook, last: LedgerTransaction, now: Instant
  ) throws(CheckpointFault) {
    // Later transactions increase the position, which must not overflow.
    guard position > 0, position < Int64.max / 2, book.position == 0 else {
      throw CheckpointFault("its place is impossible")
    }
    let amounts = balances.map { ($0.account, $0.amount) }
    try book.ledger.restore(
      balances: Dictionary(amounts) { first, _ in first }, rememberedIDs: rememberedIDs)
    guard book.ledger.remembers(last) else {
      throw CheckpointFault("the ledger has another transaction at its place")
    }
    try book.issuer.restore(leases, now: now)
    try restore(&book.funds)
    try checkHolds(book)
    try book.budgets.restore(budgets, position: position)
    guard let usage = DailyUsage(restoring: usage) else {
      throw CheckpointFault("its usage of keys is impossible")
    }
    book.usage = usage
    book.clock = last.time
    book.position = position
  }

  private func restore(_ funds: inout LeaseFunds) throws(CheckpointFault) {
    let accounts = Dictionary(payers.map { ($0.lease, $0.account) }) { first, _ in first }
    for (id, lease) in leases.leases where lease.outstanding > .zero {
      guard let account = accounts["\(id)"] else {
        throw CheckpointFault("its lease \(id) has money of no account")
      }
      do throws(MoneyError) {
        try funds.add(lease.outstanding, to: id, key: lease.key, account: account)
      } catch {
        throw CheckpointFault("its lease \(id) has an impossible amount")
      }
    }
  }

  /// Checks that each organisation's holds are the sum of its leases.
  private func checkHolds(_ book: AccountBook) throws(CheckpointFault) {
    var sums: [AccountID: Int128] = [:]
    for (id, lease) in leases.leases {
      guard let payer = book.funds.account(of: id) else { continue }
      sums[.holds(of: payer.organisation), default: 0] += Int128(lease.outstanding.count)
    }
    let held = balances.map(\.account).filter { if case .holds = $0.kind { true } else { false } }
    for account in Set(held).union(sums.keys).sorted()
    where sums[account] ?? 0 != Int128(book.ledger.balance(of: account).count) {
      throw CheckpointFault("its \(account) is not the sum of its leases")
    }
  }
}

extension BudgetTable {
  /// Restores the spending of budgets that still exist.
  ///
  /// - Parameter position: place of the checkpoint in the ledger. A checkpoint that lacks an older
  ///   budget is refused.
  mutating func restore(
    _ stored: [AccountCheckpoint.Budget], position: Int64
  ) throws(CheckpointFault) {
    let byID = Dictionary(stored.map { ($0.id, $0) }) { first, _ in first }
    for (id, entry) in entries.sorted(by: { $0.key < $1.key }) {
      guard let found = byID[id], found.afterPosition == entry.afterPosition else {
        guard entry.afterPosition >= position else {
          throw CheckpointFault("it lacks the budget \(id)")
        }
        continue
      }
      let budget = try SpendingBudget(entry.budget.terms, restoring: found.spending)
      entries[id]?.budget = budget
      // The earliest possible time does not move the budget's clock. Only transactions of the
      // ledger may move that clock.
      expiries[id] = budget.resets(at: UTCDate.times.lowerBound)
    }
  }
}

// MARK: - Proof

extension AccountCheckpoint {
  /// Differences from a replay of the transactions up to the same place. Each is the predicate of a
  /// sentence about the checkpoint.
  ///
  /// Some facts are not compared. A running registry knows facts about gateways that the ledger
  /// lacks: numbers of asks, numbers of leases without money, and forgotten gateways. Warnings of a
  /// budget depend on its present amount.
  public func differences(from replayed: AccountCheckpoint) -> [String] {
    guard position == replayed.position else {
      return ["covers \(position) transactions instead of \(replayed.position)"]
    }
    return balanceDifferences(replayed) + leaseDifferences(replayed) + gatewayDifferences(replayed)
      + budgetDifferences(replayed) + (usage == replayed.usage ? [] : ["has other usage of keys"])
      + (rememberedIDs == replayed.rememberedIDs ? [] : ["remembers other transactions"])
  }

  private func balanceDifferences(_ replayed: AccountCheckpoint) -> [String] {
    Self.differences(
      balances.map { ($0.account, $0.amount) }, replayed.balances.map { ($0.account, $0.amount) }
    ) { "has another balance of \($0)" }
  }

  private func leaseDifferences(_ replayed: AccountCheckpoint) -> [String] {
    Self.differences(facts, replayed.facts) { "has another lease \($0)" }
  }

  /// Leases with money, each with the facts about it that the ledger has.
  private var facts: [(LeaseID, LeaseFacts)] {
    let accounts = Dictionary(payers.map { ($0.lease, $0.account) }) { first, _ in first }
    return leases.leases.compactMap { id, lease in
      guard lease.outstanding > .zero else { return nil }
      return (
        id,
        LeaseFacts(
          key: lease.key, account: accounts["\(id)"], granted: lease.granted,
          returned: lease.returned, settled: lease.settled)
      )
    }
  }

  private struct LeaseFacts: Hashable {
    let key: AccountID
    let account: AccountPath?
    let granted: MicroCredits
    let returned: MicroCredits
    let settled: MicroCredits
  }

  /// Reports settlements that the checkpoint counts as recorded but the ledger lacks. The registry
  /// would ignore a repetition of such a settlement, so the settlement would be lost.
  private func gatewayDifferences(_ replayed: AccountCheckpoint) -> [String] {
    let ledger = Dictionary(replayed.leases.gateways.map { ($0.id, $0) }) { first, _ in first }
    // A replay with the maximum number of gateways may have forgotten others. The registry may
    // remember them, so only gateways that the replay remembers are compared.
    let isFull = ledger.count >= Limits.leasingGateways.value
    return leases.gateways.compactMap { gateway in
      guard !isFull || ledger[gateway.id] != nil else { return nil }
      let through = ledger[gateway.id]?.settledThrough ?? 0
      let beyond = Set(ledger[gateway.id]?.settledBeyond ?? [])
      let isCovered =
        gateway.settledThrough <= through
        && gateway.settledBeyond.allSatisfy { $0 <= through || beyond.contains($0) }
      return isCovered ? nil : "counts settlements of \(gateway.id) that the ledger does not have"
    }
  }

  private func budgetDifferences(_ replayed: AccountCheckpoint) -> [String] {
    let stored = Dictionary(budgets.map { ($0.id, $0) }) { first, _ in first }
    return replayed.budgets.compactMap { budget in
      guard let found = stored[budget.id], found.afterPosition == budget.afterPosition else {
        // A younger budget was made after the checkpoint, so the checkpoint cannot have it.
        return budget.afterPosition >= position ? nil : "lacks the budget \(budget.id)"
      }
      return found.spending.hasSameAmounts(as: budget.spending)
        ? nil : "has other spending of the budget \(budget.id)"
    }
  }

  private static func differences<Key: Hashable & Comparable, Value: Equatable>(
    _ stored: [(Key, Value)], _ replayed: [(Key, Value)], _ sentence: (Key) -> String
  ) -> [String] {
    let left = Dictionary(stored) { first, _ in first }
    let right = Dictionary(replayed) { first, _ in first }
    return Set(left.keys).union(right.keys).sorted()
      .filter { left[$0] != right[$0] }.map(sentence)
  }
}
