import Access
import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Limits
import MonitorCore
import NIOCore
import Overload
import OverloadCore
import ServiceKit
import Store
import Telemetry

/// The HTTP API for operators, and for clients that read records of their own requests.
///
/// After the first key was created, logs and the overview need a key with the scope `logs`. A key
/// of a client may read only the records of its own requests.
struct MonitorAPI: Sendable {
  let shell: MonitorShell
  let store: any LogStore
  let keys: KeyChecker
  /// Limits the queries that run at the same time. The store answers few at a time, and a client's
  /// query may read all records of that client.
  private let queries = ClientTurns(limit: Limits.storeQueries.value)

  init(shell: MonitorShell, store: any LogStore, keys: KeyChecker) {
    self.shell = shell
    self.store = store
    self.keys = keys
  }

  /// Adds all routes of the monitor except the health routes.
  static func addRoutes(
    to router: Router<BasicRequestContext>, _ context: ServiceContext, shell: MonitorShell,
    store: any LogStore
  ) {
    addMetricsRoute(to: router, context) { shell.families() }
    MonitorAPI(shell: shell, store: store, keys: context.keys).addRoutes(to: router)
  }

  private func addRoutes(to router: Router<BasicRequestContext>) {
    route(router, "/logs") { request, _ in
      let key = try keys.check(request, for: AccessNeed(.logs))
      try Parameters.allow(["trace", "service", "level", "since", "limit"], in: request)
      let query = LogQuery(
        trace: try Parameters.trace(request), service: Parameters.text(request, "service"),
        level: try Parameters.level(request), sinceUnixMicroseconds: try Parameters.since(request),
        limit: try Parameters.limit(request))
      return try await inTurn(key) { json(List(data: try await store.logs(query))) }
    }
    route(router, "/requests") { request, _ in
      let (client, access) = try access(of: request)
      try Parameters.allow(["trace", "key", "since", "limit"], in: request)
      let key = try access.key(named: try Parameters.key(request))
      let query = RequestQuery(
        trace: try Parameters.trace(request), key: key?.description,
        sinceUnixMicroseconds: try Parameters.since(request),
        limit: try Parameters.limit(request))
      return try await inTurn(client) {
        json(List(data: access.visible(try await store.requests(query))))
      }
    }
    route(router, "/usage") { request, _ in
      let (client, access) = try access(of: request)
      try Parameters.allow(["key", "days"], in: request)
      guard let key = try access.key(named: try Parameters.key(request)) else {
        throw Failure(.invalidRequest, "Name a key: /usage?key=ID.", param: "key")
      }
      let days = try Parameters.days(request)
      return try await inTurn(client) { try await usage(of: key, days: days) }
    }
    route(router, "/traces/:id") { request, id in
      let (client, access) = try access(of: request)
      return try await inTurn(client) { try await trace(id, access) }
    }
    route(router, "/") { request, _ in
      guard request.headers[values: .accept].contains(where: { $0.contains("text/html") }) else {
        return json(Overview())
      }
      guard keys.isOpen == true else {
        return html(SignInPage.html, SignInPage.contentSecurityPolicy)
      }
      return try await inTurn(nil) { await page() }
    }
    route(router, RouterPath(SignInPage.overviewPath)) { request, _ in
      let key = try keys.check(request, for: AccessNeed(.logs))
      return try await inTurn(key) { await page() }
    }
    router.get(RouterPath(SignInPage.scriptPath)) { _, _ in
      Response(
        status: .ok,
        headers: [
          .contentType: "text/javascript; charset=utf-8", .cacheControl: "no-cache",
          .xContentTypeOptions: "nosniff",
        ], body: ResponseBody(byteBuffer: ByteBuffer(string: SignInPage.script)))
    }
  }

  /// - Returns: the request's key, and the records that the key may read.
  private func access(
    of request: Request
  ) throws(Failure) -> (client: KeyRecord?, access: RecordAccess) {
    let key = try keys.check(request, for: AccessNeed())
    return (key, try RecordAccess(key))
  }

  /// Waits for the client's turn, and then queries the store and makes the answer.
  ///
  /// - Parameter key: the client's key. `nil` means that the cluster requires none.
  private func inTurn(
    _ key: KeyRecord?, _ answer: () async throws -> Response
  ) async throws -> Response {
    let address = ClientConnection.current?.client ?? .local
    let turn = try await queries.enter(for: key?.id.number ?? address.turn)
    defer { withExtendedLifetime(turn) {} }
    return try await answer()
  }

  private func usage(of key: KeyID, days: Int) async throws -> Response {
    let period = UsagePeriod(days: days, nowUnixMicroseconds: UnixTime.microseconds())
    let usage = try await store.usage(
      UsageQuery(
        key: key.description, sinceUnixMicroseconds: period.sinceUnixMicroseconds))
    return json(UsageJSON(key: key, period: period, usage: usage))
  }

  /// The overview page, for browsers.
  private func page() async -> Response {
    let page = OverviewPage(
      version: Version.current, peers: shell.peers, hosts: shell.hosts,
      requests: (try? await store.requests(RequestQuery(limit: OverviewPage.requestLimit))) ?? [],
      problem: shell.storeProblem,
      nowUnixMicroseconds: UnixTime.microseconds())
    return html(page.html, OverviewPage.contentSecurityPolicy)
  }

  private func html(_ text: String, _ policy: String) -> Response {
    Response(
      status: .ok,
      headers: [
        .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
        .contentSecurityPolicy: policy, .xContentTypeOptions: "nosniff",
      ],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  private func trace(_ text: String, _ access: RecordAccess) async throws -> Response {
    guard let id = TraceID(text) else {
      throw Failure(
        .invalidRequest, "A trace id must have 32 hexadecimal digits.", param: "id")
    }
    let requests = try await store.requests(RequestQuery(trace: id))
    // The answer is the same for a trace of another key and for an unknown trace. So a client
    // cannot find out which ids exist.
    let mayRead = access.permits(traceOf: requests)
    let spans = mayRead ? try await store.spans(of: id) : []
    guard mayRead, !spans.isEmpty || !requests.isEmpty else {
      let error = ErrorBody(
        message: "No record of trace \(id) is stored: the id is wrong, its records have not "
          + "arrived yet, or they were deleted as the oldest.",
        type: "invalid_request_error", param: "id", code: "trace_not_found")
      return answer(error.json, .notFound)
    }
    return json(
      TraceJSON(
        id: id, spans: TraceTree(access.visible(spans)).nodes, requests: access.visible(requests)))
  }

  private func route(
    _ router: Router<BasicRequestContext>, _ path: RouterPath,
    _ handler: @escaping @Sendable (Request, String) async throws -> Response
  ) {
    router.get(path) { request, context in
      do {
        return try await handler(request, context.parameters.get("id") ?? "")
      } catch let failure as Failure where failure.code == .storeUnreachable {
        let error = ErrorBody(
          message: failure.message, type: "server_error", code: failure.code.rawValue)
        return answer(error.json, .serviceUnavailable)
      }
    }
  }
}

/// Reads and checks query parameters.
private enum Parameters {
  static func allow(_ names: Set<String>, in request: Request) throws {
    for (name, _) in request.uri.queryParameters where !names.contains(String(name)) {
      throw wrong(
        String(name).cut(toBytes: 64),
        "is not a known parameter; known parameters: "
          + names.sorted().joined(separator: ", "))
    }
  }

  static func text(_ request: Request, _ name: String) -> String? {
    request.uri.queryParameters[name[...]].map(String.init)
  }

  static func trace(_ request: Request) throws -> TraceID? {
    guard let text = text(request, "trace") else { return nil }
    guard let trace = TraceID(text) else { throw wrong("trace", "must have 32 hexadecimal digits") }
    return trace
  }

  static func level(_ request: Request) throws -> LogSeverity? {
    guard let text = text(request, "level") else { return nil }
    guard let level = LogSeverity(rawValue: text) else {
      throw wrong(
        "level", "must be one of " + LogSeverity.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return level
  }

  static func since(_ request: Request) throws -> UInt64? {
    guard let text = text(request, "since") else { return nil }
    let now = Timestamp(unixMicroseconds: UnixTime.microseconds())
    guard let since = SinceArgument(text, now: now) else {
      throw wrong("since", "must be \(SinceArgument.forms)")
    }
    return since.time.unixMicroseconds
  }

  static func key(_ request: Request) throws -> KeyID? {
    guard let text = text(request, "key") else { return nil }
    guard let key = KeyID(text) else {
      throw wrong("key", "must be a key's id: 12 characters of a–z and 2–7")
    }
    return key
  }

  static func days(_ request: Request) throws -> Int {
    guard let text = text(request, "days") else { return UsagePeriod.standardDays }
    guard let days = Int(text), UsagePeriod.allowedDays.contains(days) else {
      throw wrong(
        "days",
        "must be a whole number from \(UsagePeriod.allowedDays.lowerBound) to "
          + "\(UsagePeriod.allowedDays.upperBound)")
    }
    return days
  }

  static func limit(_ request: Request) throws -> Int {
    guard let text = text(request, "limit") else { return 100 }
    guard let limit = Int(text), LogQuery.limits.contains(limit) else {
      throw wrong(
        "limit",
        "must be a whole number from \(LogQuery.limits.lowerBound) to "
          + "\(LogQuery.limits.upperBound)")
    }
    return limit
  }

  private static func wrong(_ name: String, _ what: String) -> Failure {
    Failure(.invalidRequest, "\(name) \(what).", param: name)
  }
}

private struct List<Item: Encodable>: Encodable {
  var object = "list"
  var data: [Item]

  init(data: [Item]) { self.data = data }
}

/// A trace in JSON. Each span has the members of `SpanRecord`, `depth` and `orphan`, and comes
/// after its parent.
private struct TraceJSON: Encodable {
  struct Line: Encodable {
    var node: TraceTree.Node

    private enum CodingKeys: String, CodingKey { case depth, orphan }

    func encode(to encoder: any Encoder) throws {
      try node.span.encode(to: encoder)
      var members = encoder.container(keyedBy: CodingKeys.self)
      try members.encode(node.depth, forKey: .depth)
      try members.encode(node.orphan, forKey: .orphan)
    }
  }

  var object = "trace"
  var id: TraceID
  var spans: [Line]
  var requests: [RequestRecord]

  init(id: TraceID, spans: [TraceTree.Node], requests: [RequestRecord]) {
    self.id = id
    self.spans = spans.map { Line(node: $0) }
    self.requests = requests
  }
}

/// The list of endpoints for programs. A browser gets `OverviewPage` or `SignInPage` instead.
private struct Overview: Encodable {
  var name = "tutti-monitor"
  var version = Version.current
  var endpoints = [
    "/metrics": "Metrics of every process, as Prometheus text",
    "/logs": "Log lines, newest first: trace, service, level (this and worse), since (1h), limit",
    "/requests": "Client requests, newest first: trace, key, since, limit",
    "/usage": "Requests and tokens of a key by day and model: key, days",
    "/traces/ID": "The spans of one request, each after its parent",
    "/health": "Whether this process lives",
    "/ready": "Whether the log store works",
  ]
}

private func answer(_ bytes: [UInt8], _ status: HTTPResponse.Status) -> Response {
  Response(
    status: status, headers: [.contentType: "application/json"],
    body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
}

private func json(_ value: some Encodable) -> Response {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  // Records hold no value that JSON cannot represent.
  guard let data = try? encoder.encode(value) else {
    return jsonError(Failure(.internalError, "The answer could not be written as JSON."))
  }
  return answer(Array(data), .ok)
}
