import ClusterModel
import ClusterTesting
import Store
import Testing

/// Checks that both stores behave the same.
@Suite("A log store", .mongoServer, .timeLimit(.minutes(5)))
struct LogStoreTests {
  enum Backend: String, CaseIterable, CustomTestStringConvertible {
    case sqlite, mongodb
    var testDescription: String { rawValue }
  }

  /// Runs `body` with an empty store.
  private func withStore(
    _ backend: Backend, retention: Retention = .standard,
    _ body: (any LogStore) async throws -> Void
  ) async throws {
    let scratch = try Scratch()
    let store: any LogStore =
      switch backend {
      case .sqlite: try SQLiteLogStore(path: scratch.path("log.sqlite"), retention: retention)
      case .mongodb:
        try MongoLogStore(
          uri: try MongoServer.freshDatabase(), retention: retention, patience: .seconds(20))
      }
    try await store.prepare()
    try await body(store)
    await store.close()
    withExtendedLifetime(scratch) {}
  }

  /// Times are in the year 2096. A MongoDB server deletes old records by itself and must find none.
  private static let base: UInt64 = 4_000_000_000_000_000

  private static let trace = TraceID(high: 0xFEDC_BA98_7654_3210, low: 1)
  private static let otherTrace = TraceID(high: 0, low: UInt64.max)

  @Test("gives back every member of a record as it was", arguments: Backend.allCases)
  func roundTrip(_ backend: Backend) async throws {
    let log = LogRecord(
      timeUnixMicroseconds: Self.base + 123_456, level: "warning", service: "gateway",
      message: "naïve 🎼 {\"quoted\"} 'n' \u{FFFD} $where", trace: Self.trace,
      attributes: [
        Attribute("k", "1"), Attribute("k", "2"), Attribute("", ""), Attribute("a.b", "$"),
      ])
    let bare = LogRecord(
      timeUnixMicroseconds: Self.base, level: "info", service: "", message: "")
    let span = SpanRecord(
      trace: Self.trace, span: SpanID(.max), parent: SpanID(1 << 63), service: "planner",
      name: "plan", startUnixMicroseconds: Self.base + 1, durationMicroseconds: 7,
      failed: true, attributes: [Attribute("host", "h:1")])
    let request = RequestRecord(
      trace: Self.trace, timeUnixMicroseconds: Self.base + 3, key: "abcdefghij23",
      endpoint: "/v1/chat/completions", model: "tutti/ensemble", pattern: "tutti/ensemble",
      stream: true, status: 502, errorCode: "upstream_failed", host: "127.0.0.1:1",
      usage: Usage(
        promptTokens: 5_000_000_000, cachedTokens: 4_000_000_000, completionTokens: 2,
        estimated: true),
      finishReason: "length", cost: CreditAmount(millionths: 5_000_000_000),
      hostCost: CreditAmount(millionths: 1),
      shares: [
        HostShare(
          host: "127.0.0.1:1", model: "naïve\"m", promptTokens: 5_000_000_000,
          completionTokens: 2, cost: .zero),
        HostShare(host: "h", model: "m", promptTokens: 1, completionTokens: 0),
      ],
      firstTokenMilliseconds: 12, totalMilliseconds: 99)
    try await withStore(backend) { store in
      try await store.append([
        TelemetryBatch(
          service: "x", instance: "x-1", logs: [log, bare], spans: [span], requests: [request])
      ])
      #expect(try await store.logs(LogQuery()) == [log, bare])
      #expect(try await store.spans(of: Self.trace) == [span])
      #expect(try await store.requests(RequestQuery()) == [request])
      #expect(try await store.spans(of: Self.otherTrace) == [])
    }
  }

  @Test("shows a NUL as ␀ instead of ending the text there", arguments: Backend.allCases)
  func nul(_ backend: Backend) async throws {
    try await withStore(backend) { store in
      let log = LogRecord(
        timeUnixMicroseconds: Self.base, level: "info", service: "s", message: "a\0b",
        attributes: [Attribute("k\0", "\0v")])
      try await store.append([TelemetryBatch(service: "s", instance: "s-1", logs: [log])])
      let kept = try await store.logs(LogQuery())
      #expect(kept.map(\.message) == ["a␀b"])
      #expect(kept.first?.attributes == [Attribute("k␀", "␀v")])
    }
  }

  @Test("answers every combination of filters like a plain search", arguments: Backend.allCases)
  func filters(_ backend: Backend) async throws {
    var rng = SeededGenerator(seed: 11)
    let traces: [TraceID?] = [nil, Self.trace, Self.otherTrace]
    let services = ["gateway", "planner"]
    let levels = LogSeverity.allCases
    // The times are distinct and shuffled, so that "newest first" has only one correct order.
    let times = (1...120).map { Self.base + UInt64($0) * 1_000 }.shuffled(using: &rng)
    let logs = times.map { time in
      LogRecord(
        timeUnixMicroseconds: time, level: levels.randomElement(using: &rng)!.rawValue,
        service: services.randomElement(using: &rng)!, message: "at \(time)",
        trace: traces.randomElement(using: &rng)!)
    }
    try await withStore(backend) { store in
      try await store.append([
        TelemetryBatch(service: "a", instance: "a-1", logs: Array(logs[..<50])),
        TelemetryBatch(service: "b", instance: "b-1"),
        TelemetryBatch(service: "b", instance: "b-1", logs: Array(logs[50...])),
      ])
      for trial in 0..<40 {
        let query = LogQuery(
          trace: traces.randomElement(using: &rng)!,
          service: Bool.random(using: &rng) ? services.randomElement(using: &rng) : nil,
          level: Bool.random(using: &rng) ? levels.randomElement(using: &rng) : nil,
          sinceUnixMicroseconds: Bool.random(using: &rng) ? times.randomElement(using: &rng) : nil,
          limit: Int.random(in: 1...130, using: &rng))
        let expected = logs.filter { log in
          (query.trace == nil || log.trace == query.trace)
            && (query.service == nil || log.service == query.service)
            && (query.level == nil || LogSeverity(rawValue: log.level)! >= query.level!)
            && log.timeUnixMicroseconds >= query.sinceUnixMicroseconds ?? 0
        }.sorted { $0.timeUnixMicroseconds > $1.timeUnixMicroseconds }.prefix(query.limit)
        #expect(try await store.logs(query) == Array(expected), "trial \(trial): \(query)")
      }
    }
  }

  private static func request(_ trace: TraceID, at time: UInt64) -> RequestRecord {
    RequestRecord(
      trace: trace, timeUnixMicroseconds: time, endpoint: "/v1/completions", model: "m",
      pattern: "direct", stream: false, status: 200, totalMilliseconds: 1)
  }

  private static func request(
    of key: String, at time: UInt64, model: String, status: Int = 200, prompt: Int = 0,
    cached: Int = 0, completion: Int = 0, estimated: Bool = false
  ) -> RequestRecord {
    RequestRecord(
      trace: trace, timeUnixMicroseconds: time, key: key, endpoint: "/v1/completions",
      model: model, pattern: "direct", stream: false, status: status,
      usage: Usage(
        promptTokens: prompt, cachedTokens: cached, completionTokens: completion,
        estimated: estimated),
      totalMilliseconds: 1)
  }

  @Test("lists the requests of one key", arguments: Backend.allCases)
  func requestsOfKey(_ backend: Backend) async throws {
    try await withStore(backend) { store in
      let own = Self.request(of: "k", at: Self.base + 10, model: "m")
      let other = Self.request(of: "k2", at: Self.base + 20, model: "m")
      let keyless = Self.request(Self.trace, at: Self.base + 30)
      try await store.append([
        TelemetryBatch(service: "g", instance: "g", requests: [own, other, keyless])
      ])
      #expect(try await store.requests(RequestQuery(key: "k")) == [own])
      #expect(try await store.requests(RequestQuery(key: "")) == [keyless])
      #expect(try await store.requests(RequestQuery(key: "k3")) == [])
      #expect(try await store.requests(RequestQuery()) == [keyless, other, own])
    }
  }

  @Test("sums a key's requests by day and model", arguments: Backend.allCases)
  func usage(_ backend: Backend) async throws {
    let day: UInt64 = 86_400_000_000
    let first = Self.base / day
    let requests = [
      Self.request(of: "k", at: first * day - 1, model: "before", prompt: 1),
      Self.request(of: "k", at: first * day, model: "a", prompt: 1, cached: 1, completion: 2),
      Self.request(
        of: "k", at: first * day + day - 1, model: "a", prompt: 3, cached: 2, estimated: true),
      Self.request(of: "k", at: first * day + day, model: "a", prompt: 5),
      Self.request(of: "k", at: first * day + day, model: "b", status: 503),
      Self.request(of: "k", at: first * day + day, model: "c", prompt: 2, completion: 9),
      Self.request(of: "k2", at: first * day + day, model: "a", prompt: 1_000),
      Self.request(of: "", at: first * day + day, model: "a", prompt: 1_000),
    ]
    func row(
      _ day: UInt64, _ model: String, _ requests: Int, failed: Int = 0, _ prompt: Int,
      cached: Int = 0, _ completion: Int, estimated: Bool = false
    ) -> KeyUsage.Row {
      KeyUsage.Row(
        day: Int(day), model: model, requests: requests, failed: failed,
        usage: Usage(
          promptTokens: prompt, cachedTokens: cached, completionTokens: completion,
          estimated: estimated))
    }
    try await withStore(backend) { store in
      #expect(
        try await store.usage(UsageQuery(key: "k", sinceUnixMicroseconds: 0))
          == KeyUsage(rows: []))
      try await store.append([TelemetryBatch(service: "g", instance: "g", requests: requests)])
      let query = UsageQuery(key: "k", sinceUnixMicroseconds: first * day)
      let rows = [
        row(first + 1, "c", 1, 2, 9), row(first + 1, "a", 1, 5, 0),
        row(first + 1, "b", 1, failed: 1, 0, 0),
        row(first, "a", 2, 4, cached: 3, 2, estimated: true),
      ]
      let usage = KeyUsage(rows: rows, oldestUnixMicroseconds: first * day - 1)
      #expect(try await store.usage(query) == usage)
      let short = UsageQuery(key: "k", sinceUnixMicroseconds: first * day, limit: 2)
      #expect(try await store.usage(short).rows == Array(rows.prefix(2)))
      #expect(try await store.usage(short).isCut)
      let exact = UsageQuery(key: "k", sinceUnixMicroseconds: first * day, limit: 4)
      #expect(try await store.usage(exact) == usage)
    }
  }

  private static func span(_ id: UInt64, at start: UInt64) -> SpanRecord {
    SpanRecord(
      trace: trace, span: SpanID(id), parent: .none, service: "s", name: "n",
      startUnixMicroseconds: start, durationMicroseconds: 1)
  }

  @Test("lists requests newest first, by trace and since a time", arguments: Backend.allCases)
  func requests(_ backend: Backend) async throws {
    try await withStore(backend) { store in
      let old = Self.request(Self.trace, at: Self.base + 10)
      let new = Self.request(Self.otherTrace, at: Self.base + 20)
      try await store.append([TelemetryBatch(service: "g", instance: "g", requests: [old, new])])
      #expect(try await store.requests(RequestQuery()) == [new, old])
      #expect(try await store.requests(RequestQuery(limit: 1)) == [new])
      #expect(try await store.requests(RequestQuery(trace: Self.trace)) == [old])
      #expect(
        try await store.requests(RequestQuery(sinceUnixMicroseconds: Self.base + 11)) == [new])
      #expect(try await store.requests(RequestQuery(sinceUnixMicroseconds: Self.base + 21)) == [])
    }
  }

  @Test("lists the spans of a trace by their start", arguments: Backend.allCases)
  func spans(_ backend: Backend) async throws {
    try await withStore(backend) { store in
      let spans = [
        Self.span(1, at: Self.base + 30), Self.span(2, at: Self.base + 10),
        Self.span(3, at: Self.base + 20),
      ]
      try await store.append([TelemetryBatch(service: "g", instance: "g", spans: spans)])
      #expect(try await store.spans(of: Self.trace).map(\.span.value) == [2, 3, 1])
    }
  }

  @Test("drops what is older than its age", arguments: Backend.allCases)
  func age(_ backend: Backend) async throws {
    let retention = Retention(maximumRecords: 1_000, maximumAge: .seconds(10))
    let now = Self.base
    let stale = now - 10_000_001
    let fresh = now - 10_000_000
    try await withStore(backend, retention: retention) { store in
      try await store.append([
        TelemetryBatch(
          service: "g", instance: "g",
          logs: [stale, fresh].map {
            LogRecord(timeUnixMicroseconds: $0, level: "info", service: "g", message: "")
          },
          spans: [Self.span(1, at: stale), Self.span(2, at: fresh)],
          requests: [Self.request(Self.trace, at: stale), Self.request(Self.trace, at: fresh)])
      ])
      try await store.applyRetention(nowUnixMicroseconds: now)
      #expect(try await store.logs(LogQuery()).map(\.timeUnixMicroseconds) == [fresh])
      #expect(try await store.spans(of: Self.trace).map(\.span.value) == [2])
      #expect(try await store.requests(RequestQuery()).map(\.timeUnixMicroseconds) == [fresh])
    }
  }

  @Test("keeps requests longer than logs and spans", arguments: Backend.allCases)
  func requestAge(_ backend: Backend) async throws {
    let retention = Retention(
      maximumRecords: 1_000, maximumAge: .seconds(10), maximumRequestAge: .seconds(20))
    let times = [20_000_001, 20_000_000, 10_000_001].map { Self.base - $0 }
    try await withStore(backend, retention: retention) { store in
      try await store.append([
        TelemetryBatch(
          service: "g", instance: "g", spans: times.map { Self.span($0, at: $0) },
          requests: times.map { Self.request(Self.trace, at: $0) })
      ])
      try await store.applyRetention(nowUnixMicroseconds: Self.base)
      #expect(
        try await store.requests(RequestQuery()).map(\.timeUnixMicroseconds)
          == times.dropFirst().reversed())
      #expect(try await store.spans(of: Self.trace).isEmpty)
    }
  }

  @Test("dates records from the future back, so that they expire", arguments: Backend.allCases)
  func future(_ backend: Backend) async throws {
    let retention = Retention(maximumRecords: 1_000, maximumAge: .seconds(10))
    let now = Self.base
    let hour: UInt64 = 3_600_000_000
    try await withStore(backend, retention: retention) { store in
      try await store.append([
        TelemetryBatch(
          service: "g", instance: "g",
          logs: [now + 23 * hour, now + 25 * hour].map {
            LogRecord(timeUnixMicroseconds: $0, level: "info", service: "g", message: "")
          })
      ])
      try await store.applyRetention(nowUnixMicroseconds: now)
      #expect(
        try await store.logs(LogQuery()).map(\.timeUnixMicroseconds) == [now + 23 * hour, now])
      try await store.applyRetention(nowUnixMicroseconds: now + hour)
      #expect(try await store.logs(LogQuery()).map(\.timeUnixMicroseconds) == [now + 23 * hour])
    }
  }

  @Test("keeps the newest of too many", arguments: Backend.allCases)
  func count(_ backend: Backend) async throws {
    let retention = Retention(maximumRecords: 3, maximumAge: .seconds(1_000_000))
    let base = Self.base
    try await withStore(backend, retention: retention) { store in
      let times = (0..<10).map { base + UInt64($0) }
      try await store.append([
        TelemetryBatch(
          service: "g", instance: "g", spans: times.map { Self.span($0, at: $0) },
          requests: times.map { Self.request(Self.trace, at: $0) })
      ])
      try await store.applyRetention(nowUnixMicroseconds: base + 10)
      let newest = Array(times.suffix(3))
      #expect(
        try await store.requests(RequestQuery()).map(\.timeUnixMicroseconds) == newest.reversed())
      #expect(try await store.spans(of: Self.trace).map(\.startUnixMicroseconds) == newest)
      try await store.applyRetention(nowUnixMicroseconds: base + 10)
      #expect(try await store.requests(RequestQuery()).count == 3)
    }
  }

  @Test("MongoDB keeps each record once when a batch is given again after a failure half-way")
  func again() async throws {
    let line = LogRecord(
      timeUnixMicroseconds: Self.base, level: "info", service: "g", message: "twice in one batch")
    let first = LogRecord(
      timeUnixMicroseconds: Self.base + 1, level: "info", service: "g", message: "first")
    let second = LogRecord(
      timeUnixMicroseconds: Self.base + 2, level: "info", service: "g", message: "second")
    let span = Self.span(1, at: Self.base)
    let request = Self.request(Self.trace, at: Self.base)
    try await withStore(.mongodb) { store in
      // The connection broke after a part of the batch was stored.
      try await store.append([
        TelemetryBatch(
          service: "g", instance: "g-1", logs: [line, line, first], spans: [span])
      ])
      // Then the whole batch is sent again.
      let whole = TelemetryBatch(
        service: "g", instance: "g-1", logs: [line, line, first, second], spans: [span],
        requests: [request])
      try await store.append([whole])
      try await store.append([whole])
      #expect(try await store.logs(LogQuery()) == [second, first, line, line])
      #expect(try await store.spans(of: Self.trace) == [span])
      #expect(try await store.requests(RequestQuery()) == [request])
      // The same record from another process is stored too.
      try await store.append([TelemetryBatch(service: "g", instance: "g-2", logs: [first])])
      #expect(try await store.logs(LogQuery()) == [second, first, first, line, line])
    }
  }

  @Test("loses nothing to writers and readers at once", arguments: Backend.allCases)
  func concurrent(_ backend: Backend) async throws {
    try await withStore(backend) { store in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for writer in 0..<8 {
          group.addTask {
            let logs = (0..<25).map {
              LogRecord(
                timeUnixMicroseconds: Self.base + UInt64(writer * 25 + $0), level: "info",
                service: "w", message: "\(writer * 25 + $0)")
            }
            try await store.append([TelemetryBatch(service: "w", instance: "w", logs: logs)])
          }
          group.addTask { _ = try await store.logs(LogQuery(service: "w", limit: 10)) }
        }
        try await group.waitForAll()
      }
      let kept = try await store.logs(LogQuery(limit: 1_000))
      #expect(kept.map(\.message) == (0..<200).reversed().map { "\($0)" })
    }
  }

  @Test(
    "a limit is never less than one or more than a thousand",
    arguments: [-1, 0, 1, 5, 1_000, Int.max])
  func limits(_ limit: Int) {
    #expect(LogQuery.limits.contains(LogQuery(limit: limit).limit))
    #expect(RequestQuery(limit: limit).limit == LogQuery(limit: limit).limit)
    let usage = UsageQuery(key: "k", sinceUnixMicroseconds: 0, limit: limit)
    #expect(usage.limit == LogQuery(limit: limit).limit)
  }
}
