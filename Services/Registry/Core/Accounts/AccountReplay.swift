public import Access
internal import ClusterModel
public import Money

/// Makes an `AccountBook` from stored records and the ledger, after a start or a failed write.
public struct AccountReplay: Sendable {
  private var book: AccountBook
  private let time: AccountTime
  private var rows: [PriceRow] = []

  public init(terms: LeaseTerms = LeaseTerms(), at time: AccountTime) throws(ReplayFault) {
    do throws(MoneyError) {
      book = try AccountBook(terms: terms, now: time.instant)
    } catch {
      throw .amount(error)
    }
    self.time = time
  }

  /// Adds a stored record. All records must be added before the first transaction.
  public mutating func add(_ record: AccountRecord) {
    switch record {
    case .organisation(let organisation):
      book.register.set(organisation)
      book.ledger.setPrepaid(organisation.isPrepaid, organisation: organisation.id)
      book.budgets.set(organisation.budgets, of: .organisation(organisation.id))
    case .team(let team):
      book.register.set(team)
      book.budgets.set(team.budgets, of: .team(team.account))
    case .keyBudgets(let record):
      book.register.set(record)
      book.budgets.set(record.budgets, of: .key(record.key))
    case .price(let row): rows.append(row)
    case .withdrawnPrice(let row):
      if let index = rows.lastIndex(of: row) { rows.remove(at: index) }
    case .payoutRule(let rule): book.tariff.setRule(rule)
    case .unknownPrice(let policy): book.tariff.unknownPrice = policy
    // A removed account is not stored.
    case .removedAccount: break
    }
  }

  /// Begins after a checkpoint instead of at the beginning of the ledger. The caller adds all
  /// records before this call, and transactions after it. After an error this replay is useless.
  ///
  /// - Parameter last: the ledger's transaction at the place of the checkpoint.
  public mutating func restore(
    _ checkpoint: AccountCheckpoint, last: LedgerTransaction
  ) throws(CheckpointFault) {
    try checkpoint.restore(&book, last: last, now: time.instant)
  }

  /// The state after the transactions so far. `nil` means that there were no transactions.
  public var checkpoint: AccountCheckpoint? { book.checkpoint }

  /// Adds a transaction, in the order of the ledger.
  public mutating func add(_ transaction: LedgerTransaction) throws(ReplayFault) {
    do throws(LedgerRefusal) {
      try book.ledger.replay(transaction)
    } catch {
      throw .ledger(error)
    }
    book.position += 1
    book.replayTime(of: transaction)
    switch transaction.kind {
    // These are transfers of admins and clock corrections. Their notes are not postings.
    case .credit, .payout, .correction: return
    case .hold, .release, .settle: break
    }
    guard let note = PostingNote(transaction.note) else { throw .note(id: transaction.id) }
    book.issuer.restore(note.posting, now: time.instant)
    do throws(BookFault) {
      // Warnings were reported when the transaction was new.
      _ = try book.record(note, at: transaction.time)
    } catch {
      throw .note(id: transaction.id)
    }
  }

  /// Returns the book, and directives that bring leases and ceilings up to the present time.
  ///
  /// - Parameter keys: account and state of each key.
  public consuming func finish(
    keys: [String: (account: AccountPath, isActive: Bool)]
  ) throws(ReplayFault) -> (AccountBook, [AccountBook.Directive]) {
    do throws(PriceRowRefusal) {
      try book.tariff.restore(rows)
    } catch {
      throw .price(error)
    }
    book.issuer.finishRestoring()
    var directives: [AccountBook.Directive] = []
    for (id, key) in keys.sorted(by: { $0.key < $1.key }) {
      directives += book.handle(
        .key(id, account: key.account, isActive: key.isActive), at: time)
    }
    directives += book.refreshCeilings(at: time)
    return (book, directives + [.publishPrices])
  }
}

/// Reason for which no book can be made from the stored records and transactions. The store is
/// damaged.
public enum ReplayFault: Error, Hashable, Sendable, CustomStringConvertible {
  case ledger(LedgerRefusal)
  case price(PriceRowRefusal)
  case amount(MoneyError)
  /// The note of a lease's transaction cannot be read, or has an impossible amount.
  case note(id: String)

  public var description: String {
    switch self {
    case .ledger(let refusal): "the ledger contradicts itself: \(refusal)"
    case .price(let refusal): "the price book contradicts itself: \(refusal)"
    case .amount(let error): "an amount is impossible: \(error)"
    case .note(let id): "the note of transaction \(id) cannot be read"
    }
  }
}

extension AccountBook {
  /// Gives the lease issuer all ceilings.
  fileprivate mutating func refreshCeilings(at time: AccountTime) -> [Directive] {
    do throws(BookFault) {
      for id in budgets.allCeilings { try refresh(id, at: time) }
      for organisation in organisations { try refreshBalance(of: organisation.id, at: time) }
    } catch {
      return handle(.writeFailed("\(error)"), at: time)
    }
    return takeDirectives()
  }
}
