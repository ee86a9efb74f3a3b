public import ClusterModel
internal import Foundation
internal import GRDB
internal import Limits
internal import Synchronization

/// The default store: one SQLite file in write-ahead mode, so that readers never wait for the
/// writer. GRDB runs every statement on its own queues, never on Swift's cooperative threads.
public final class SQLiteLogStore: LogStore {
  private let path: String
  private let retention: Retention
  private let pool: DatabasePool
  private let damaged = Mutex(0)

  /// - Parameter path: path of the database file. If the file is absent, it is created.
  public init(path: String, retention: Retention = .standard) throws(Failure) {
    self.path = path
    self.retention = retention
    pool = try SQLiteFile.open(path: path, migrator: Self.migrator, verify: false) {
      path, configuration in
      var configuration = configuration
      // Two readers are enough, because operators run few queries.
      configuration.maximumReaderCount = 2
      configuration.prepareDatabase { database in
        // Shrinks the file of the write-ahead log to 16 MiB after a large write.
        try database.execute(sql: "PRAGMA journal_size_limit = 16777216")
      }
      return try DatabasePool(path: path, configuration: configuration)
    }
  }

  public func prepare() async throws(Failure) {
    try await read { database in try Int.fetchOne(database, sql: "SELECT 1") }
  }

  public func append(_ batches: [TelemetryBatch]) async throws(Failure) {
    let maximumBytes = retention.maximumBytes
    try await write { database in
      for batch in batches {
        for log in batch.logs { try Self.insert(log, into: database) }
        for span in batch.spans { try Self.insert(span, into: database) }
        for request in batch.requests { try Self.insert(request, into: database) }
      }
      try Self.trim(database, to: maximumBytes)
    }
  }

  public func logs(_ query: LogQuery) async throws(Failure) -> [LogRecord] {
    var filter = Filter()
    filter.require("trace = ?", query.trace?.description)
    filter.require("service = ?", query.service?.storable)
    filter.require("time >= ?", query.sinceUnixMicroseconds.map { Int64(clamping: $0) })
    if let level = query.level { filter.requireOne(of: level.andWorse, in: "level") }
    let answer = try await read { [filter] database in
      try Decoded(
        Self.log,
        Row.fetchAll(
          database,
          sql:
            "SELECT * FROM logs \(filter.clause) ORDER BY time DESC, id DESC LIMIT \(query.limit)",
          arguments: filter.arguments
        ))
    }
    return counted(answer)
  }

  public func requests(_ query: RequestQuery) async throws(Failure) -> [RequestRecord] {
    var filter = Filter()
    filter.require("trace = ?", query.trace?.description)
    filter.require("key = ?", query.key?.storable)
    filter.require("time >= ?", query.sinceUnixMicroseconds.map { Int64(clamping: $0) })
    let answer = try await read { [filter] database in
      try Decoded(
        Self.request,
        Row.fetchAll(
          database,
          sql: "SELECT * FROM requests \(filter.clause) ORDER BY time DESC, id DESC "
            + "LIMIT \(query.limit)",
          arguments: filter.arguments
        ))
    }
    return counted(answer)
  }

  public func usage(_ query: UsageQuery) async throws(Failure) -> KeyUsage {
    try await read { database in
      let rows = try Row.fetchAll(
        database,
        sql: """
          SELECT time / \(KeyUsage.dayMicroseconds) AS day, model, COUNT(*) AS requests,
            SUM(status >= 400) AS failed, SUM(prompt_tokens) AS prompt_tokens,
            SUM(cached_tokens) AS cached_tokens, SUM(completion_tokens) AS completion_tokens,
            MAX(tokens_estimated) AS tokens_estimated
          FROM requests WHERE key = ? AND time >= ? GROUP BY 1, 2
          ORDER BY 1 DESC, SUM(prompt_tokens + completion_tokens) DESC, 2
          LIMIT \(query.limit + 1)
          """,
        arguments: [query.key.storable, Int64(clamping: query.sinceUnixMicroseconds)])
      return KeyUsage(
        try rows.map(Self.usageRow), limit: query.limit,
        oldest: try Int64.fetchOne(database, sql: "SELECT MIN(time) FROM requests"))
    }
  }

  public func spans(of trace: TraceID) async throws(Failure) -> [SpanRecord] {
    let answer = try await read { database in
      try Decoded(
        Self.span,
        Row.fetchAll(
          database,
          sql: "SELECT * FROM spans WHERE trace = ? ORDER BY start, id "
            + "LIMIT \(Retention.spansPerTrace)",
          arguments: [trace.description]
        ))
    }
    return counted(answer)
  }

  public var damagedRecords: Int { damaged.withLock { $0 } }

  public func applyRetention(nowUnixMicroseconds now: UInt64?) async throws(Failure) {
    let retention = retention
    try await write { database in
      for kind in Kind.allCases {
        let (table, time) = (kind.rawValue, kind.time)
        if let now {
          let cutoff = Int64(clamping: retention.cutoff(kind, nowUnixMicroseconds: now))
          try database.execute(
            sql: "DELETE FROM \(table) WHERE \(time) < ?", arguments: [cutoff])
          let future = now.addingCapped(Retention.futureMicroseconds)
          try database.execute(
            sql: "UPDATE \(table) SET \(time) = ? WHERE \(time) > ?",
            arguments: [Int64(clamping: now), Int64(clamping: future)])
        }
        // Delete by insertion order, not by time, so that a wrong clock does not affect the choice.
        try database.execute(
          sql: "DELETE FROM \(table) WHERE id <= "
            + "(SELECT id FROM \(table) ORDER BY id DESC LIMIT 1 OFFSET ?)",
          arguments: [retention.maximumRecords])
      }
      try Self.trim(database, to: retention.maximumBytes)
    }
  }

  /// Deletes the oldest inserted records until the rest takes at most `limit` bytes. The file keeps
  /// its pages and reuses them.
  private static func trim(_ database: Database, to limit: Int) throws {
    // Each pass deletes an eighth of the records, so 200 passes empty a file of any size.
    for _ in 0..<200 {
      guard try usedBytes(database) > limit else { return }
      for table in Kind.allCases.map(\.rawValue) {
        try database.execute(
          sql: "DELETE FROM \(table) WHERE id <= (SELECT id FROM \(table) ORDER BY id "
            + "LIMIT 1 OFFSET (SELECT COUNT(*) / 8 FROM \(table)))")
      }
    }
  }

  private static func usedBytes(_ database: Database) throws -> Int {
    func number(_ name: String) throws -> Int {
      try Int.fetchOne(database, sql: "PRAGMA \(name)") ?? 0
    }
    return try (number("page_count") - number("freelist_count")) * number("page_size")
  }

  public func close() async {
    // `close` fails only if statements are running. The file then closes when they end.
    try? pool.close()
  }

  // MARK: - Plumbing

  /// Records decoded from rows. A damaged row is left out and counted, so that it does not hide the
  /// other rows.
  private struct Decoded<Record: Sendable>: Sendable {
    var records: [Record] = []
    var damaged = 0

    init(_ decode: (Row) throws -> Record, _ rows: [Row]) {
      for row in rows {
        do {
          records.append(try decode(row))
        } catch {
          damaged += 1
        }
      }
    }
  }

  private func counted<Record>(_ answer: Decoded<Record>) -> [Record] {
    damaged.withLock { $0 += answer.damaged }
    return answer.records
  }

  private func write(
    _ work: @escaping @Sendable (Database) throws -> Void
  ) async throws(Failure) {
    do {
      try await pool.write(work)
    } catch {
      throw SQLiteFile.failure(error, path: path)
    }
  }

  @discardableResult
  private func read<Value: Sendable>(
    _ work: @escaping @Sendable (Database) throws -> Value
  ) async throws(Failure) -> Value {
    do {
      return try await pool.read(work)
    } catch {
      throw SQLiteFile.failure(error, path: path)
    }
  }

  /// The WHERE clause of a query. Column names are constants. Values are always bound.
  private struct Filter: Sendable {
    private var terms: [String] = []
    private(set) var arguments = StatementArguments()

    var clause: String { terms.isEmpty ? "" : "WHERE " + terms.joined(separator: " AND ") }

    mutating func require(_ term: String, _ value: (some DatabaseValueConvertible)?) {
      guard let value else { return }
      terms.append(term)
      arguments += [value]
    }

    mutating func requireOne(of values: [String], in column: String) {
      let marks = values.map { _ in "?" }.joined(separator: ", ")
      terms.append("\(column) IN (\(marks))")
      arguments += StatementArguments(values)
    }
  }
}
