internal import Access
internal import ClusterModel
internal import Money

extension AccountBook {
  /// Records a posting of the lease issuer as one ledger transaction.
  ///
  /// - Parameters:
  ///   - id: id of the transaction. `nil` means that the id is made from the posting.
  ///   - bill: bill of the request. `nil` means that the posting is no settlement.
  ///   - details: details for the note. `nil` means that the posting is no settlement.
  mutating func post(
    _ posting: LeasePosting, id: String? = nil, _ bill: Bill? = nil,
    _ details: PostingNote.Details? = nil, at time: AccountTime
  ) throws(BookFault) {
    // The organisation of the key's account pays the key's leases: see `LeaseFunds`.
    let account = register.keys[posting.key]?.account ?? funds.account(of: posting.lease)
    if case .hold = posting.change, account == nil { throw .unknownKey(posting.key) }
    let note = PostingNote(posting, account: account, details)
    let transaction: LedgerTransaction
    do throws(MoneyError) {
      transaction = try Self.transaction(
        posting, id: id ?? posting.description, payer: account?.organisation, bill,
        note: note.text, time: time.wall)
    } catch {
      throw .money(error)
    }
    try post(transaction)
    try count(note, at: time)
  }

  /// Adds a transaction to the balances, and to the directive that stores it.
  mutating func post(_ transaction: LedgerTransaction) throws(BookFault) {
    let posting: LedgerPosting
    do throws(LedgerRefusal) {
      // The book remembers only recent ids. The store finds older repetitions, because ids are
      // unique there.
      posting = try ledger.post(transaction, isAbsentFromStore: true)
    } catch {
      throw .ledger(error)
    }
    guard posting == .posted else { throw .repeated(id: transaction.id) }
    position += 1
    append(.append([transaction]))
  }

  /// Counts a new posting for its lease and its budgets. If this leaves the key's leases without
  /// money, completes the key's move to another account.
  private mutating func count(_ note: PostingNote, at time: AccountTime) throws(BookFault) {
    let (emptied, crossed) = try record(note, at: time.wall)
    for threshold in crossed { append(.warn(threshold)) }
    if let emptied, register.move(emptied) { try applyKey(emptied, at: time) }
  }

  /// Counts a posting, new or replayed, for its lease, its budgets and its key's usage.
  /// - Returns: the key if its leases have no money left, otherwise `nil`, and the thresholds that
  ///   spending crossed.
  mutating func record(
    _ note: PostingNote, at time: Int64
  ) throws(BookFault) -> (emptied: AccountID?, [CrossedThreshold]) {
    do throws(MoneyError) {
      switch note.change {
      case .hold(let amount, _):
        if let account = note.account {
          try funds.add(amount, to: note.lease, key: note.key, account: account)
        }
        return (nil, [])
      case .release(let amount, _), .end(let amount), .expire(let amount):
        return (try funds.remove(amount, from: note.lease), [])
      case .settle(let settled):
        if let details = note.details {
          usage.record(
            note.key, model: details.modelName, details.usage, cost: settled.charged, at: time)
        }
        let owners = note.account.map { register.owners(key: note.key, account: $0) } ?? []
        let crossed = budgets.spend(
          settled.charged, of: owners, position: position, at: time)
        return (try funds.remove(settled.charged, from: note.lease), crossed)
      }
    } catch {
      throw .money(error)
    }
  }

  private static func transaction(
    _ posting: LeasePosting, id: String, payer: String?, _ bill: Bill?, note: String, time: Int64
  ) throws(MoneyError) -> LedgerTransaction {
    let holds = AccountID.holds(of: payer ?? "")
    var organisation: AccountID { AccountID.organisation(payer ?? "") }
    switch posting.change {
    case .hold(let amount, _):
      return try LedgerTransaction(
        id: id, kind: .hold, time: time,
        entries: LedgerEntry.pair(amount, from: organisation, to: holds), note: note)
    case .release(let amount, _), .end(let amount), .expire(let amount):
      return try LedgerTransaction(
        id: id, kind: .release, time: time,
        entries: LedgerEntry.pair(amount, from: holds, to: organisation), note: note)
    case .settle(_, let charged, _):
      guard let bill else { throw .invalidOutcome }
      // Without a charge the client pays nothing, so the margin pays the hosts.
      return try bill.settlement(
        id: id, time: time, payer: charged > .zero ? holds : .margin, charged: charged,
        note: note)
    }
  }
}

extension LedgerEntry {
  /// Moves an amount from one account to another.
  static func pair(
    _ amount: MicroCredits, from payer: AccountID, to receiver: AccountID
  ) throws(MoneyError) -> [LedgerEntry] {
    [
      LedgerEntry(account: payer, amount: try amount.negated()),
      LedgerEntry(account: receiver, amount: amount),
    ]
  }
}
