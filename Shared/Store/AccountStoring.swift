public import ClusterModel
public import Money

/// Keeps the registry's ledger, keys, accounts, models, prices, settings and audit log.
///
/// Every change is durable on return. A failed change has no effect, except after
/// `storeUnreachable`. After this error the store may have none, a first part or all of the change,
/// so the caller reads the store again before it relies on the contents.
public protocol AccountStoring: Sendable {
  // Methods for the ledger.

  /// Appends the transactions, normally in one commit. Each transaction has a result of its own: a
  /// conflict does not affect the others.
  /// - Parameter position: number of transactions in the ledger as far as the caller knows. `nil`
  ///   means that the caller accepts any number.
  /// - Returns: One result per transaction, in the same order.
  /// - Throws: `storeFailed` if the ledger has another number of transactions, because another
  ///   process or an earlier write has appended some. Nothing is appended.
  func append(
    _ transactions: [LedgerTransaction], after position: Int64?
  ) async throws(Failure) -> [LedgerAppend]

  /// Transactions in the order in which they were appended.
  /// - Parameters:
  ///   - position: the last position of the previous page, 0 at first.
  ///   - limit: capped to `ledger.page`.
  /// - Returns: An empty list after the last transaction.
  /// - Throws: `storeDamaged` if a transaction is missing or damaged. The message names it.
  func transactions(after position: Int64, limit: Int) async throws(Failure) -> [LedgerRow]

  func transactions(_ query: LedgerQuery) async throws(Failure) -> LedgerPage

  /// The transaction with an id. `nil` means that the ledger has none.
  func transaction(_ id: String) async throws(Failure) -> LedgerTransaction?

  /// Sum of the account's entries up to a time.
  /// - Parameter time: last time that counts, in milliseconds since 1970. `nil` means all entries.
  func balance(of account: AccountID, at time: Int64?) async throws(Failure) -> MicroCredits

  /// Balances of all accounts with entries, sorted by the names of the accounts.
  /// - Parameters:
  ///   - time: as for `balance(of:at:)`.
  ///   - account: the last account of the previous page. `nil` means the first page.
  ///   - limit: capped to `ledger.page`.
  func balances(
    at time: Int64?, after account: AccountID?, limit: Int
  ) async throws(Failure) -> [AccountBalance]

  // Methods for records.

  /// Makes all changes and records each in the audit log, or changes nothing.
  /// - Throws: `invalidRequest` if a name is not allowed, or a record exceeds its limit or has a
  ///   NUL.
  func apply(
    _ changes: [RecordChange], by author: ChangeAuthor
  ) async throws(Failure) -> ChangeOutcome

  /// Adds the change of a host to the audit log. The hosts are in a store of their own.
  ///
  /// - Parameters:
  ///   - before: JSON before the change. `nil` means that the host was absent.
  ///   - after: JSON after the change. `nil` means that the host was removed.
  /// - Throws: `invalidRequest` if a record exceeds its limit.
  func recordChange(
    ofHost id: String, before: String?, after: String?, by author: ChangeAuthor
  ) async throws(Failure)

  /// Keys in the order of their ids.
  /// - Parameters:
  ///   - id: the last key of the previous page. `nil` means the first page.
  ///   - limit: capped to `ledger.page`.
  func keys(after id: String?, limit: Int) async throws(Failure) -> [StoredKey]

  /// Organisations and teams, each organisation before its teams.
  func accounts() async throws(Failure) -> [StoredRecord]

  /// Settings of models, sorted by the models' names. There are at most `models.records`.
  func models() async throws(Failure) -> [StoredRecord]

  func settings() async throws(Failure) -> [StoredRecord]

  /// Rows of the price book in the order in which they were appended.
  /// - Parameters:
  ///   - position: the last position of the previous page, 0 at first.
  ///   - limit: capped to `ledger.page`.
  func prices(after position: Int64, limit: Int) async throws(Failure) -> [StoredPrice]

  /// Changes of the audit log, the latest first.
  ///
  /// At most `store.audit_scan` changes are read, so a page may have fewer than the limit although
  /// further ones follow.
  func auditPage(_ query: AuditQuery) async throws(Failure) -> AuditPage

  // Checkpoints. They may be removed at any time, because a replay of the ledger computes the same
  // facts.

  /// Saves a checkpoint, and removes all others except the one before it.
  /// - Throws: `invalidRequest` if the checkpoint is too large for the store.
  func save(_ checkpoint: LedgerCheckpoint) async throws(Failure)

  /// The latest checkpoint.
  /// - Parameter position: place in the ledger. Only checkpoints before this place are returned.
  ///   `nil` means the latest of all checkpoints.
  /// - Returns: `nil` if there is no such checkpoint.
  func checkpoint(before position: Int64?) async throws(Failure) -> ReadCheckpoint?

  func removeCheckpoint(at position: Int64) async throws(Failure)

  // Methods for the process.

  /// Checks that no other process has taken over the store.
  /// - Throws: `storeTaken` if this process may not write any more.
  func checkWriter() async throws(Failure)

  /// Closes the store. No other method may be called afterwards.
  func close() async
}

extension AccountStoring {
  /// Appends transactions, however many transactions the ledger already has.
  public func append(
    _ transactions: [LedgerTransaction]
  ) async throws(Failure) -> [LedgerAppend] {
    try await append(transactions, after: nil)
  }

  /// The records of one page of the audit log.
  public func audit(_ query: AuditQuery) async throws(Failure) -> [AuditRecord] {
    try await auditPage(query).records
  }

  /// All transactions after a position, page by page.
  public func replay(after position: Int64 = 0) -> LedgerReplay {
    LedgerReplay(store: self, start: position)
  }
}

extension Failure {
  /// The error of an append if the number of transactions in the ledger is not the one that the
  /// caller knows.
  static func ledgerChanged(end: Int64, known: Int64) -> Failure {
    Failure(
      .storeFailed,
      "The ledger has \(end) transactions, and this process knows \(known): another process may "
        + "have written to it. Nothing was appended.")
  }
}

/// The transactions of a ledger in the order in which they were appended, in pages.
public struct LedgerReplay: AsyncSequence, Sendable {
  fileprivate let store: any AccountStoring
  fileprivate let start: Int64

  public func makeAsyncIterator() -> Iterator { Iterator(store: store, start: start) }

  public struct Iterator: AsyncIteratorProtocol {
    fileprivate let store: any AccountStoring
    private var position: Int64

    fileprivate init(store: any AccountStoring, start: Int64) {
      self.store = store
      position = start
    }

    public mutating func next() async throws(Failure) -> [LedgerRow]? {
      let page = try await store.transactions(after: position, limit: .max)
      guard let last = page.last else { return nil }
      position = last.position
      return page
    }
  }
}
