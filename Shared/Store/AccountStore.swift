public import ClusterModel
internal import GRDB

/// Accounts in SQLite. A failed change leaves nothing: each is one transaction.
public final class AccountStore: AccountStoring {
  private let path: String
  private let pool: DatabasePool

  /// - Parameter path: path of the database file; created if absent. A damaged file, or one from a
  ///   newer version, causes an error and is not modified.
  public init(path: String) throws(Failure) {
    self.path = path
    pool = try SQLiteFile.open(path: path, migrator: Self.migrator, verify: false) {
      path, configuration in
      var configuration = configuration
      // Readers serve lists for admins and the replay of the ledger. Few run at a time.
      configuration.maximumReaderCount = 2
      configuration.prepareDatabase { database in
        // Without `fullfsync`, macOS leaves a commit in the cache of the disk.
        try database.execute(
          sql: "PRAGMA journal_size_limit = 16777216; PRAGMA fullfsync = ON")
      }
      let pool = try DatabasePool(path: path, configuration: configuration)
      try pool.writeWithoutTransaction { database in
        // GRDB sets NORMAL, with which a power failure undoes the latest commits.
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

  /// Has no effect: processes on one machine share the file, and each change is one transaction.
  public func checkWriter() {}

  /// Closes the file. No other method may be called afterwards.
  public func close() async {
    // `close` fails only if statements are running; the file then closes when they end.
    try? pool.close()
  }

  // MARK: - Plumbing

  /// Runs the work in one transaction, which an error undoes.
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
