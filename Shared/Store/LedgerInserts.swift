internal import GRDB
internal import GRDBSQLite
internal import Money

/// Inserts transactions of the ledger within one write.
///
/// Each paid request has a transaction, so speed matters. GRDB would take longer to bind the values
/// of four rows than SQLite takes to insert them. Therefore SQLite's own functions bind the values.
///
/// @safe: a bound text lives until its statement was executed, and bindings are cleared after.
@safe struct LedgerInserts {
  private let database: Database
  private let transactions: Statement
  private let entries: Statement

  init(_ database: Database) throws {
    self.database = database
    transactions = try database.cachedStatement(
      sql: "INSERT INTO ledger_transactions (id, kind, time, entries, note) VALUES (?, ?, ?, ?, ?)")
    entries = try database.cachedStatement(
      sql: "INSERT INTO ledger_entries (position, line, time, account, amount) "
        + "VALUES (?, ?, ?, ?, ?)")
  }

  /// - Returns: the position. `nil` means that the ledger already has a transaction with this id. A
  ///   constraint then refused the row, and nothing was inserted.
  func insert(_ transaction: LedgerTransaction) throws -> Int64? {
    let statement = unsafe transactions.sqliteStatement
    unsafe sqlite3_bind_int64(statement, 3, transaction.time)
    unsafe sqlite3_bind_int64(statement, 4, Int64(transaction.entries.count))
    let code = unsafe Self.bind(transaction.id, to: 1, of: statement) {
      unsafe Self.bind(transaction.kind.rawValue, to: 2, of: statement) {
        unsafe Self.bind(transaction.note.storable, to: 5, of: statement) {
          unsafe Self.execute(statement)
        }
      }
    }
    if code & 0xFF == SQLITE_CONSTRAINT { return nil }
    try check(code)
    let position = database.lastInsertedRowID
    for (line, entry) in transaction.entries.enumerated() {
      try insert(entry, line: line, of: transaction, at: position)
    }
    return position
  }

  private func insert(
    _ entry: LedgerEntry, line: Int, of transaction: LedgerTransaction, at position: Int64
  ) throws {
    let statement = unsafe entries.sqliteStatement
    unsafe sqlite3_bind_int64(statement, 1, position)
    unsafe sqlite3_bind_int64(statement, 2, Int64(line))
    unsafe sqlite3_bind_int64(statement, 3, transaction.time)
    unsafe sqlite3_bind_int64(statement, 5, entry.amount.count)
    let code = unsafe Self.bind(entry.account.name, to: 4, of: statement) {
      unsafe Self.execute(statement)
    }
    try check(code)
  }

  private func check(_ code: CInt) throws {
    guard code != SQLITE_DONE else { return }
    throw DatabaseError(
      resultCode: ResultCode(rawValue: code),
      message: unsafe sqlite3_errmsg(database.sqliteConnection).map { unsafe String(cString: $0) })
  }

  /// Executes a statement, and prepares it for the next values.
  /// - Returns: `SQLITE_DONE`, or an extended error code.
  private static func execute(_ statement: SQLiteStatement) -> CInt {
    let code = unsafe sqlite3_step(statement)
    // After a failed step, `sqlite3_reset` returns the error code of the step again.
    let reset = unsafe sqlite3_reset(statement)
    unsafe sqlite3_clear_bindings(statement)
    return code == SQLITE_DONE ? code : reset
  }

  /// Binds a text for as long as `body` runs.
  private static func bind(
    _ text: String, to index: CInt, of statement: SQLiteStatement, _ body: () -> CInt
  ) -> CInt {
    var text = text
    return text.withUTF8 { bytes in
      guard let start = bytes.baseAddress, !bytes.isEmpty else {
        // SQLite binds NULL if the text has no address. This address avoids that, and SQLite reads
        // no byte of it.
        unsafe sqlite3_bind_text(statement, index, "", 0, nil)
        return body()
      }
      let code = unsafe start.withMemoryRebound(to: CChar.self, capacity: bytes.count) { start in
        unsafe sqlite3_bind_text(statement, index, start, CInt(clamping: bytes.count), nil)
      }
      return code == SQLITE_OK ? body() : code
    }
  }
}
