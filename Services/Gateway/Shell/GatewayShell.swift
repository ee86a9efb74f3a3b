import Bus
import ClusterModel
import ContentCoding
import Foundation
import GatewayCore
import HTTPTypes
import Hummingbird
import Inference
import InferenceCore
import Limits
import Logging
import NIOCore
import Overload
import OverloadCore
import ServiceKit
import ServiceLifecycle
import Telemetry
import Text

/// The I/O around GatewayCore: receives requests, lets a host or a plan answer them, and streams
/// the answers.
final class GatewayShell: Service {
  let configuration: GatewayConfiguration
  let context: ServiceContext
  let inference: InferenceClient
  let answers = InFlightAnswers()
  let estimates = EstimateLedger()
  let memory: MemoryBudget
  let heavyWork: HeavyWork
  private let admission: Admission

  init(
    _ configuration: GatewayConfiguration, _ context: ServiceContext, inference: InferenceClient,
    memory: MemoryBudget, heavyWork: HeavyWork
  ) {
    self.configuration = configuration
    self.context = context
    self.inference = inference
    self.memory = memory
    self.heavyWork = heavyWork
    admission = Admission(
      ClientShares(
        total: configuration.maximumRequests, remote: configuration.remoteShare,
        local: configuration.localShare),
      memory: memory, logger: context.logger)
  }

  /// Waits for shutdown. Just before the drain ends it fails the answers still open; then it closes
  /// the connections to hosts.
  func run() async throws {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.endAnswersInTime() }
      // The HTTP server shuts down first: it is gone when this returns.
      try? await gracefulShutdown()
      group.cancelAll()
    }
    try await inference.shutdown()
  }

  private func endAnswersInTime() async {
    await context.health.drainBegins()
    let drain = context.common.drain
    try? await Task.sleep(for: drain - InFlightAnswers.margin(of: drain))
    if context.health.isDraining { answers.endAll() }
  }

  // MARK: - Routes

  func addRoutes(to router: Router<BasicRequestContext>) {
    for endpoint in InferenceEndpoint.allCases {
      router.post(RouterPath(endpoint.rawValue)) { request, _ in
        try await self.take(request, endpoint, self.answer)
      }
    }
    router.post(RouterPath(PlanPreview.path)) { request, _ in
      try await self.take(request, .chatCompletions, as: PlanPreview.path, self.preview)
    }
    router.get("/v1/models") { _, _ in
      self.json(ModelList.list(self.context.hosts.table).encoded, .fresh())
    }
    // A model id may contain slashes: `tutti/fast`, `org/model`.
    router.get("/v1/models/**") { request, _ in
      let trace = TraceContext.fresh()
      let path = request.uri.path.removingPercentEncoding ?? request.uri.path
      let name = String(path.dropFirst("/v1/models/".count))
      do throws(Failure) {
        return self.json(try ModelList.model(name, self.context.hosts.table).encoded, trace)
      } catch {
        return self.refusal(error, param: error.param, trace)
      }
    }
  }

  /// State of one request while it is answered.
  struct Exchange: Sendable {
    let request: ClientRequest
    let journal: RequestJournal
    /// Held until the answer is sent.
    let reservation: RequestReservation
    let hops: [String]
    /// The client's headers that are forwarded to the host.
    let headers: [(name: String, value: String)]
    let seed: UInt64
    /// The client's tag, by which dispatchers share capacity fairly.
    let client: String
    let ingress: OpenSpan

    var trace: TraceContext { journal.trace }
  }

  /// Reads and checks a request, and turns every failure into a response.
  /// - Parameter path: the route's path if it differs from the endpoint's.
  private func take(
    _ request: Request, _ endpoint: InferenceEndpoint, as path: String? = nil,
    _ work: (Exchange) async throws -> Response
  ) async throws -> Response {
    let journal = RequestJournal(path ?? endpoint.rawValue, recorder: context.recorder)
    do {
      let ingress = journal.phase(.ingress)
      let reservation = try admission.admit()
      let hops = try hops(of: request)
      let client = ClientTag.tag(
        authorization: request.headers[.authorization], address: reservation.address)
      let body = try await decoded(
        try await collect(request, reservation), request, reservation, client)
      try reservation.takeSlot()
      let parsed = try await heavily(body.count, client) { () throws(Failure) in
        try ClientRequest(
          parsing: body, endpoint: endpoint, defaultModel: self.configuration.defaultModel)
      }
      journal.record(parsed)
      ingress.set("bytes", String(parsed.body.count))
      return try await work(
        Exchange(
          request: parsed, journal: journal, reservation: reservation, hops: hops,
          headers: forwarded(request.headers),
          seed: parsed.options.seed ?? .random(in: .min ... .max),
          client: client,
          ingress: ingress))
    } catch let failure as Failure {
      return refusal(answers.explained(failure), param: nil, journal)
    } catch {
      // The connection broke during the upload, or this is a bug. The server makes the response.
      journal.end(status: 500, Failure(.internalError, ""))
      throw error
    }
  }

  /// Reads the body and charges it in step: a slow upload holds only the bytes that have arrived.
  private func collect(_ request: Request, _ reservation: RequestReservation) async throws
    -> [UInt8]
  {
    let declared = max(request.headers[.contentLength].flatMap { Int($0) } ?? 0, 0)
    var pass = try await reservation.waitForUpload(declared: min(declared, RequestLimits.bodyBytes))
    defer { withExtendedLifetime(pass) {} }
    var body: [UInt8] = []
    var charged = 0
    for try await part in request.body {
      let count = body.count + part.readableBytes
      guard count <= RequestLimits.bodyBytes else {
        throw Failure(.requestTooLarge, "the body is larger than \(RequestLimits.bodyBytes) bytes")
      }
      if pass == nil, count > Limits.heavyBytes.value {
        // The length is unknown, so reserve room for the largest body.
        pass = try await reservation.waitForUpload(declared: RequestLimits.bodyBytes)
      }
      if body.capacity < count {
        body.reserveCapacity(declared > count ? min(declared, 2 * count) : 2 * count)
        try reservation.chargeBody(body.capacity - charged)
        charged = body.capacity
      }
      body.append(contentsOf: part.readableBytesView)
    }
    return body
  }

  /// Decompresses the body and removes a UTF-8 byte order mark.
  private func decoded(
    _ body: [UInt8], _ request: Request, _ reservation: RequestReservation, _ client: String
  ) async throws -> [UInt8] {
    let coding: ContentCoding
    do throws(UnknownCoding) {
      coding = try ContentCoding(header: request.headers[values: .contentEncoding])
    } catch {
      throw Failure(
        .unsupportedEncoding,
        "the body's Content-Encoding \"\(error.name)\" is not supported; send the body "
          + "without one, or encoded as one of \(ContentCoding.known)")
    }
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    guard coding != .identity else {
      return body.starts(with: mark) ? Array(body.dropFirst(mark.count)) : body
    }
    // The decoded size decides the cost and is not known yet.
    return try await heavyWork.run(for: ClientFingerprint(tag: client).value) {
      Result { () throws(Failure) in
        let text = try Self.decode(body, coding, reservation)
        return text.starts(with: mark) ? Array(text.dropFirst(mark.count)) : text
      }
    }.get()
  }

  private static func decode(
    _ body: [UInt8], _ coding: ContentCoding, _ reservation: RequestReservation
  ) throws(Failure) -> [UInt8] {
    let decoder = BodyDecoder(coding)
    decoder.push(body)
    decoder.finish()
    var text: [UInt8] = []
    while true {
      let piece: [UInt8]
      do throws(BrokenCoding) {
        piece = try decoder.pull(Limits.heavyBytes.value)
      } catch {
        throw Failure(
          error.cause == .bomb ? .requestTooLarge : .invalidRequest, "the body \(error)")
      }
      guard !piece.isEmpty else { return text }
      guard text.count + piece.count <= RequestLimits.bodyBytes else {
        throw Failure(
          .requestTooLarge, "the decoded body is larger than \(RequestLimits.bodyBytes) bytes")
      }
      let before = text.capacity
      text += piece
      try reservation.chargeBody(text.capacity - before)
    }
  }

  /// Runs work on a large body in the queue for heavy work, so that it delays no other request;
  /// runs work on a small body inline.
  func heavily<Value: Sendable, Problem: Error>(
    _ bytes: Int, _ client: String, _ work: @escaping @Sendable () throws(Problem) -> Value
  ) async throws -> Value {
    guard bytes > Limits.heavyBytes.value else { return try work() }
    return try await heavyWork.run(for: ClientFingerprint(tag: client).value) {
      Result(catching: work)
    }.get()
  }

  private func answer(_ exchange: Exchange) async throws -> Response {
    switch try route(exchange) {
    case .direct(let model), .gated(let model, _):
      return try await answerDirectly(exchange, model)
    case .plan(let pattern): return try await answerByPlan(exchange, pattern)
    }
  }

  /// Chooses the route. A direct request gets no ingress and gate spans: these phases are too
  /// short.
  func route(_ exchange: Exchange) throws(Failure) -> GatewayRoute {
    let journal = exchange.journal
    let gate = exchange.request.model.name == GatewayRouting.auto ? journal.phase(.gate) : nil
    let route = try GatewayRouting.route(exchange.request, table: context.hosts.table)
    switch route {
    case .direct: return route
    case .gated(_, let reason):
      journal.recordReason(reason)
      gate?.set("decision", Plan.direct)
      gate?.set("reason", reason)
    case .plan(let pattern):
      journal.recordPattern(pattern)
      gate?.set("decision", "the planner's")
    }
    exchange.ingress.end()
    gate?.end()
    return route
  }

  private func forwarded(_ headers: HTTPFields) -> [(name: String, value: String)] {
    configuration.forwardedHeaders.select { name in
      HTTPField.Name(name).flatMap { headers[$0] }
    }
  }

  // MARK: - Hops

  /// This gateway's name in the hop header, used to detect loops.
  private var ownHop: String { context.bus.peer.id.description }

  /// The gateways that the request passed through, this one last.
  private func hops(of request: Request) throws(Failure) -> [String] {
    let header = HTTPField.Name(HopHeader.name)!
    let hops = request.headers[values: header].flatMap(HopHeader.parse)
    guard !hops.contains(ownHop) else {
      throw Failure(
        .hopLoop, "this gateway sent the request itself: one of its hosts leads back to it")
    }
    guard hops.count < HopHeader.maximumHops else {
      throw Failure(
        .hopLoop,
        "the request passed through \(hops.count) gateways; the maximum is "
          + "\(HopHeader.maximumHops)")
    }
    return hops + [ownHop]
  }

  // MARK: - Responses

  static let traceHeader = HTTPField.Name("x-tutti-trace")!

  func json(_ body: [UInt8], _ trace: TraceContext) -> Response {
    Response(
      status: .ok,
      headers: [.contentType: "application/json", Self.traceHeader: "\(trace.trace)"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
  }

  /// A response that stays charged to its request until the client has read it.
  func json(_ body: [UInt8], _ exchange: Exchange) throws(Failure) -> Response {
    guard body.count > Limits.heavyBytes.value else { return json(body, exchange.trace) }
    try exchange.reservation.charge(body.count)
    var response = json([], exchange.trace)
    response.body = ResponseBody(contentLength: body.count) { writer in
      var start = 0
      while start < body.count {
        let end = min(start + Limits.heavyBytes.value, body.count)
        try await writer.write(ByteBuffer(bytes: body[start..<end]))
        start = end
      }
      try await writer.finish(nil)
      withExtendedLifetime(exchange) {}
    }
    return response
  }

  func stream(
    _ trace: TraceContext, _ passed: [PassedHeader] = [],
    _ write: @escaping @concurrent @Sendable (inout any ResponseBodyWriter) async throws -> Void
  ) -> Response {
    var headers: HTTPFields = [
      .contentType: "text/event-stream", .cacheControl: "no-cache",
      // Proxies that buffer a response before passing it on would defeat streaming.
      HTTPField.Name("x-accel-buffering")!: "no", Self.traceHeader: "\(trace.trace)",
    ]
    headers.pass(passed)
    return Response(status: .ok, headers: headers, body: ResponseBody(write))
  }

  private func refusal(
    _ failure: Failure, param: String?, _ journal: RequestJournal
  ) -> Response {
    let response = refusal(failure, param: param, journal.trace)
    journal.end(status: response.status.code, failure)
    return response
  }

  private func refusal(_ failure: Failure, param: String?, _ trace: TraceContext) -> Response {
    context.logger.debug(
      "refused a request",
      metadata: [
        LogKey.trace: "\(trace.trace)", LogKey.code: "\(failure.code)",
        LogKey.reason: "\(failure.message)",
      ])
    var response = jsonError(failure, param: param)
    response.headers[Self.traceHeader] = "\(trace.trace)"
    response.headers.pass(failure.refusal?.headers ?? [])
    return response
  }

  /// Ends a stream that cannot be completed: sends one error event and the proper end of the body
  /// without `[DONE]`, and closes the connection. The client sees the event and no protocol error.
  ///
  /// - Throws: the failure, if the client has left.
  @concurrent
  func cut(
    _ failure: Failure, _ journal: RequestJournal, _ writer: inout any ResponseBodyWriter
  ) async throws {
    let failure = answers.explained(failure)
    guard failure.code != .cancelled else {
      journal.end(status: RequestJournal.clientLeftStatus, failure)
      throw failure
    }
    journal.end(status: httpStatus(of: failure).code, failure)
    try await writer.write(ByteBuffer(bytes: SSE.data(ErrorBody(failure).json)))
    ClientConnection.current?.closeAfterAnswer()
    try await writer.finish(nil)
  }
}

extension HTTPFields {
  /// Adds headers of a host's response.
  mutating func pass(_ headers: [PassedHeader]) {
    for header in headers {
      guard let name = HTTPField.Name(header.name) else { continue }
      append(HTTPField(name: name, value: header.value))
    }
  }
}

extension Failure.Code {
  static let hopLoop = Failure.Code(rawValue: "hop_loop")
}
