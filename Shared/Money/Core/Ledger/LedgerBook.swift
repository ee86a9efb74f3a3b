/// Balances of all accounts, as the sum of the transactions so far.
///
/// The book decides whether a transaction may be written, and the store keeps the transactions.
/// Post a transaction, write it durably, then acknowledge it. Several may be posted before one
/// write. If the write fails, or the store has one of the ids already, make a new book. After a
/// start, replay every stored transaction.
public struct LedgerBook: Sendable {
  /// Accounts that are not zero. Their number is bounded by organisations and hosts, which admins
  /// create.
  public internal(set) var balances: [AccountID: MicroCredits] = [:]
  /// Organisations whose balance and holds never go below zero. Others pay later.
  public private(set) var prepaidOrganisations: Set<String> = []
  var memory: TransactionMemory

  public init() { memory = TransactionMemory() }

  /// - Parameter remembering: transactions of which at least half are recognised by id.
  init(remembering limit: Int) { memory = TransactionMemory(limit: limit) }

  /// Restores a book from stored transactions, in the order of the log.
  public init(
    replaying log: some Sequence<LedgerTransaction>, prepaid: Set<String> = []
  ) throws(LedgerRefusal) {
    self.init()
    for transaction in log { try replay(transaction) }
    prepaidOrganisations = prepaid
  }

  public func balance(of account: AccountID) -> MicroCredits { balances[account] ?? .zero }

  /// Changes whether an organisation pays before use. A balance below zero stays and may only rise.
  public mutating func setPrepaid(_ isPrepaid: Bool, organisation: String) {
    if isPrepaid {
      prepaidOrganisations.insert(organisation)
    } else {
      prepaidOrganisations.remove(organisation)
    }
  }

  /// Reports what `post(_:isAbsentFromStore:)` would do, without a change.
  public func check(
    _ transaction: LedgerTransaction, isAbsentFromStore: Bool = false
  ) throws(LedgerRefusal) -> LedgerPosting {
    let isNew = try isNew(transaction, isAbsentFromStore: isAbsentFromStore)
    guard isNew else { return .repeated }
    try guardPrepaid(try newBalances(after: transaction))
    return .posted
  }

  /// Adds a transaction to the balances. A transaction that the book has already changes nothing.
  ///
  /// - Parameter isAbsentFromStore: true if the caller looked the id up in the store.
  public mutating func post(
    _ transaction: LedgerTransaction, isAbsentFromStore: Bool = false
  ) throws(LedgerRefusal) -> LedgerPosting {
    let isNew = try isNew(transaction, isAbsentFromStore: isAbsentFromStore)
    guard isNew else { return .repeated }
    let changed = try newBalances(after: transaction)
    try guardPrepaid(changed)
    install(changed)
    memory.remember(transaction)
    return .posted
  }

  /// Adds a transaction of the store's log, which was checked when it was written.
  ///
  /// Only ids in memory are compared: the store keeps its ids unique.
  public mutating func replay(_ transaction: LedgerTransaction) throws(LedgerRefusal) {
    switch memory.recall(transaction) {
    case .repeated, .conflict: throw .conflict(id: transaction.id)
    case .new, .unsure: break
    }
    install(try newBalances(after: transaction))
    memory.remember(transaction)
  }

  private func isNew(
    _ transaction: LedgerTransaction, isAbsentFromStore: Bool
  ) throws(LedgerRefusal) -> Bool {
    switch memory.recall(transaction) {
    case .new: return true
    case .repeated: return false
    case .conflict: throw .conflict(id: transaction.id)
    case .unsure:
      guard isAbsentFromStore else { throw .forgotten(id: transaction.id) }
      return true
    }
  }

  /// Balances of the transaction's accounts after it.
  private func newBalances(
    after transaction: LedgerTransaction
  ) throws(LedgerRefusal) -> [AccountID: MicroCredits] {
    var changed: [AccountID: MicroCredits] = [:]
    for entry in transaction.entries {
      let before = changed[entry.account] ?? balance(of: entry.account)
      do throws(MoneyError) {
        changed[entry.account] = try before.adding(entry.amount)
      } catch {
        throw .overflow(entry.account)
      }
    }
    return changed
  }

  private func guardPrepaid(_ changed: [AccountID: MicroCredits]) throws(LedgerRefusal) {
    // Sorted, so that one transaction is always refused for the same account.
    for (account, new) in changed.sorted(by: { $0.key < $1.key }) where isPrepaid(account) {
      let old = balance(of: account)
      guard new >= .zero || new >= old else {
        throw .overdrawn(account, balance: old, after: new)
      }
    }
  }

  private mutating func install(_ changed: [AccountID: MicroCredits]) {
    for (account, balance) in changed { balances[account] = balance == .zero ? nil : balance }
  }

  private func isPrepaid(_ account: AccountID) -> Bool {
    switch account.kind {
    case .organisation(let id), .holds(let id): prepaidOrganisations.contains(id)
    case .issued, .host, .margin, .paid, nil: false
    }
  }
}

/// Effect of a transaction on a book.
public enum LedgerPosting: Hashable, Sendable {
  case posted
  /// The book has a transaction with this id, kind and entries. Nothing changed.
  case repeated
}

/// Why a book does not accept a transaction. The book is unchanged.
public enum LedgerRefusal: Error, Hashable, Sendable {
  /// A transaction with other kind or entries has the same id.
  case conflict(id: String)
  /// The book no longer remembers ids of that time. Look the id up in the store. If it is absent,
  /// post again with `isAbsentFromStore`; otherwise compare with the stored transaction.
  case forgotten(id: String)
  /// The account belongs to a prepaid organisation and would fall below zero.
  case overdrawn(AccountID, balance: MicroCredits, after: MicroCredits)
  /// The account's balance would not fit into 64 bits.
  case overflow(AccountID)
}

extension LedgerRefusal: CustomStringConvertible {
  public var description: String {
    switch self {
    case .conflict(let id): "another transaction has the id \(id); use a new id"
    case .forgotten(let id): "the transaction \(id) is too old to be known without the store"
    case .overdrawn(let account, let balance, let after):
      "account \(account) has \(balance.credits) credits and would have \(after.credits)"
    case .overflow(let account): "the balance of account \(account) would be too large"
    }
  }
}
