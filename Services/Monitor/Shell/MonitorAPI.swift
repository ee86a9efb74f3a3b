import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import MonitorCore
import NIOCore
import ServiceKit
import Store
import Telemetry

/// The HTTP API for operators: metrics, logs, requests, traces.
struct MonitorAPI: Sendable {
  let shell: MonitorShell
  let store: any LogStore

  func addRoutes(to router: Router<BasicRequestContext>) {
    router.get("/metrics") { _, _ in
      Response(
        status: .ok, headers: [.contentType: PrometheusText.contentType],
        body: ResponseBody(
          byteBuffer: ByteBuffer(string: PrometheusText.render(shell.families()))))
    }
    route(router, "/logs") { request, _ in
      try Parameters.allow(["trace", "service", "level", "since", "limit"], in: request)
      let query = LogQuery(
        trace: try Parameters.trace(request), service: Parameters.text(request, "service"),
        level: try Parameters.level(request), sinceUnixMicroseconds: try Parameters.since(request),
        limit: try Parameters.limit(request))
      return json(List(data: try await store.logs(query)))
    }
    route(router, "/requests") { request, _ in
      try Parameters.allow(["trace", "since", "limit"], in: request)
      let query = RequestQuery(
        trace: try Parameters.trace(request), sinceUnixMicroseconds: try Parameters.since(request),
        limit: try Parameters.limit(request))
      return json(List(data: try await store.requests(query)))
    }
    route(router, "/traces/:id") { _, id in try await trace(id) }
    route(router, "/") { request, _ in
      guard request.headers[values: .accept].contains(where: { $0.contains("text/html") }) else {
        return json(Overview())
      }
      return await page()
    }
  }

  /// The overview page, for browsers.
  private func page() async -> Response {
    let page = OverviewPage(
      version: Version.current, peers: shell.peers, hosts: shell.hosts,
      requests: (try? await store.requests(RequestQuery(limit: OverviewPage.requestLimit))) ?? [],
      problem: shell.storeProblem,
      nowUnixMicroseconds: UInt64(max(0, Date().timeIntervalSince1970) * 1e6))
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/html; charset=utf-8", .cacheControl: "no-store",
        .contentSecurityPolicy: OverviewPage.contentSecurityPolicy,
        .xContentTypeOptions: "nosniff",
      ],
      body: ResponseBody(byteBuffer: ByteBuffer(string: page.html)))
  }

  private func trace(_ text: String) async throws -> Response {
    guard let id = TraceID(text) else {
      throw Failure(
        .invalidRequest, "A trace id must have 32 hexadecimal digits.", param: "id")
    }
    let spans = try await store.spans(of: id)
    let requests = try await store.requests(RequestQuery(trace: id))
    guard !spans.isEmpty || !requests.isEmpty else {
      let error = ErrorBody(
        message: "No record of trace \(id) is stored: the id is wrong, its records have not "
          + "arrived yet, or they were deleted as the oldest.",
        type: "invalid_request_error", param: "id", code: "trace_not_found")
      return answer(error.json, .notFound)
    }
    return json(TraceJSON(id: id, spans: TraceTree(spans).nodes, requests: requests))
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
    guard let since = UInt64(text) else {
      throw wrong("since", "must be a whole number of microseconds since 1970, UTC")
    }
    return since
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

/// A trace: each span in the format of `SpanRecord`, after its parent.
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

/// The list of endpoints, for programs; a browser gets `OverviewPage`.
private struct Overview: Encodable {
  var name = "tutti-monitor"
  var version = Version.current
  var endpoints = [
    "/metrics": "Metrics of every process, as Prometheus text",
    "/logs": "Log lines, newest first: trace, service, level (this and worse), since, limit",
    "/requests": "Client requests, newest first: trace, since, limit",
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
