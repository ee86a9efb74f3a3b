public import ClusterModel
internal import GRDB
public import Limits
public import Money

/// The ledger: transactions that are appended and never changed.
extension AccountStore {
  public func append(
    _ transactions: [LedgerTransaction], after position: Int64?
  ) async throws(Failure) -> [LedgerAppend] {
    try await write { database in
      if let position {
        let end =
          try Int64.fetchOne(database, sql: "SELECT MAX(position) FROM ledger_transactions") ?? 0
        guard end == position else { throw Failure.ledgerChanged(end: end, known: position) }
      }
      let inserts = try LedgerInserts(database)
      return try transactions.map { try Self.append($0, with: inserts, to: database) }
    }
  }

  /// Transactions in the order in which they were appended, for a replay.
  /// - Parameters:
  ///   - position: the last position of the previous page, 0 at first.
  ///   - limit: capped to `ledger.page`.
  /// - Returns: An empty list after the last transaction.
  /// - Throws: `storeDamaged` if a transaction is missing or damaged. The message names it.
  public func transactions(
    after position: Int64, limit: Int = Limits.ledgerPage.value
  ) async throws(Failure) -> [LedgerRow] {
    let limit = Self.capped(limit)
    return try await read { database in
      let rows = try Self.rows(
        database,
        Row.fetchAll(
          database,
          sql: "SELECT * FROM ledger_transactions WHERE position > ? ORDER BY position LIMIT ?",
          arguments: [position, limit]))
      var expected = position
      for row in rows {
        expected = expected.addingCapped(1)
        guard row.position == expected else { throw Self.missing(expected) }
      }
      if rows.isEmpty {
        let last = try Int64.fetchOne(
          database, sql: "SELECT seq FROM sqlite_sequence WHERE name = 'ledger_transactions'")
        if let last, last > position { throw Self.missing(position.addingCapped(1)) }
      }
      return rows
    }
  }

  public func transactions(_ query: LedgerQuery) async throws(Failure) -> LedgerPage {
    let limit = Self.capped(query.limit)
    let isUp = query.order == .oldestFirst
    var conditions = ["time >= ?", "time < ?"]
    var arguments: StatementArguments = [query.times.lowerBound, query.times.upperBound]
    if let account = query.account {
      conditions.append("account = ?")
      arguments += [account.name]
    }
    if let after = query.after {
      conditions.append("(time, position) \(isUp ? ">" : "<") (?, ?)")
      arguments += [after.time, after.position]
    }
    let direction = isUp ? "ASC" : "DESC"
    let sql = """
      SELECT DISTINCT time, position
      FROM \(query.account == nil ? "ledger_transactions" : "ledger_entries")
      WHERE \(conditions.joined(separator: " AND "))
      ORDER BY time \(direction), position \(direction) LIMIT \(limit)
      """
    return try await read { [arguments] database in
      let cursors = try Row.fetchAll(database, sql: sql, arguments: arguments).map { row in
        LedgerCursor(
          time: try row.decode(Int64.self, forColumn: "time"),
          position: try row.decode(Int64.self, forColumn: "position"))
      }
      let found = try Self.rows(
        database,
        Row.fetchAll(
          database,
          sql: """
            SELECT * FROM ledger_transactions
            WHERE position IN (\(Self.list(cursors.map(\.position))))
            ORDER BY time \(direction), position \(direction)
            """))
      return LedgerPage(rows: found, next: cursors.count == limit ? cursors.last : nil)
    }
  }

  /// The transaction with an id. `nil` means that the ledger has none.
  public func transaction(_ id: String) async throws(Failure) -> LedgerTransaction? {
    try await read { database in
      try Self.rows(
        database,
        Row.fetchAll(
          database, sql: "SELECT * FROM ledger_transactions WHERE id = ?", arguments: [id])
      ).first?.transaction
    }
  }

  /// Sum of the account's entries up to a time.
  /// - Parameter time: last time that counts, in milliseconds since 1970. `nil` means all entries.
  public func balance(
    of account: AccountID, at time: Int64? = nil
  ) async throws(Failure) -> MicroCredits {
    try await read { database in
      let sum = try Int64.fetchOne(
        database,
        sql: "SELECT SUM(amount) FROM ledger_entries WHERE account = ? AND time <= ?",
        arguments: [account.name, time ?? .max])
      return MicroCredits(sum ?? 0)
    }
  }

  /// Balances of all accounts with entries, sorted by the names of the accounts.
  /// - Parameters:
  ///   - time: as for `balance(of:at:)`.
  ///   - account: the last account of the previous page. `nil` means the first page.
  ///   - limit: capped to `ledger.page`.
  public func balances(
    at time: Int64? = nil, after account: AccountID? = nil, limit: Int = Limits.ledgerPage.value
  ) async throws(Failure) -> [AccountBalance] {
    let limit = Self.capped(limit)
    return try await read { database in
      try Row.fetchAll(
        database,
        sql: """
          SELECT account, SUM(amount) AS balance FROM ledger_entries
          WHERE account > ? AND time <= ? GROUP BY account ORDER BY account LIMIT ?
          """,
        arguments: [account?.name ?? "", time ?? .max, limit]
      ).map { row in
        AccountBalance(
          account: AccountID(try row.decode(String.self, forColumn: "account")),
          balance: MicroCredits(try row.decode(Int64.self, forColumn: "balance")))
      }
    }
  }

  static func capped(_ limit: Int) -> Int { min(max(limit, 1), Limits.ledgerPage.value) }

  // MARK: - Writing

  private static func append(
    _ transaction: LedgerTransaction, with inserts: LedgerInserts, to database: Database
  ) throws -> LedgerAppend {
    if let refusal = refusal(of: transaction) { return .refused(refusal) }
    if let position = try inserts.insert(transaction) { return .appended(position: position) }
    let present = try Row.fetchOne(
      database.cachedStatement(sql: "SELECT * FROM ledger_transactions WHERE id = ?"),
      arguments: [transaction.id])
    guard let present else {
      throw Failure(.storeFailed, "SQLite refused transaction \(transaction.id).")
    }
    let row = try row(present, entries: entries(database, of: [position(present)]))
    let isSame =
      row.transaction.kind == transaction.kind && row.transaction.entries == transaction.entries
    return isSame
      ? .alreadyPresent(position: row.position) : .conflict(position: row.position)
  }

  /// Reason why the transaction cannot be stored, as a sentence. `nil` means that it can be stored.
  /// An id with a NUL is refused, because the store would change it.
  static func refusal(of transaction: LedgerTransaction) -> String? {
    let badEntry = transaction.entries.first { !isName($0.account.name) }
    if let name = isName(transaction.id) ? badEntry?.account.name : transaction.id {
      return "The name \(name.cut(toBytes: 100)) of a transaction or an account is empty, has a "
        + "control character, or has more than \(Limits.transactionIDBytes.value) bytes."
    }
    let tooMuch =
      transaction.entries.count > Limits.transactionEntries.value
      ? Limits.transactionEntries
      : transaction.note.utf8.count > Limits.transactionNoteBytes.value
        ? Limits.transactionNoteBytes : nil
    return tooMuch.map { "Transaction \(transaction.id) has \(Overdrawn($0))." }
  }

  static func isName(_ name: String) -> Bool {
    (1...Limits.transactionIDBytes.value).contains(name.utf8.count)
      && name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
  }

  // MARK: - Reading

  /// Makes ledger rows from rows of `ledger_transactions` and the entries that belong to them.
  private static func rows(_ database: Database, _ transactions: [Row]) throws -> [LedgerRow] {
    let entries = try entries(database, of: transactions.map(position))
    return try transactions.map { try row($0, entries: entries) }
  }

  private static func entries(
    _ database: Database, of positions: [Int64]
  ) throws -> [Int64: [LedgerEntry]] {
    var entries: [Int64: [LedgerEntry]] = [:]
    let rows = try Row.fetchCursor(
      database,
      sql: """
        SELECT position, account, amount FROM ledger_entries
        WHERE position IN (\(list(positions))) ORDER BY position, line
        """)
    while let row = try rows.next() {
      entries[try position(row), default: []].append(
        LedgerEntry(
          account: AccountID(try row.decode(String.self, forColumn: "account")),
          amount: MicroCredits(try row.decode(Int64.self, forColumn: "amount"))))
    }
    return entries
  }

  private static func list(_ positions: [Int64]) -> String {
    positions.map(String.init).joined(separator: ", ")
  }

  private static func position(_ row: Row) throws -> Int64 {
    try row.decode(Int64.self, forColumn: "position")
  }

  private static func row(_ row: Row, entries: [Int64: [LedgerEntry]]) throws -> LedgerRow {
    let position = try position(row)
    let id = try row.decode(String.self, forColumn: "id")
    func damaged(_ fault: String) -> Failure {
      Failure(
        .storeDamaged,
        "Transaction \(id.cut(toBytes: 100)) at position \(position) of the ledger \(fault); "
          + "restore the file from a copy.")
    }
    let entries = entries[position] ?? []
    guard
      let kind = LedgerTransaction.Kind(rawValue: try row.decode(String.self, forColumn: "kind"))
    else { throw damaged("has an unknown kind") }
    let count = try row.decode(Int.self, forColumn: "entries")
    guard entries.count == count else {
      throw damaged("has \(entries.count) of \(count) entries")
    }
    do {
      return LedgerRow(
        position: position,
        transaction: try LedgerTransaction(
          id: id, kind: kind, time: try row.decode(Int64.self, forColumn: "time"),
          entries: entries, note: try row.decode(String.self, forColumn: "note")))
    } catch is MoneyError {
      throw damaged("does not sum to zero")
    }
  }

  private static func missing(_ position: Int64) -> Failure {
    Failure(
      .storeDamaged,
      "The ledger has no transaction at position \(position); restore the file from a copy.")
  }
}
