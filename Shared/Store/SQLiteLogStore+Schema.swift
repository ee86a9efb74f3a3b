internal import ClusterModel
internal import Foundation
internal import GRDB

/// Tables, and the way from a record to a row and back.
extension SQLiteLogStore {
  /// A migration that was released is never changed; a change is a new migration.
  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: logs, spans, requests") { database in
      try database.execute(
        sql: """
          CREATE TABLE logs (
            id INTEGER PRIMARY KEY, time INTEGER NOT NULL, level TEXT NOT NULL,
            service TEXT NOT NULL, message TEXT NOT NULL, trace TEXT, attributes TEXT NOT NULL);
          CREATE INDEX logs_by_time ON logs (time);
          CREATE INDEX logs_by_trace ON logs (trace, time) WHERE trace IS NOT NULL;
          CREATE TABLE spans (
            id INTEGER PRIMARY KEY, trace TEXT NOT NULL, span TEXT NOT NULL, parent TEXT NOT NULL,
            service TEXT NOT NULL, name TEXT NOT NULL, start INTEGER NOT NULL,
            duration INTEGER NOT NULL, failed INTEGER NOT NULL, attributes TEXT NOT NULL);
          CREATE INDEX spans_by_start ON spans (start);
          CREATE INDEX spans_by_trace ON spans (trace, start);
          CREATE TABLE requests (
            id INTEGER PRIMARY KEY, trace TEXT NOT NULL, time INTEGER NOT NULL,
            endpoint TEXT NOT NULL, model TEXT NOT NULL, pattern TEXT NOT NULL,
            stream INTEGER NOT NULL, status INTEGER NOT NULL, error_code TEXT NOT NULL,
            host TEXT NOT NULL, prompt_tokens INTEGER NOT NULL,
            completion_tokens INTEGER NOT NULL, tokens_estimated INTEGER NOT NULL,
            first_token_ms INTEGER NOT NULL, total_ms INTEGER NOT NULL);
          CREATE INDEX requests_by_time ON requests (time);
          CREATE INDEX requests_by_trace ON requests (trace);
          """)
    }
    return migrator
  }

  static func insert(_ log: LogRecord, into database: Database) throws {
    try database.cachedStatement(
      sql: "INSERT INTO logs (time, level, service, message, trace, attributes) "
        + "VALUES (?, ?, ?, ?, ?, ?)"
    ).execute(arguments: [
      Int64(clamping: log.timeUnixMicroseconds), log.level.storable, log.service.storable,
      log.message.storable, log.trace?.description, try json(log.attributes),
    ])
  }

  static func log(_ row: Row) -> LogRecord {
    let trace: String? = row["trace"]
    return LogRecord(
      timeUnixMicroseconds: microseconds(row["time"]), level: row["level"],
      service: row["service"], message: row["message"], trace: trace.flatMap { TraceID($0) },
      attributes: attributes(row["attributes"]))
  }

  static func insert(_ span: SpanRecord, into database: Database) throws {
    try database.cachedStatement(
      sql: "INSERT INTO spans "
        + "(trace, span, parent, service, name, start, duration, failed, attributes) "
        + "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ).execute(arguments: [
      span.trace.description, span.span.description, span.parent.description,
      span.service.storable, span.name.storable, Int64(clamping: span.startUnixMicroseconds),
      Int64(clamping: span.durationMicroseconds), span.failed, try json(span.attributes),
    ])
  }

  /// Nil if somebody else wrote the row and its ids make no sense.
  static func span(_ row: Row) -> SpanRecord? {
    let trace: String = row["trace"]
    let span: String = row["span"]
    let parent: String = row["parent"]
    guard let trace = TraceID(trace), let span = UInt64(span, radix: 16),
      let parent = UInt64(parent, radix: 16)
    else { return nil }
    return SpanRecord(
      trace: trace, span: SpanID(span), parent: SpanID(parent), service: row["service"],
      name: row["name"], startUnixMicroseconds: microseconds(row["start"]),
      durationMicroseconds: microseconds(row["duration"]), failed: row["failed"],
      attributes: attributes(row["attributes"]))
  }

  static func insert(_ request: RequestRecord, into database: Database) throws {
    try database.cachedStatement(
      sql: "INSERT INTO requests (trace, time, endpoint, model, pattern, stream, status, "
        + "error_code, host, prompt_tokens, completion_tokens, tokens_estimated, "
        + "first_token_ms, total_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ).execute(arguments: [
      request.trace.description, Int64(clamping: request.timeUnixMicroseconds),
      request.endpoint.storable, request.model.storable, request.pattern.storable, request.stream,
      request.status, request.errorCode.storable, request.host.storable,
      request.usage.promptTokens, request.usage.completionTokens, request.usage.estimated,
      request.firstTokenMilliseconds, request.totalMilliseconds,
    ])
  }

  /// Nil if somebody else wrote the row and its trace id makes no sense.
  static func request(_ row: Row) -> RequestRecord? {
    let trace: String = row["trace"]
    guard let trace = TraceID(trace) else { return nil }
    return RequestRecord(
      trace: trace, timeUnixMicroseconds: microseconds(row["time"]), endpoint: row["endpoint"],
      model: row["model"], pattern: row["pattern"], stream: row["stream"],
      status: row["status"], errorCode: row["error_code"], host: row["host"],
      usage: Usage(
        promptTokens: row["prompt_tokens"], completionTokens: row["completion_tokens"],
        estimated: row["tokens_estimated"]),
      firstTokenMilliseconds: row["first_token_ms"], totalMilliseconds: row["total_ms"])
  }

  private static func microseconds(_ value: Int64) -> UInt64 { UInt64(clamping: value) }

  private static func json(_ attributes: [Attribute]) throws -> String {
    if attributes.isEmpty { return "[]" }
    let kept = attributes.map { Attribute($0.key.storable, $0.value.storable) }
    return String(decoding: try JSONEncoder().encode(kept), as: UTF8.self)
  }

  private static func attributes(_ json: String) -> [Attribute] {
    if json == "[]" { return [] }
    return (try? JSONDecoder().decode([Attribute].self, from: Data(json.utf8))) ?? []
  }
}
