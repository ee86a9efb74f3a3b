public import ClusterModel
import HTTPTypes
public import Hummingbird
import NIOCore
import Synchronization
import Telemetry

/// Liveness and readiness of this process.
public final class Health: Sendable {
  private struct State: Sendable {
    var checks: [(name: String, check: @Sendable () async -> String?)] = []
    var isDraining = false
    /// Callers that wait for the drain to begin.
    var waiting: [AsyncStream<Never>.Continuation] = []
  }

  private let service: String
  private let state = Mutex(State())

  init(service: String = "") { self.service = service }

  /// - Parameter check: returns `nil` if ready, otherwise one sentence with the reason. It runs at
  ///   each `GET /ready`, so it must be quick.
  public func addCheck(_ name: String, _ check: @escaping @Sendable () async -> String?) {
    state.withLock { $0.checks.append((name, check)) }
  }

  /// Reasons why the process is not ready, by check; empty if it is ready.
  func reasons() async -> [String: String] {
    let (checks, isDraining) = state.withLock { ($0.checks, $0.isDraining) }
    var reasons: [String: String] = [:]
    if isDraining { reasons["process"] = "It is stopping and accepts no new requests." }
    for (name, check) in checks {
      if let reason = await check() { reasons[name] = reason }
    }
    return reasons
  }

  /// Makes the process not ready from now on, so that load balancers choose another one.
  func beginDrain() {
    let waiting = state.withLock { state in
      state.isDraining = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.finish() }
  }

  /// Returns when the drain begins or the caller's Swift task is cancelled.
  public func drainBegins() async {
    let (drain, began) = AsyncStream.makeStream(of: Never.self)
    let isDraining = state.withLock { state in
      if !state.isDraining { state.waiting.append(began) }
      return state.isDraining
    }
    if !isDraining { for await _ in drain {} }
  }

  public var isDraining: Bool { state.withLock { $0.isDraining } }

  /// Adds `GET /health` (200 while the process lives) and `GET /ready` (200, or 503 with reasons).
  public func addRoutes(to router: Router<BasicRequestContext>) {
    router.get("/health") { _, _ in self.healthAnswer }
    router.get("/ready") { _, _ in await self.readyAnswer() }
  }

  private var healthAnswer: Response {
    json(
      .ok,
      "{\"status\":\"ok\",\"service\":\(JSONText.quoted(service)),"
        + "\"version\":\(JSONText.quoted(Version.current))}")
  }

  private func readyAnswer() async -> Response {
    let reasons = await reasons().sorted { $0.key < $1.key }
    guard !reasons.isEmpty else { return json(.ok, "{\"status\":\"ready\"}") }
    let sentence = reasons.map { "\($0.key): \($0.value)" }.joined(separator: " ")
    let error = ErrorBody(
      message: "Not ready. \(sentence)", type: "server_error", code: "not_ready")
    let members = reasons.map { "\(JSONText.quoted($0.key)):\(JSONText.quoted($0.value))" }
    var response = json(
      .serviceUnavailable,
      String(decoding: error.json.dropLast(), as: UTF8.self)
        + ",\"status\":\"not ready\",\"reasons\":{\(members.joined(separator: ","))}}")
    response.headers[.retryAfter] = "1"
    return response
  }

  private func json(_ status: HTTPResponse.Status, _ text: String) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }
}

/// Adds `GET /metrics` for this process. `KeyChecker.checkMetrics` decides who may read them, unless
/// a setting opens them.
///
/// - Parameter families: the metrics. `nil` means those of this process.
public func addMetricsRoute(
  to router: Router<BasicRequestContext>, _ context: ServiceContext,
  families: (@Sendable () -> [MetricFamily])? = nil
) {
  let metrics = context.metrics
  addMetricsRoute(to: router, families ?? { metrics.snapshot() }) { request throws(Failure) in
    guard !context.common.opensMetrics else { return }
    try context.keys.checkMetrics(request, of: context.common.service)
  }
}

/// - Parameter check: throws if the request may not read the metrics.
func addMetricsRoute(
  to router: Router<BasicRequestContext>, _ families: @escaping @Sendable () -> [MetricFamily],
  _ check: @escaping @Sendable (Request) throws(Failure) -> Void = { _ throws(Failure) in }
) {
  // A page of a large cluster takes some 30 ms, too long for an event loop.
  let page = SharedPage { PrometheusText.render(families()) }
  router.get("/metrics") { request, _ in
    try check(request)
    return Response(
      status: .ok, headers: [.contentType: PrometheusText.contentType],
      body: ResponseBody(byteBuffer: await page.page()))
  }
}
