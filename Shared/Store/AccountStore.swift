public import ClusterModel
internal import GRDB

/// Accounts in SQLite. Each change is one transaction, so a failed change has no effect.
public final class AccountStore: AccountStoring {
  private let path: String
  private let pool: DatabasePool

  /// - Parameter path: path of the database file. If the file is absent, it is created. If it is no
  ///   database or comes from a newer version, an error is thrown and the file is not modified.
  ///   Other damage is found when the damaged part is read.
  public init(path: String) throws(Failure) {
    self.path = path
    pool = try SQLiteFile.open(path: path, migrator: Self.migrator, verify: false) {
      path, configuration in
      var configuration = configuration
      // Readers serve lists for admins and the replay of the ledger. Two are enough, because these
      // are rare.
      configuration.maximumReaderCount = 2
      configuration.prepareDatabase { database in
        // Without `fullfsync`, macOS may leave a commit in the disk's cache, where a power failure
        // destroys it.
        try database.execute(
          sql: "PRAGMA journal_size_limit = 16777216; PRAGMA fullfsync = ON")
      }
      let pool = try DatabasePool(path: path, configuration: configuration)
      try pool.writeWithoutTransaction { database in
        // GRDB sets NORMAL. With NORMAL, a power failure can undo the latest commits.
        try database.execute(sql: "PRAGMA synchronous = FULL")
        guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2,
          try String.fetchOne(database, sql: "PRAGMA journal_mode") == "wal"
        else {
          throw Failure(
            .storeFailed,
            "SQLite cannot make changes of \(path) durable; put the data directory on a local disk."
          )
        }
      }
      return pool
    }
  }

  /// Has no effect. Processes on one machine may share the file, because each change is one
  /// transaction.
  public func checkWriter() {}

  /// Closes the file. No other method may be called afterwards.
  public func close() async {
    // `close` fails only if statements are running. The file then closes when they end.
    try? pool.close()
  }

  // MARK: - Plumbing

  /// Runs the work in one transaction. An error undoes the transaction.
  func write<Value: Sendable>(
    _ work: @escaping @Sendable (Database) throws -> Value
  ) async throws(Failure) -> Value {
    do {
      return try await pool.write(work)
    } catch {
      throw SQLiteFile.failure(error, path: path)
    }
  }

  func read<Value: Sendable>(
    _ work: @escaping @Sendable (Database) throws -> Value
  ) async throws(Failure) -> Value {
    do {
      return try await pool.read(work)
    } catch {
      throw SQLiteFile.failure(error, path: path)
    }
  }
}
