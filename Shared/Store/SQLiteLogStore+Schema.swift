internal import ClusterModel
internal import Foundation
internal import GRDB

/// Tables of the store, and conversion between records and rows.
extension SQLiteLogStore {
  /// Released migrations never change. A schema change is a new migration.
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
    migrator.registerMigration("2: strict") { database in
      for table in strictTables { try table.replaceOld(in: database) }
    }
    migrator.registerMigration("3: keys of requests") { database in
      try database.execute(
        sql: """
          ALTER TABLE requests ADD COLUMN key TEXT NOT NULL DEFAULT '';
          CREATE INDEX requests_by_key ON requests (key, time);
          """)
    }
    migrator.registerMigration("4: cached tokens of requests") { database in
      try database.execute(
        sql: "ALTER TABLE requests ADD COLUMN cached_tokens INTEGER NOT NULL DEFAULT 0")
    }
    migrator.registerMigration("5: costs of requests") { database in
      try database.execute(
        sql: """
          ALTER TABLE requests ADD COLUMN cost_micro INTEGER;
          ALTER TABLE requests ADD COLUMN host_cost_micro INTEGER;
          ALTER TABLE requests ADD COLUMN finish_reason TEXT NOT NULL DEFAULT '';
          ALTER TABLE requests ADD COLUMN shares TEXT NOT NULL DEFAULT '[]';
          """)
    }
    return migrator
  }

  /// A table whose columns accept only values of their types.
  private struct StrictTable {
    enum Kind { case integer, text, optionalText }

    let name: String
    let columns: [(name: String, kind: Kind)]
    /// SQL statements that create the table's indexes.
    let indexes: [String]

    /// Copies the rows of the old table of the same name, which was not strict, and then replaces
    /// that table. Rows with values of the wrong type are dropped.
    func replaceOld(in database: Database) throws {
      let definitions = columns.map { column in
        switch column.kind {
        case .integer: "\(column.name) INTEGER NOT NULL"
        case .text: "\(column.name) TEXT NOT NULL"
        case .optionalText: "\(column.name) TEXT"
        }
      }
      let tests = columns.map { column in
        switch column.kind {
        case .integer: "typeof(\(column.name)) = 'integer'"
        case .text: "typeof(\(column.name)) = 'text'"
        case .optionalText: "typeof(\(column.name)) IN ('text', 'null')"
        }
      }
      let names = (["id"] + columns.map { $0.name }).joined(separator: ", ")
      try database.execute(
        sql: """
          CREATE TABLE strict_\(name) (
            id INTEGER PRIMARY KEY, \(definitions.joined(separator: ", "))) STRICT;
          INSERT INTO strict_\(name) (\(names)) SELECT \(names) FROM \(name)
            WHERE \(tests.joined(separator: " AND ")) ORDER BY id;
          DROP TABLE \(name);
          ALTER TABLE strict_\(name) RENAME TO \(name);
          """)
      for index in indexes { try database.execute(sql: index) }
    }
  }

  private static var strictTables: [StrictTable] {
    [
      StrictTable(
        name: "logs",
        columns: [
          ("time", .integer), ("level", .text), ("service", .text), ("message", .text),
          ("trace", .optionalText), ("attributes", .text),
        ],
        indexes: [
          "CREATE INDEX logs_by_time ON logs (time)",
          "CREATE INDEX logs_by_trace ON logs (trace, time) WHERE trace IS NOT NULL",
        ]),
      StrictTable(
        name: "spans",
        columns: [
          ("trace", .text), ("span", .text), ("parent", .text), ("service", .text),
          ("name", .text), ("start", .integer), ("duration", .integer), ("failed", .integer),
          ("attributes", .text),
        ],
        indexes: [
          "CREATE INDEX spans_by_start ON spans (start)",
          "CREATE INDEX spans_by_trace ON spans (trace, start)",
        ]),
      StrictTable(
        name: "requests",
        columns: [
          ("trace", .text), ("time", .integer), ("endpoint", .text), ("model", .text),
          ("pattern", .text), ("stream", .integer), ("status", .integer), ("error_code", .text),
          ("host", .text), ("prompt_tokens", .integer), ("completion_tokens", .integer),
          ("tokens_estimated", .integer), ("first_token_ms", .integer), ("total_ms", .integer),
        ],
        indexes: [
          "CREATE INDEX requests_by_time ON requests (time)",
          "CREATE INDEX requests_by_trace ON requests (trace)",
        ]),
    ]
  }

  /// The ids of a row are invalid, so another program must have written the row.
  private struct DamagedRow: Error {}

  static func insert(_ log: LogRecord, into database: Database) throws {
    try database.cachedStatement(
      sql: "INSERT INTO logs (time, level, service, message, trace, attributes) "
        + "VALUES (?, ?, ?, ?, ?, ?)"
    ).execute(arguments: [
      Int64(clamping: log.timeUnixMicroseconds), log.level.storable, log.service.storable,
      log.message.storable, log.trace?.description, try json(log.attributes),
    ])
  }

  static func log(_ row: Row) throws -> LogRecord {
    let trace = try row.decode(String?.self, forColumn: "trace")
    return LogRecord(
      timeUnixMicroseconds: try microseconds(row, "time"), level: try text(row, "level"),
      service: try text(row, "service"), message: try text(row, "message"),
      trace: trace.flatMap { TraceID($0) }, attributes: try attributes(row))
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

  static func span(_ row: Row) throws -> SpanRecord {
    guard let trace = TraceID(try text(row, "trace")),
      let span = UInt64(try text(row, "span"), radix: 16),
      let parent = UInt64(try text(row, "parent"), radix: 16)
    else { throw DamagedRow() }
    return SpanRecord(
      trace: trace, span: SpanID(span), parent: SpanID(parent), service: try text(row, "service"),
      name: try text(row, "name"), startUnixMicroseconds: try microseconds(row, "start"),
      durationMicroseconds: try microseconds(row, "duration"),
      failed: try row.decode(Bool.self, forColumn: "failed"), attributes: try attributes(row))
  }

  static func insert(_ request: RequestRecord, into database: Database) throws {
    try database.cachedStatement(
      sql: "INSERT INTO requests (trace, time, endpoint, model, pattern, stream, status, "
        + "error_code, host, prompt_tokens, completion_tokens, tokens_estimated, "
        + "first_token_ms, total_ms, key, cached_tokens, cost_micro, host_cost_micro, "
        + "finish_reason, shares) "
        + "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    ).execute(arguments: [
      request.trace.description, Int64(clamping: request.timeUnixMicroseconds),
      request.endpoint.storable, request.model.storable, request.pattern.storable, request.stream,
      request.status, request.errorCode.storable, request.host.storable,
      request.usage.promptTokens, request.usage.completionTokens, request.usage.estimated,
      request.firstTokenMilliseconds, request.totalMilliseconds, request.key.storable,
      request.usage.cachedTokens, request.cost?.millionths, request.hostCost?.millionths,
      request.finishReason.storable, try json(request.shares),
    ])
  }

  static func request(_ row: Row) throws -> RequestRecord {
    guard let trace = TraceID(try text(row, "trace")) else { throw DamagedRow() }
    return RequestRecord(
      trace: trace, timeUnixMicroseconds: try microseconds(row, "time"),
      key: try text(row, "key"), endpoint: try text(row, "endpoint"), model: try text(row, "model"),
      pattern: try text(row, "pattern"), stream: try row.decode(Bool.self, forColumn: "stream"),
      status: try number(row, "status"), errorCode: try text(row, "error_code"),
      host: try text(row, "host"),
      usage: Usage(
        promptTokens: try number(row, "prompt_tokens"),
        cachedTokens: try number(row, "cached_tokens"),
        completionTokens: try number(row, "completion_tokens"),
        estimated: try row.decode(Bool.self, forColumn: "tokens_estimated")),
      finishReason: try text(row, "finish_reason"), cost: try amount(row, "cost_micro"),
      hostCost: try amount(row, "host_cost_micro"), shares: try shares(row),
      firstTokenMilliseconds: try number(row, "first_token_ms"),
      totalMilliseconds: try number(row, "total_ms"))
  }

  static func usageRow(_ row: Row) throws -> KeyUsage.Row {
    KeyUsage.Row(
      day: try number(row, "day"), model: try text(row, "model"),
      requests: try number(row, "requests"), failed: try number(row, "failed"),
      usage: Usage(
        promptTokens: try number(row, "prompt_tokens"),
        cachedTokens: try number(row, "cached_tokens"),
        completionTokens: try number(row, "completion_tokens"),
        estimated: try row.decode(Bool.self, forColumn: "tokens_estimated")))
  }

  private static func text(_ row: Row, _ column: String) throws -> String {
    try row.decode(String.self, forColumn: column)
  }

  private static func number(_ row: Row, _ column: String) throws -> Int {
    try row.decode(Int.self, forColumn: column)
  }

  private static func microseconds(_ row: Row, _ column: String) throws -> UInt64 {
    UInt64(clamping: try row.decode(Int64.self, forColumn: column))
  }

  private static func json(_ attributes: [Attribute]) throws -> String {
    if attributes.isEmpty { return "[]" }
    let kept = attributes.map { Attribute($0.key.storable, $0.value.storable) }
    return String(decoding: try JSONEncoder().encode(kept), as: UTF8.self)
  }

  private static func amount(_ row: Row, _ column: String) throws -> CreditAmount? {
    try row.decode(Int64?.self, forColumn: column).map { CreditAmount(millionths: $0) }
  }

  private static func json(_ shares: [HostShare]) throws -> String {
    if shares.isEmpty { return "[]" }
    let kept = shares.map { share in
      var kept = share
      kept.host = HostID(share.host.name.storable)
      kept.model = ModelID(share.model.name.storable)
      return kept
    }
    return String(decoding: try JSONEncoder().encode(kept), as: UTF8.self)
  }

  private static func shares(_ row: Row) throws -> [HostShare] {
    let json = try text(row, "shares")
    if json == "[]" { return [] }
    return try JSONDecoder().decode([HostShare].self, from: Data(json.utf8))
  }

  private static func attributes(_ row: Row) throws -> [Attribute] {
    let json = try text(row, "attributes")
    if json == "[]" { return [] }
    return try JSONDecoder().decode([Attribute].self, from: Data(json.utf8))
  }
}
