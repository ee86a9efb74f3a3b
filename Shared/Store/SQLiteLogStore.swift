public import ClusterModel
internal import Foundation
internal import GRDB

/// The embedded default: one SQLite file in write-ahead mode, so that readers never wait for the
/// writer. GRDB runs every statement on queues of its own, never on Swift's cooperative threads.
public final class SQLiteLogStore: LogStore {
  private let path: String
  private let retention: Retention
  private let pool: DatabasePool

  /// - Parameter path: of the database file; created if absent.
  public init(path: String, retention: Retention = .standard) throws(Failure) {
    self.path = path
    self.retention = retention
    pool = try SQLiteFile.open(path: path, migrator: Self.migrator, verify: false) {
      path, configuration in
      var configuration = configuration
      // One reader a core of a small machine: an operator's queries are few.
      configuration.maximumReaderCount = 2
      return try DatabasePool(path: path, configuration: configuration)
    }
  }

  public func prepare() async throws(Failure) {
    try await read { database in try Int.fetchOne(database, sql: "SELECT 1") }
  }

  public func append(_ batches: [TelemetryBatch]) async throws(Failure) {
    try await write { database in
      for batch in batches {
        for log in batch.logs { try Self.insert(log, into: database) }
        for span in batch.spans { try Self.insert(span, into: database) }
        for request in batch.requests { try Self.insert(request, into: database) }
      }
    }
  }

  public func logs(_ query: LogQuery) async throws(Failure) -> [LogRecord] {
    var filter = Filter()
    filter.require("trace = ?", query.trace?.description)
    filter.require("service = ?", query.service?.storable)
    filter.require("time >= ?", query.sinceUnixMicroseconds.map { Int64(clamping: $0) })
    if let level = query.level { filter.requireOne(of: level.andWorse, in: "level") }
    return try await read { [filter] database in
      try Row.fetchAll(
        database,
        sql: "SELECT * FROM logs \(filter.clause) ORDER BY time DESC, id DESC LIMIT \(query.limit)",
        arguments: filter.arguments
      ).map(Self.log)
    }
  }

  public func requests(_ query: RequestQuery) async throws(Failure) -> [RequestRecord] {
    var filter = Filter()
    filter.require("trace = ?", query.trace?.description)
    filter.require("time >= ?", query.sinceUnixMicroseconds.map { Int64(clamping: $0) })
    return try await read { [filter] database in
      try Row.fetchAll(
        database,
        sql: "SELECT * FROM requests \(filter.clause) ORDER BY time DESC, id DESC "
          + "LIMIT \(query.limit)",
        arguments: filter.arguments
      ).compactMap(Self.request)
    }
  }

  public func spans(of trace: TraceID) async throws(Failure) -> [SpanRecord] {
    try await read { database in
      try Row.fetchAll(
        database,
        sql: "SELECT * FROM spans WHERE trace = ? ORDER BY start, id "
          + "LIMIT \(Retention.spansPerTrace)",
        arguments: [trace.description]
      ).compactMap(Self.span)
    }
  }

  public func applyRetention(nowUnixMicroseconds now: UInt64) async throws(Failure) {
    let cutoff = Int64(clamping: retention.cutoff(nowUnixMicroseconds: now))
    let keep = retention.maximumRecords
    try await write { database in
      for (table, time) in [("logs", "time"), ("spans", "start"), ("requests", "time")] {
        try database.execute(
          sql: "DELETE FROM \(table) WHERE \(time) < ?", arguments: [cutoff])
        // Whatever shares the first time that is too many goes with it.
        try database.execute(
          sql: "DELETE FROM \(table) WHERE \(time) <= "
            + "(SELECT \(time) FROM \(table) ORDER BY \(time) DESC LIMIT 1 OFFSET ?)",
          arguments: [keep])
      }
    }
  }

  public func close() async {
    // Fails only while statements run, and then the file closes when they end.
    try? pool.close()
  }

  // MARK: - Plumbing

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

  /// The WHERE clause of a query. Columns are constants, values are always bound.
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
