import ClusterModel
import Foundation
import GRDB
import Store
import Testing

@Suite("Damaged rows, sizes and clocks")
struct DamagedStoreTests {
  private static let trace = TraceID(high: 1, low: 2)
  private static let hour: UInt64 = 3_600_000_000

  private func log(_ message: String, at time: UInt64) -> LogRecord {
    LogRecord(timeUnixMicroseconds: time, level: "info", service: "s", message: message)
  }

  private func batch(_ logs: [LogRecord]) -> TelemetryBatch {
    TelemetryBatch(service: "s", instance: "s", logs: logs)
  }

  /// Changes the file as another program might.
  private func edit(_ path: String, _ sql: String) throws {
    let file = try DatabaseQueue(path: path)
    try file.writeWithoutTransaction { try $0.execute(sql: sql) }
    try file.close()
  }

  @Test("a row that makes no sense is left out and counted; the others are answered")
  func damagedRows() async throws {
    let scratch = try Scratch()
    let path = scratch.path("monitor.sqlite")
    let store = try SQLiteLogStore(path: path)
    try await store.append([batch([log("one", at: 1), log("two", at: 2), log("three", at: 3)])])
    try edit(path, "UPDATE logs SET attributes = '{' WHERE message = 'two'")
    #expect(try await store.logs(LogQuery()).map(\.message) == ["three", "one"])
    #expect(store.damagedRecords == 1)
    let span = SpanRecord(
      trace: Self.trace, span: SpanID(7), parent: SpanID(0), service: "s", name: "n",
      startUnixMicroseconds: 1, durationMicroseconds: 1, failed: false)
    try await store.append([TelemetryBatch(service: "s", instance: "s", spans: [span, span])])
    try edit(path, "UPDATE spans SET span = 'xyz' WHERE id = 1")
    #expect(try await store.spans(of: Self.trace) == [span])
    #expect(store.damagedRecords == 2)
    await store.close()
  }

  @Test("no column takes a value of another type")
  func strict() async throws {
    let scratch = try Scratch()
    let (logs, hosts) = (scratch.path("monitor.sqlite"), scratch.path("registry.sqlite"))
    let (logStore, hostStore) = (try SQLiteLogStore(path: logs), try HostStore(path: hosts))
    try await logStore.append([batch([log("one", at: 1)])])
    try await hostStore.save(HostRecord(Host(id: "a", url: "http://a")))
    await logStore.close()
    await hostStore.close()
    #expect(throws: DatabaseError.self) { try edit(logs, "UPDATE logs SET time = 'noon'") }
    #expect(throws: DatabaseError.self) { try edit(hosts, "UPDATE hosts SET url = x'00ff'") }
  }

  /// Rebuilds the tables of a file without today's constraints on types, as an earlier version made
  /// them.
  /// - Parameter columns: columns of the first table that later migrations added.
  private func olderVersion(
    _ path: String, tables: [String], without columns: [String] = [], migrations: [String]
  ) throws {
    let file = try DatabaseQueue(path: path)
    try file.write { database in
      for table in tables {
        let sql = try String.fetchOne(
          database, sql: "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?",
          arguments: [table])
        let lenient = try #require(sql).replacing(" STRICT", with: "")
          .replacing("\"\(table)\"", with: "old_\(table)")
        try database.execute(sql: lenient)
        try database.execute(
          sql: """
            INSERT INTO old_\(table) SELECT * FROM \(table);
            DROP TABLE \(table);
            ALTER TABLE old_\(table) RENAME TO \(table);
            """)
      }
      for column in columns {
        try database.execute(sql: "ALTER TABLE \(tables[0]) DROP COLUMN \(column)")
      }
      for migration in migrations {
        try database.execute(
          sql: "DELETE FROM grdb_migrations WHERE identifier = ?", arguments: [migration])
      }
    }
    try file.close()
  }

  @Test("a file of an older version is read; its rows of wrong types are left out")
  func migrateLogs() async throws {
    let scratch = try Scratch()
    let path = scratch.path("monitor.sqlite")
    var store = try SQLiteLogStore(path: path)
    try await store.append([batch([log("one", at: 1), log("two", at: 2), log("three", at: 3)])])
    let request = RequestRecord(
      trace: TraceID(high: 1, low: 2), timeUnixMicroseconds: 4, endpoint: "/v1/embeddings",
      model: "m", pattern: "direct", stream: false, status: 200,
      usage: Usage(promptTokens: 7, completionTokens: 1), totalMilliseconds: 1)
    try await store.append([TelemetryBatch(service: "s", instance: "s-1", requests: [request])])
    await store.close()
    try olderVersion(
      path, tables: ["requests", "logs", "spans"],
      without: [
        "key", "cached_tokens", "cost_micro", "host_cost_micro", "finish_reason", "shares",
      ],
      migrations: [
        "2: strict", "3: keys of requests", "4: cached tokens of requests",
        "5: costs of requests",
      ])
    try edit(path, "UPDATE logs SET time = 'noon' WHERE message = 'two'")
    store = try SQLiteLogStore(path: path)
    #expect(try await store.logs(LogQuery()).map(\.message) == ["three", "one"])
    #expect(try await store.requests(RequestQuery(key: "")) == [request])
    try await store.append([batch([log("four", at: 4)])])
    #expect(try await store.logs(LogQuery(limit: 1)).map(\.message) == ["four"])
    await store.close()
  }

  @Test("hosts of an older version are kept, and a damaged row is named and stays")
  func migrateHosts() async throws {
    let scratch = try Scratch()
    let path = scratch.path("registry.sqlite")
    let records = ["a", "b"].map {
      HostRecord(Host(id: HostID($0), url: "http://\($0)", trust: .local, slots: 2))
    }
    var store = try HostStore(path: path)
    for record in records { try await store.save(record) }
    await store.close()
    try olderVersion(
      path, tables: ["hosts"],
      without: [
        "omits_v1", "models", "tags", "region", "drained", "price_input", "price_output",
      ],
      migrations: ["3: strict", "4: models", "5: tags", "6: prices of prompts and answers"])
    try edit(path, "ALTER TABLE hosts ADD COLUMN price INTEGER NOT NULL DEFAULT 0")
    try edit(path, "UPDATE hosts SET slots = 'many' WHERE id = 'b'")
    do {
      _ = try HostStore(path: path)
      Issue.record("opened")
    } catch {
      #expect(error.code == .storeDamaged && error.message.contains("'b'"), "\(error)")
    }
    try edit(path, "UPDATE hosts SET slots = 2 WHERE id = 'b'")
    store = try HostStore(path: path)
    #expect(try await store.hosts() == records)
    await store.close()
  }

  @Test("the oldest arrivals are removed when the file is full, whatever their times")
  func bytes() async throws {
    let scratch = try Scratch()
    let path = scratch.path("monitor.sqlite")
    let limit = 1 << 20
    let store = try SQLiteLogStore(
      path: path,
      retention: Retention(
        maximumRecords: .max, maximumAge: .seconds(1 << 40), maximumBytes: limit))
    let filler = String(repeating: "x", count: 1_000)
    for round in 0..<80 {
      // The clock runs backwards, so the newest records have the oldest times.
      let logs = (0..<50).map { log("\(round) \($0) \(filler)", at: UInt64(10_000 - round)) }
      try await store.append([batch(logs)])
    }
    let kept = try await store.logs(LogQuery(limit: 1_000))
    #expect(kept.contains { $0.message.hasPrefix("79 49 ") })
    #expect(!kept.contains { $0.message.hasPrefix("0 ") })
    #expect(kept.count > 300)
    await store.close()
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    let size = (attributes[.size] as? NSNumber)?.intValue
    // The file exceeds its limit by one write at most, because later writes reuse its free pages.
    #expect(try #require(size) < limit * 5 / 4)
  }

  @Test("records from the future are dated back and age like all others")
  func future() async throws {
    let scratch = try Scratch()
    let store = try SQLiteLogStore(
      path: scratch.path("monitor.sqlite"),
      retention: Retention(maximumRecords: 100, maximumAge: .seconds(3_600)))
    let now = 1_000 * Self.hour
    try await store.append([
      batch([log("ahead", at: now + 9_000 * Self.hour), log("now", at: now)])
    ])
    try await store.applyRetention(nowUnixMicroseconds: now)
    #expect(try await store.logs(LogQuery()).map(\.timeUnixMicroseconds) == [now, now])
    // The clock is not trusted, so no record counts as old.
    try await store.applyRetention(nowUnixMicroseconds: nil)
    #expect(try await store.logs(LogQuery()).count == 2)
    try await store.applyRetention(nowUnixMicroseconds: now + 2 * Self.hour)
    #expect(try await store.logs(LogQuery()).isEmpty)
    await store.close()
  }

  @Test("a clock that jumps a year ahead and back is not believed until it is steady again")
  func clock() {
    var clock = ClockTrust(patience: .seconds(3_600))
    var wall = 500_000 * Self.hour
    var uptime = Duration.zero
    let year = Int64(8_760 * Self.hour)
    // Microseconds by which the clock jumps between two readings. Ten minutes pass between
    // readings.
    let start: [Int64] = [0, 0, 0, 0, 0, 0, 0]
    let correction: [Int64] = [2_000_000, -2_000_000]
    let there: [Int64] = [year, 0]
    let back: [Int64] = [-year, 0, 0, 0, 0, 0, 0]
    var answers: [Bool] = []
    for jump in start + correction + there + back {
      wall = UInt64(Int64(wall) + 600_000_000 + jump)
      uptime += .seconds(600)
      answers.append(clock.isSteady(wallUnixMicroseconds: wall, uptime: uptime))
    }
    // The clock is steady one hour after the start, and one hour after the last jump.
    let hour = [false, false, false, false, false, false, true]
    #expect(answers == hour + [true, true] + [false, false] + hour)
  }
}
