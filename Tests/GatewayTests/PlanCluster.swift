import Access
import Bus
import BusCore
import ClusterModel
import GatewayCore
import HostModel
import Hummingbird
import Inference
import InferenceCore
import Logging
import Money
import Overload
import OverloadCore
import RegistryCore
import Synchronization
import Telemetry
import Testing

@testable import GatewayService
@testable import ServiceKit

/// The parts of a gateway, with planners and dispatchers that a test scripts, over a bus in this
/// process. There are two of each, because a peer that reports its shutdown is not asked again.
final class PlanCluster: Sendable {
  /// The events that a dispatcher sends for one order.
  ///
  /// The closure has a type of its own, because Swift 6.3 crashes on a closure with typed throws in
  /// an array literal.
  struct Script: Sendable {
    typealias Run =
      @Sendable (PlanOrder, StreamWriter, PlanCluster) async throws(Failure) -> Void

    let run: Run

    init(_ run: @escaping Run) { self.run = run }
  }

  let recorder = TelemetryRecorder(service: "gateway", instance: "gateway-1")
  let resources: GatewayResources
  private let registry: Bus
  private let gateway: Bus
  private let planners: [Bus]
  private let dispatchers: [Bus]
  private let leases: Mutex<PeerLeases>
  private let admission: Admission
  private let plansAsked = Mutex<[PlanRequest]>([])
  private let ordersTaken = Mutex<[PlanOrder]>([])
  private let takers = Mutex<[(dispatcher: PeerID, trace: TraceID?)]>([])

  /// Orders that the dispatchers received.
  var orders: [PlanOrder] { ordersTaken.withLock { $0 } }
  /// The dispatcher of each order, and the trace of its request.
  var dispatches: [(dispatcher: PeerID, trace: TraceID?)] { takers.withLock { $0 } }
  /// Number of requests that the planners received.
  var planRequests: Int { requests.count }
  /// Requests that the planners received.
  var requests: [PlanRequest] { plansAsked.withLock { $0 } }

  /// - Parameters:
  ///   - plannerFailures: failures of the planners' first replies.
  ///   - scripts: one script for each order.
  ///   - rules: the gateway's rules on eligible hosts.
  ///   - report: the registry's report on the spending of every key. `nil` means that it has none.
  ///   - models: models of the only host.
  init(
    plannerFailures: [Failure] = [], scripts: [Script],
    rules: EligibilityRules = EligibilityRules(), report: SpendingReport? = nil,
    models: [ModelID] = ["llama-3.1-8b"]
  ) throws {
    let network = LoopbackNetwork(seed: 7)
    func bus(_ service: ServiceName, _ name: String) throws -> Bus {
      let configuration = BusConfiguration(
        service: service, name: name, addresses: .loopback(network))
      return Bus(
        configuration: configuration, transport: try configuration.makeTransport(),
        logger: Logger(label: "test"))
    }
    registry = try bus(.registry, "registry-1")
    gateway = try bus(.gateway, "gateway-1")
    planners = try ["planner-1", "planner-2"].map { try bus(.planner, $0) }
    dispatchers = try ["dispatcher-1", "dispatcher-2"].map { try bus(.dispatcher, $0) }
    leases = Mutex(PeerLeases(epoch: registry.peer.id.incarnation, own: registry.peer))
    resources = try Self.resources(gateway, recorder, hosts: [Self.host(models)], rules: rules)
    admission = Admission(
      ClientShares(total: 10), memory: resources.memory, logger: Logger(label: "test"))
    answerRegistryCalls(report)
    for planner in planners {
      planner.onCall { [self] request throws(Failure) in
        guard case .planRequest(let wanted) = request.body else {
          throw Failure(.unhandled, "only requests for plans")
        }
        let number = plansAsked.withLock { requests in
          requests.append(wanted)
          return requests.count - 1
        }
        if number < plannerFailures.count { throw plannerFailures[number] }
        return .plan(Self.plan)
      }
    }
    for dispatcher in dispatchers {
      dispatcher.onStream { [self] request, writer throws(Failure) in
        guard case .runPlan(let order) = request.body else { return }
        takers.withLock { $0.append((dispatcher.peer.id, request.trace?.trace)) }
        let number = ordersTaken.withLock { orders in
          orders.append(order)
          return orders.count - 1
        }
        guard number < scripts.count else { throw Failure(.internalError, "no script is left") }
        try await scripts[number].run(order, writer, self)
      }
    }
  }

  /// A plan of one task.
  static let plan = Plan(
    id: PlanID("plan"), pattern: "tutti/ensemble",
    tasks: [PlanTask(id: "answer", role: .reasoning)], sink: "answer", seed: 1,
    deadline: .seconds(60))

  static let finished = Body.planEvent(
    .finished(
      PlanFinished(
        finishReason: "stop", usage: Usage(promptTokens: 3, completionTokens: 2),
        sinkUsage: Usage(promptTokens: 3, completionTokens: 2))))

  static func delta(_ text: String, json: String? = nil) -> Body {
    .planEvent(.delta(TaskDelta(text: text, deltaJSON: json.map { Array($0.utf8) })))
  }

  private static func host(_ models: [ModelID]) -> Host {
    Host(
      id: "a", url: "http://a", state: .ready, models: models.map { ModelOffer(id: $0) },
      version: "vLLM 0.6.2", tags: ["gpu"])
  }

  /// The parts of a gateway without peers.
  static func resources(
    _ bus: Bus, _ recorder: TelemetryRecorder, hosts rows: [Host],
    rules: EligibilityRules = EligibilityRules()
  ) throws -> GatewayResources {
    let settings = ServiceSettings<GatewayConfiguration>(
      arguments: [], environment: ["HOME": "/nowhere"], hostName: "box",
      readFile: { (_) throws(ProcessFailure) -> String in "" })
    try #require(settings.mistakes.isEmpty, "\(settings.mistakes)")
    let logger = Logger(label: "test")
    let table = HostTable(epoch: 1, revision: 1, hosts: rows)
    let hosts = HostDirectory(
      ask: { () throws(Failure) -> HostTable in throw Failure(.noPeer, "no registry") },
      logger: logger)
    hosts.apply(.hostTable(table))
    let access = AccessDirectory(
      ask: { _ throws(Failure) in throw Failure(.noPeer, "no registry") }, logger: logger)
    access.apply(
      .accessTablePage(
        AccessTablePage(
          version: AccessTableVersion(epoch: 1, revision: 1), page: 0, pages: 1, isOpen: true,
          pepper: try #require(KeyPepper(0..<32)), records: [])))
    let memory = MemoryBudget()
    let heavyWork = HeavyWork()
    return GatewayResources(
      settings.own,
      ServiceContext(
        common: settings.common, bus: bus, logger: logger, recorder: recorder,
        metrics: PrometheusRegistry(), health: Health(), hosts: hosts,
        access: access),
      inference: InferenceClient(
        hosts: { table },
        statistics: HostStatistics(own: bus.peer.id, score: .standard, rules: rules, seed: 1),
        memory: memory, heavyWork: heavyWork, logger: logger),
      memory: memory, heavyWork: heavyWork)
  }

  private func answerRegistryCalls(_ report: SpendingReport?) {
    let began = ContinuousClock.now
    registry.adopt(leases.withLock(\.table))
    registry.onCall { [self] request throws(Failure) in
      if case .spendingQuery = request.body, let report { return .spendingReport(report) }
      let now = Instant(sinceStart: began.duration(to: .now))
      let (outcome, table) = leases.withLock { leases in
        let outcome = Result { () throws(Failure) -> [PeerLeases.Directive] in
          switch request.body {
          case .hello(let peer): try leases.hello(peer, now: now)
          case .goodbye(let id): leases.goodbye(id, now: now)
          default: throw Failure(.unhandled, "only hellos")
          }
        }
        return (outcome, leases.table)
      }
      for case .publish(let table) in try outcome.get() {
        registry.adopt(table)
        registry.publish(.peerTable(table))
      }
      return .peerTable(table)
    }
  }

  /// Runs the cluster while `body` runs.
  func run(_ body: @escaping @Sendable (PlanCluster) async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      let peers = [gateway] + planners + dispatchers
      for bus in [registry] + peers {
        group.addTask { try? await bus.run() }
      }
      // Wait until the peer table of each bus lists all peers.
      let all = Set(peers.map(\.peer.id))
      for bus in peers {
        let patience = ContinuousClock.now + .seconds(20)
        while !all.isSubset(of: bus.peers.peers.map(\.id) + [bus.peer.id]) {
          try #require(.now < patience, "a peer is missing: \(bus.peers)")
          await Task.yield()
        }
      }
      var failure: (any Error)?
      do { try await body(self) } catch { failure = error }
      group.cancelAll()
      while await group.nextResult() != nil {}
      try await resources.inference.shutdown()
      if let failure { throw failure }
    }
  }

  func answer(
    streaming: Bool = true, rights: KeyRights = KeyRights(), payment: Payment? = nil,
    price: RequestPrice? = nil, planTokens: Int? = nil
  ) throws -> PlanAnswer {
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    let json =
      #"{"model":"tutti/ensemble","stream":\#(streaming),"#
      + #""messages":[{"role":"user","content":"hi"}]}"#
    return PlanAnswer(
      resources,
      Exchange(
        request: try ClientRequest(parsing: Array(json.utf8), endpoint: .chatCompletions),
        journal: journal, reservation: try admission.admit(), hops: [], headers: [], seed: 1,
        rights: rights, client: "", ingress: journal.phase(.ingress), payment: payment,
        price: price ?? payment?.price, planTokens: planTokens ?? payment?.tokens),
      pattern: "tutti/ensemble")
  }

  /// Sends one request and returns all that its client received.
  func ask(
    streaming: Bool = true, rights: KeyRights = KeyRights(),
    receiving received: FakeClient.Received = FakeClient.Received()
  ) async throws -> FakeClient.Received {
    let response = try await answer(streaming: streaming, rights: rights).response()
    try await response.body.write(FakeClient(received: received))
    return received
  }
}
