import Access
import ClusterModel
import Foundation
import HTTPTypes
import Store
import Telemetry
import Testing

@Suite("Access to the monitor")
struct MonitorAccessTests {
  private static let ownTrace = TraceID(high: 1, low: 1)
  private static let otherTrace = TraceID(high: 1, low: 2)
  private static let runningTrace = TraceID(high: 1, low: 3)
  private static let unknownTrace = TraceID(high: 9, low: 9)
  private static let paths = [
    "/logs", "/requests", "/usage?days=1", "/traces/\(ownTrace)", "/overview", "/metrics",
  ]

  private let client: APIKey
  private let colleague: APIKey
  private let reader: APIKey
  private let scraper: APIKey
  private let records: [KeyRecord]

  init() throws {
    client = try TestMonitor.key(1)
    colleague = try TestMonitor.key(2)
    reader = try TestMonitor.key(3)
    scraper = try TestMonitor.key(4)
    records = [
      try TestMonitor.record(client, [.chat]), try TestMonitor.record(colleague, [.chat, .plans]),
      try TestMonitor.record(reader, [.logs]), try TestMonitor.record(scraper, [.metrics]),
    ]
  }

  private func request(_ trace: TraceID, key: APIKey, model: String) -> RequestRecord {
    RequestRecord(
      trace: trace, timeUnixMicroseconds: UnixTime.microseconds(), key: "\(key.id)",
      endpoint: "/v1/chat/completions", model: model, pattern: "direct", stream: false,
      status: 200, usage: Usage(promptTokens: 3, cachedTokens: 2, completionTokens: 4),
      totalMilliseconds: 1)
  }

  private func span(_ trace: TraceID) -> SpanRecord {
    SpanRecord(
      trace: trace, span: SpanID(1), parent: .none, service: "gateway", name: "request",
      startUnixMicroseconds: UnixTime.microseconds(), durationMicroseconds: 1)
  }

  /// A monitor that has one finished request of each of two clients, and one unfinished request.
  private func monitor(arguments: [String] = []) async throws -> TestMonitor {
    let monitor = try TestMonitor(keys: records, arguments: arguments)
    try await monitor.store.append([
      TelemetryBatch(
        service: "gateway", instance: "gateway",
        spans: [span(Self.ownTrace), span(Self.otherTrace), span(Self.runningTrace)],
        requests: [
          request(Self.ownTrace, key: client, model: "own-model"),
          request(Self.otherTrace, key: colleague, model: "other-model"),
        ])
    ])
    return monitor
  }

  @Test("no key is needed before the first one exists")
  func open() async throws {
    let monitor = try TestMonitor(keys: [])
    for path in ["/logs", "/requests", "/overview", "/metrics", "/usage?key=\(client.id)"] {
      #expect(try await monitor.get(path).status == 200, "\(path)")
    }
    let page = try await monitor.get("/", accept: "text/html")
    #expect(page.text.contains("<h2>Hosts</h2>"))
  }

  @Test("records are queried by a duration, a time or microseconds, and have times as text")
  func since() async throws {
    let monitor = try TestMonitor(keys: [])
    let now = UnixTime.microseconds()
    func log(_ age: UInt64, _ message: String) -> LogRecord {
      LogRecord(
        timeUnixMicroseconds: now - age * 1_000_000, level: "warning", service: "registry",
        message: message, attributes: [Attribute("host", "h1")])
    }
    try await monitor.store.prepare()
    try await monitor.store.append([
      TelemetryBatch(
        service: "registry", instance: "registry",
        logs: [log(7_200, "of two hours ago"), log(600, "of ten minutes ago")])
    ])
    for since in [
      "1h", "60m", "3600s", "\(now - 3_600_000_000)",
      Timestamp(unixMicroseconds: now - 3_600_000_000).rfc3339,
    ] {
      let answer = try await monitor.get("/logs?since=\(since)")
      #expect(answer.status == 200, "\(since): \(answer.text)")
      #expect(answer.text.contains("of ten minutes ago"), "\(since)")
      #expect(!answer.text.contains("of two hours ago"), "\(since)")
    }
    let all = try await monitor.get("/logs?since=1d").text
    #expect(all.contains("of two hours ago"))
    let time = Timestamp(unixMicroseconds: now - 600_000_000).rfc3339
    #expect(all.contains(#""time":"\#(time)""#) && all.contains(#""host":"h1""#), "\(all)")
    for path in ["/logs?since=1w", "/logs?since=yesterday", "/requests?since=-1h"] {
      let answer = try await monitor.get(path)
      #expect(answer.status == 400 && answer.text.contains("15m, 1h or 2d"), "\(path)")
    }
  }

  @Test("without a key nothing is shown once keys exist", arguments: paths)
  func missing(_ path: String) async throws {
    let answer = try await monitor().get(path)
    #expect(answer.status == 401)
    #expect(answer.text.contains("\"code\":\"invalid_api_key\""))
    #expect(!answer.text.contains("own-model"))
  }

  @Test("a wrong key is refused, also with a known id", arguments: paths)
  func wrong(_ path: String) async throws {
    let monitor = try await monitor()
    let forged = try #require(APIKey("\(client.revealed.dropLast(5))AAAAA".utf8))
    try #require(forged.id == client.id && forged != client)
    #expect(try await monitor.get(path, key: forged).status == 401)
  }

  @Test("before the keys have arrived, requests are refused with 503", arguments: paths)
  func unknownKeys(_ path: String) async throws {
    let monitor = try TestMonitor(keys: nil)
    #expect(try await monitor.get(path, key: client).status == 503)
  }

  @Test("a key with the scope logs reads the records of all keys")
  func reads() async throws {
    let monitor = try await monitor()
    let requests = try await monitor.get("/requests", key: reader)
    #expect(requests.text.contains("own-model") && requests.text.contains("other-model"))
    let ofOne = try await monitor.get("/requests?key=\(client.id)", key: reader)
    #expect(ofOne.text.contains("own-model") && !ofOne.text.contains("other-model"))
    for trace in [Self.ownTrace, Self.otherTrace, Self.runningTrace] {
      #expect(try await monitor.get("/traces/\(trace)", key: reader).status == 200)
    }
    for path in ["/logs", "/overview"] {
      #expect(try await monitor.get(path, key: reader).status == 200, "\(path)")
    }
    #expect(try await monitor.get("/metrics", key: reader).status == 403)
  }

  @Test("a key for metrics reads metrics only")
  func metrics() async throws {
    let monitor = try await monitor()
    for path in Self.paths {
      let status = try await monitor.get(path, key: scraper).status
      #expect(status == (path == "/metrics" ? 200 : 403), "\(path)")
    }
  }

  @Test("a setting opens the metrics, and nothing else")
  func openMetrics() async throws {
    let monitor = try await monitor(arguments: ["--open-metrics"])
    #expect(try await monitor.get("/metrics").status == 200)
    #expect(try await monitor.get("/logs").status == 401)
  }

  @Test("a client's key reads its own requests, and those of no other key")
  func ownRequests() async throws {
    let monitor = try await monitor()
    let own = try await monitor.get("/requests", key: client)
    #expect(own.status == 200)
    #expect(own.text.contains("own-model") && !own.text.contains("other-model"))
    #expect(own.text.contains(#""cached_tokens":2"#), "\(own.text)")
    let named = try await monitor.get("/requests?key=\(client.id)", key: client)
    #expect(named.text == own.text)
    let other = try await monitor.get("/requests?key=\(colleague.id)", key: client)
    #expect(other.status == 403 && !other.text.contains("other-model"))
    let byTrace = try await monitor.get("/requests?trace=\(Self.otherTrace)", key: client)
    #expect(byTrace.text.contains("\"data\":[]"))
    for path in ["/logs", "/overview", "/metrics"] {
      #expect(try await monitor.get(path, key: client).status == 403, "\(path)")
    }
  }

  @Test("a client's key reads its own traces; another one is answered like an unknown one")
  func ownTraces() async throws {
    let monitor = try await monitor()
    let own = try await monitor.get("/traces/\(Self.ownTrace)", key: client)
    #expect(own.status == 200 && own.text.contains("own-model"))
    func withoutID(_ trace: TraceID) async throws -> String {
      let answer = try await monitor.get("/traces/\(trace)", key: client)
      #expect(answer.status == 404)
      return answer.text.replacing("\(trace)", with: "ID")
    }
    let unknown = try await withoutID(Self.unknownTrace)
    #expect(try await withoutID(Self.otherTrace) == unknown)
    #expect(try await withoutID(Self.runningTrace) == unknown)
  }

  @Test("usage has the client's own sums by day and model")
  func usage() async throws {
    let monitor = try await monitor()
    let own = try await monitor.get("/usage", key: client)
    #expect(own.status == 200)
    struct Usage: Decodable {
      struct Row: Decodable, Equatable {
        let day, model: String
        let requests, failed, promptTokens, cachedTokens, completionTokens: Int
        let estimated: Bool
      }
      let object, key: String
      let data: [Row]
      let hasMore: Bool
      let since: Timestamp
      let oldestRecord: Timestamp?
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let usage = try decoder.decode(Usage.self, from: Data(own.text.utf8))
    #expect(usage.object == "usage" && usage.key == "\(client.id)" && !usage.hasMore)
    #expect(usage.oldestRecord.map { $0 > usage.since } == true)
    let row = try #require(usage.data.first)
    #expect(usage.data.count == 1)
    #expect(row.day.wholeMatch(of: /\d{4}-\d{2}-\d{2}/) != nil)
    #expect(row.model == "own-model" && row.requests == 1 && row.failed == 0)
    #expect(row.promptTokens == 3 && row.cachedTokens == 2 && row.completionTokens == 4)
    #expect(!row.estimated)
    #expect(try await monitor.get("/usage?key=\(colleague.id)", key: client).status == 403)
    let read = try await monitor.get("/usage?key=\(colleague.id)", key: reader)
    #expect(read.status == 200 && read.text.contains("other-model"))
    #expect(try await monitor.get("/usage", key: reader).status == 400)
  }

  @Test(
    "wrong parameters of usage are refused",
    arguments: ["days=0", "days=32", "days=x", "key=short", "key=ABCDEFGHIJKL", "model=m"])
  func wrongUsage(_ query: String) async throws {
    #expect(try await monitor().get("/usage?\(query)", key: client).status == 400)
  }

  @Test("a browser without a key gets a page that asks for one and has no data")
  func signIn() async throws {
    let monitor = try await monitor()
    let page = try await monitor.get("/", accept: "text/html,*/*")
    #expect(page.status == 200)
    #expect(page.text.contains("id=\"sign-in\"") && page.text.contains("/page.js"))
    #expect(!page.text.contains("<h2>Hosts</h2>") && !page.text.contains("own-model"))
    let policy = try #require(page.headers[.contentSecurityPolicy])
    #expect(policy.contains("script-src 'self'") && policy.contains("form-action 'none'"))
    // The page keeps the key out of cookies and URLs, which would carry it to logs and other sites.
    #expect(page.headers[.setCookie] == nil)
    let script = try await monitor.get("/page.js")
    #expect(script.status == 200)
    #expect(script.headers[.contentType]?.hasPrefix("text/javascript") == true)
    #expect(script.text.contains("sessionStorage") && !script.text.contains("innerHTML"))
    let overview = try await monitor.get("/overview", key: reader)
    #expect(overview.text.contains("<h2>Hosts</h2>") && overview.text.contains("own-model"))
  }
}
