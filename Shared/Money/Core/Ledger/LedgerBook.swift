/// Balances of all accounts, as the sum of the transactions so far.
///
/// The book decides whether a transaction may be written, and the store keeps the transactions. The
/// caller posts a transaction, writes it durably, and then acknowledges it. The caller may post
/// several transactions before one write. If the write fails, or the store already has one of the
/// ids, the caller makes a new book. After a start, it restores a checkpoint, if there is one, and
/// replays the later transactions.
public struct LedgerBook: Sendable {
  /// Balances that are not zero. Admins create organisations and hosts, which bound their number.
  public internal(set) var balances: [AccountID: MicroCredits] = [:]
  /// Organisations whose balance and holds may not fall below zero. Other organisations pay later.
  private(set) var prepaidOrganisations: Set<String> = []
  var memory: TransactionMemory

  public init() { memory = TransactionMemory() }

  /// - Parameter limit: maximum number of ids in memory. At least the latest half of them is always
  ///   kept.
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

  /// Changes whether an organisation pays before use. A balance that is already below zero stays,
  /// and may only rise.
  public mutating func setPrepaid(_ isPrepaid: Bool, organisation: String) {
    if isPrepaid {
      prepaidOrganisations.insert(organisation)
    } else {
      prepaidOrganisations.remove(organisation)
    }
  }

  /// Returns the result that `post(_:isAbsentFromStore:)` would have, without a change.
  public func check(
    _ transaction: LedgerTransaction, isAbsentFromStore: Bool = false
  ) throws(LedgerRefusal) -> LedgerPosting {
    let digest = TransactionDigest(transaction)
    guard try isNew(transaction, digest, isAbsentFromStore: isAbsentFromStore) else {
      return .repeated
    }
    try guardPrepaid(try newBalances(after: transaction))
    return .posted
  }

  /// Adds a transaction to the balances. A repeated transaction changes nothing.
  ///
  /// - Parameter isAbsentFromStore: whether the caller has searched the store for the id and did
  ///   not find it.
  public mutating func post(
    _ transaction: LedgerTransaction, isAbsentFromStore: Bool = false
  ) throws(LedgerRefusal) -> LedgerPosting {
    let digest = TransactionDigest(transaction)
    guard try isNew(transaction, digest, isAbsentFromStore: isAbsentFromStore) else {
      return .repeated
    }
    let changed = try newBalances(after: transaction)
    try guardPrepaid(changed)
    install(changed)
    memory.remember(transaction, digest)
    return .posted
  }

  /// Adds a transaction of the store's log, which was checked when it was written.
  ///
  /// It is compared only with ids in memory, because the store itself keeps ids unique.
  public mutating func replay(_ transaction: LedgerTransaction) throws(LedgerRefusal) {
    let digest = TransactionDigest(transaction)
    switch memory.recall(transaction, digest) {
    case .repeated, .conflict: throw .conflict(id: transaction.id)
    case .new, .unsure: break
    }
    install(try newBalances(after: transaction))
    memory.remember(transaction, digest)
  }

  /// Whether the settlement of a bill fits into the balances of hosts and margin, whatever part of
  /// the bill its payer pays.
  public func hasRoom(for bill: Bill) -> Bool {
    let paid = bill.payouts.values.reduce(Int128(0)) { $0 + Int128($1.count) }
    let margin = Int128(balance(of: .margin).count)
    let margins = [margin - paid, margin + Int128(bill.charge.count) - paid]
    return margins.allSatisfy { Int64(exactly: $0) != nil }
      && bill.payouts.allSatisfy { host, amount in
        (try? balance(of: .host(host)).adding(amount)) != nil
      }
  }

  private func isNew(
    _ transaction: LedgerTransaction, _ digest: TransactionDigest, isAbsentFromStore: Bool
  ) throws(LedgerRefusal) -> Bool {
    switch memory.recall(transaction, digest) {
    case .new: return true
    case .repeated: return false
    case .conflict: throw .conflict(id: transaction.id)
    case .unsure:
      guard isAbsentFromStore else { throw .forgotten(id: transaction.id) }
      return true
    }
  }

  /// An account of a transaction with its balance before and after it.
  private struct Change {
    let account: AccountID
    let before: MicroCredits
    var after: MicroCredits
  }

  /// The changes of a transaction, one per account. Most transactions have at most three entries.
  private func newBalances(
    after transaction: LedgerTransaction
  ) throws(LedgerRefusal) -> [Change] {
    var changes: [Change] = []
    changes.reserveCapacity(transaction.entries.count)
    var places: [AccountID: Int] = [:]
    let isLong = transaction.entries.count > 8
    for entry in transaction.entries {
      let place =
        isLong
        ? places[entry.account] : changes.firstIndex { $0.account == entry.account }
      let before = place.map { changes[$0].after } ?? balance(of: entry.account)
      let after: MicroCredits
      do throws(MoneyError) {
        after = try before.adding(entry.amount)
      } catch {
        throw .overflow(entry.account)
      }
      if let place {
        changes[place].after = after
      } else {
        if isLong { places[entry.account] = changes.count }
        changes.append(Change(account: entry.account, before: before, after: after))
      }
    }
    return changes
  }

  private func guardPrepaid(_ changes: [Change]) throws(LedgerRefusal) {
    guard !prepaidOrganisations.isEmpty else { return }
    let overdrawn = changes.filter {
      $0.after < .zero && $0.after < $0.before && isPrepaid($0.account)
    }
    // The first account by name is reported, so that a transaction is always refused for the same
    // one.
    guard let first = overdrawn.min(by: { $0.account < $1.account }) else { return }
    throw .overdrawn(first.account, balance: first.before, after: first.after)
  }

  private mutating func install(_ changes: [Change]) {
    for change in changes {
      balances[change.account] = change.after == .zero ? nil : change.after
    }
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

/// Reason why a book does not accept a transaction. The book stays unchanged.
public enum LedgerRefusal: Error, Hashable, Sendable {
  /// Another transaction, with another kind or other entries, has the same id.
  case conflict(id: String)
  /// The book no longer remembers ids of the transaction's time, so the caller must search the
  /// store for the id. If the id is absent, the caller posts again with `isAbsentFromStore`.
  /// Otherwise it compares the transaction with the stored one.
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
