import BusCore
import ClusterModel
import GatewayCore
import InferenceCore
import Wire

/// The gateway: real parsing, routing and plan trace, around the bus and the inference client.
final class GatewayNode: SimulatedService {
  let process: SimulatedProcess
  let inference: InferenceNode
  var estimates = EstimateMemory()
  private var exchanges: [Int: Exchange] = [:]
  let deadlines = RouteDeadlines(.standard)

  init(_ process: SimulatedProcess) {
    self.process = process
    inference = InferenceNode(process)
  }

  func start() { inference.start() }

  func take(_ request: SimulatedRequest) {
    let exchange = Exchange(self, request)
    exchanges[request.number] = exchange
    exchange.begin()
  }

  /// Ends a request whose client has closed the connection.
  func leave(_ request: SimulatedRequest) { exchanges[request.number]?.leave() }

  func forget(_ request: SimulatedRequest) { exchanges[request.number] = nil }

  func died() {
    inference.died()
    let open = exchanges.sorted { $0.key < $1.key }.map(\.value)
    exchanges = [:]
    for exchange in open { exchange.disconnect() }
  }

  var leftovers: [String] {
    (exchanges.isEmpty ? [] : ["\(exchanges.count) exchanges"]) + inference.leftovers
  }
}

/// One request in a gateway.
final class Exchange {
  let gateway: GatewayNode
  let request: SimulatedRequest
  let trace: TraceContext
  private var session: InferenceSession?
  private var plan: PlanExchange?

  init(_ gateway: GatewayNode, _ request: SimulatedRequest) {
    self.gateway = gateway
    self.request = request
    trace = TraceContext(
      trace: TraceID(high: 1, low: UInt64(request.number)), span: SpanID(UInt64(request.number)))
  }

  private var process: SimulatedProcess { gateway.process }

  func begin() {
    do throws(Failure) {
      let parsed = try ClientRequest(
        parsing: request.body(seed: process.cluster.chance.next()), endpoint: .chatCompletions)
      switch try GatewayRouting.route(parsed, table: process.hosts.table) {
      case .direct(let model), .gated(let model, _): answerDirectly(parsed, model)
      case .plan(let pattern):
        let plan = PlanExchange(self, parsed, pattern)
        self.plan = plan
        plan.begin()
      }
    } catch {
      end(error)
    }
  }

  /// - Parameter failure: `nil` means that the answer is complete.
  func end(_ failure: Failure?) {
    gateway.forget(request)
    guard request.outcome == nil else { return }
    request.end(failure.map { .failed($0) } ?? .answered)
  }

  func leave() {
    gateway.forget(request)
    if request.outcome == nil { request.end(.left) }
    session?.leave()
    plan?.leave()
  }

  func disconnect() { if request.outcome == nil { request.end(.disconnected) } }

  private func answerDirectly(_ parsed: ClientRequest, _ model: ModelID?) {
    let client = ClientTag.tag(authorization: "Bearer client", address: nil)
    session = gateway.inference.infer(
      InferenceRequest(
        endpoint: .chatCompletions, model: model, body: parsed.body, stream: parsed.stream,
        trace: trace, hops: ["\(process.id)"]),
      constraints: InferenceConstraints(
        race: parsed.options.race,
        deadlines: parsed.options.deadlines(over: gateway.deadlines.of(.direct)),
        dataPolicy: parsed.options.dataPolicy, affinity: parsed.affinity,
        client: ClientFingerprint(tag: client), seed: parsed.options.seed ?? 0)
    ) { [self] event in
      guard request.outcome == nil else { return }
      switch event {
      case .open: break
      case .part(.chunk(let chunk)): request.receive(chunk: chunk.data)
      case .part(.body(let body)): request.receive(body: body)
      case .part(.resumed): break
      case .part(.finished(let summary)):
        process.cluster.check(summary, session?.answers ?? [], of: request.name)
      case .end(let failure): end(failure)
      }
    }
  }
}
