internal import ClusterModel
internal import Files
internal import GRDB

/// Opens database files and turns SQLite's errors into readable messages.
enum SQLiteFile {
  /// - Parameters:
  ///   - path: path of the file. If the file is absent, it is created with mode 0600. Its directory
  ///     must exist. A symbolic link, or a file that other users may write, is refused.
  ///   - open: opens the connection.
  static func open<Connection: DatabaseWriter>(
    path: String, migrator: DatabaseMigrator, verify: Bool,
    _ open: (String, Configuration) throws -> Connection
  ) throws(Failure) -> Connection {
    do throws(FileRefused) {
      if try !PrivateFile.create(path) { try PrivateFile.check(path, others: .mayRead) }
      // SQLite opens these files next to the database, so they get the same check.
      for suffix in ["-wal", "-shm", "-journal"] {
        try PrivateFile.check(path + suffix, others: .mayRead)
      }
    } catch {
      throw Failure(.storeUnreachable, error.message)
    }
    var configuration = Configuration()
    // Another process, such as an operator's sqlite3, may hold the write lock briefly.
    configuration.busyMode = .timeout(5)
    do {
      let connection = try open(path, configuration)
      try connection.read { database in
        // A file with unknown migrations comes from a newer version and must not be modified.
        if try migrator.hasBeenSuperseded(database) {
          throw Failure(
            .storeTooNew,
            "\(path) was written by a newer version than \(Version.current); upgrade, or move the "
              + "file away to start with an empty one.")
        }
        // `quick_check` reads every page, so only small files are verified.
        if verify, let fault = try String.fetchOne(database, sql: "PRAGMA quick_check(1)"),
          fault != "ok"
        {
          throw damaged(path, fault)
        }
      }
      try migrator.migrate(connection)
      return connection
    } catch {
      throw failure(error, path: path)
    }
  }

  static func failure(_ error: any Error, path: String) -> Failure {
    switch error {
    case let failure as Failure where failure.code == .storeDamaged:
      return failure.message.contains(path)
        ? failure : Failure(.storeDamaged, "\(path): \(failure.message)")
    case let failure as Failure:
      return failure
    case let error as DatabaseError
    where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode.primaryResultCode):
      return damaged(path, error.message ?? "\(error.resultCode)")
    case let error as DatabaseError
    where [.SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_READONLY].contains(
      error.resultCode.primaryResultCode):
      return Failure(
        .storeUnreachable,
        "Cannot open \(path) (\(error.message ?? "\(error.resultCode)")); check its permissions.")
    case let error as DatabaseError where error.resultCode.primaryResultCode == .SQLITE_FULL:
      return Failure(.storeFull, "The disk that holds \(path) is full; make room on it.")
    case let error as DatabaseError:
      return Failure(
        .storeFailed, "SQLite refused (\(path)): \(error.message ?? "\(error.resultCode)").")
    case is RowDecodingError:
      return damaged(path, "a row holds a value of the wrong type")
    default:
      return Failure(.storeFailed, "\(path): \(error)")
    }
  }

  private static func damaged(_ path: String, _ fault: String) -> Failure {
    Failure(
      .storeDamaged,
      "\(path) is damaged or not a database (\(fault)); it is left as it is: move it away to start "
        + "with an empty one.")
  }
}
