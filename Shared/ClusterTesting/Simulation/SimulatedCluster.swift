import BusCore
import ClusterModel
import GatewayCore
import HostModel
import InferenceCore

/// Work of the hosts for one plan.
struct PlanLedger {
  /// Sum of the usage that finished inferences reported.
  var usage = Usage.zero
  /// Every answer that was requested from a host, also if the host refused or did not finish it.
  var answers: [SimulatedHost.Answer] = []
}

/// A whole cluster in one thread on virtual time: real state machines, simulated network, hosts and
/// clients. The same seed gives the same run.
public final class SimulatedCluster {
  /// Maximum violations that are kept of one run.
  private static let maximumViolations = 20

  /// Requirements on hosts, the same in all processes.
  static let rules = EligibilityRules(minimumVersions: ["Simulator": "2"])

  let scenario: Scenario
  let logsFrames: Bool
  let time = VirtualTime()
  let log: EventLog
  /// Generator of all random choices, except those of the network and the hosts, which have
  /// generators of their own.
  var chance: SplitMix64
  private(set) var hosts: [SimulatedHost] = []
  /// Living processes, in the order of their start.
  private(set) var processes: [SimulatedProcess] = []
  private(set) var requests: [SimulatedRequest] = []
  private(set) var violations: [String] = []
  private var incarnations: UInt64 = 1_000
  private(set) lazy var network = SimulatedNetwork(self, chance: fork())
  private(set) var deaths: [(at: Instant, service: ServiceName)] = []
  /// Frames that reached a process and were meant for another incarnation of it.
  var misdirected = 0
  var ledger: [PlanID: PlanLedger] = [:]
  private var strikes = 0

  /// - Parameter logsFrames: whether the log has a line for every frame.
  public init(_ scenario: Scenario, logsFrames: Bool = false) {
    self.scenario = scenario
    self.logsFrames = logsFrames
    log = EventLog(time)
    chance = SplitMix64(seed: scenario.seed ^ 0x5EED)
    // Creates the lazy network now, because its generator must be forked before those of the hosts.
    _ = network
    for number in 1...scenario.hosts {
      hosts.append(SimulatedHost(number: number, cluster: self, chance: fork()))
    }
  }

  private func fork() -> SplitMix64 { SplitMix64(seed: chance.next()) }

  func host(_ id: HostID) -> SimulatedHost? { hosts.first { $0.id == id } }

  func violation(_ text: String) {
    log.note("VIOLATION", text)
    if violations.count < Self.maximumViolations { violations.append(text) }
  }

  /// Whether a planted bug takes effect now, which it does at every fourth opportunity.
  func bugStrikes(_ bug: Scenario.PlantedBug) -> Bool {
    guard scenario.planted == bug else { return false }
    strikes += 1
    return strikes % 4 == 0
  }

  // MARK: - Running

  public func run() -> SimulationReport {
    for (index, entry) in scenario.processes.enumerated() {
      let delay = Duration.milliseconds(index == 0 ? 0 : chance.nextInt(in: 1..<300))
      time.schedule(after: delay) { [unowned self] in start(entry.name, entry.service) }
    }
    schedule()
    time.run(until: .zero + Scenario.start + Scenario.active)
    endFaults()
    run(until: { divergences.isEmpty }, within: Scenario.settling)
    for divergence in divergences { violation("after the faults: \(divergence)") }
    sendLastRequests()
    run(until: { !requests.contains { $0.outcome == nil } }, within: Scenario.patience)
    run(until: { divergences.isEmpty && leftovers.isEmpty }, within: Scenario.windingDown)
    for remainder in divergences + leftovers { violation("at the end: \(remainder)") }
    let report = SimulationReport(self)
    for process in processes { process.service = nil }
    return report
  }

  /// Runs until the condition holds, at most for the given time.
  private func run(until isDone: () -> Bool, within limit: Duration) {
    let end = time.now + limit
    while !isDone(), time.now < end { time.run(until: time.now + Scenario.checkInterval) }
  }

  /// Schedules clients' requests and faults at random times.
  private func schedule() {
    func moment() -> Instant {
      .zero + Scenario.start
        + .milliseconds(chance.nextInt(in: 0..<Int(Scenario.active.wholeMilliseconds)))
    }
    for _ in 0..<scenario.requests {
      let leaves = chance.nextInt(in: 0..<12) == 0
      let stay = Duration.milliseconds(chance.nextInt(in: 0..<3_000))
      time.schedule(at: moment()) { [unowned self] in ask(leavingAfter: leaves ? stay : nil) }
    }
    let names = scenario.processes.map(\.name)
    for _ in 0..<scenario.deaths {
      let name = names[chance.nextInt(in: 0..<names.count)]
      let absence = Duration.milliseconds(chance.nextInt(in: 100..<2_500))
      time.schedule(at: moment()) { [unowned self] in kill(name, for: absence) }
    }
    for _ in 0..<scenario.partitions {
      let first = names[chance.nextInt(in: 0..<names.count)]
      let second = names[chance.nextInt(in: 0..<names.count)]
      let duration = Duration.milliseconds(chance.nextInt(in: 200..<5_000))
      time.schedule(at: moment()) { [unowned self] in
        if first != second { network.part(first, second, for: duration) }
      }
    }
    // The first host stays healthy if requests must not fail.
    let least = scenario.kind == .badHosts ? 1 : 0
    for _ in 0..<scenario.moods {
      let host = hosts[chance.nextInt(in: least..<hosts.count)]
      let moods = SimulatedHost.Mood.allCases
      let mood = moods[chance.nextInt(in: 0..<moods.count)]
      time.schedule(at: moment()) { host.change(to: mood) }
    }
  }

  private func endFaults() {
    log.note("cluster", "all faults end")
    network.heal()
    for host in hosts where host.mood != .well { host.change(to: .well) }
  }

  // MARK: - Processes

  private func start(_ name: String, _ service: ServiceName) {
    incarnations += 1
    let isRegistry = service == .registry
    let mailbox =
      isRegistry
      ? Self.registryMailbox
      : scenario.keepsAddresses ? "sim://\(name)" : "sim://\(name)-\(incarnations)"
    let own = Peer(
      id: PeerID(name: name, incarnation: incarnations), service: service, mailbox: mailbox,
      ttl: .seconds(5))
    let process = SimulatedProcess(
      own, registryMailbox: Self.registryMailbox, cluster: self, firstID: chance.next() >> 1)
    process.service =
      switch service {
      case .registry: RegistryNode(process, restored: storedHosts)
      case .planner: PlannerNode(process)
      case .dispatcher: DispatcherNode(process)
      case .agent(let role): AgentNode(process, role)
      case .gateway, .monitor, .other: GatewayNode(process)
      }
    log.note("\(own.id)", "starts")
    processes.append(process)
    process.start()
  }

  private static let registryMailbox = "sim://registry"

  /// The hosts in the registry's store.
  private var storedHosts: [HostRecord] {
    hosts.map { HostRecord(Host(id: $0.id, url: $0.url)) }
  }

  private func kill(_ name: String, for absence: Duration) {
    guard let index = processes.firstIndex(where: { $0.id.name == name }) else { return }
    let process = processes.remove(at: index)
    let service = process.machine.own.service
    log.note("\(process.id)", "dies")
    deaths.append((time.now, service))
    process.die()
    time.schedule(after: absence) { [unowned self] in start(name, service) }
  }

  // MARK: - Clients

  private func ask(leavingAfter stay: Duration?) {
    let plans = SimulatedRequest.Route.plans
    // Direct requests are as frequent as plans.
    let routes = chance.nextInt(in: 0..<2) == 0 ? [.direct, .fast] : plans
    let route = routes[chance.nextInt(in: 0..<routes.count)]
    send(route, isLast: false, leavingAfter: stay)
  }

  /// Sends a direct request and two plans, all of which must be answered.
  private func sendLastRequests() {
    let plans = SimulatedRequest.Route.plans
    let plan = chance.nextInt(in: 0..<plans.count)
    // Neighbours in the list of patterns are similar, so the two plans are three places apart.
    for route in [.direct, plans[plan], plans[(plan + 3) % plans.count]] {
      send(route, isLast: true, leavingAfter: nil)
    }
  }

  /// Sends a request to a gateway that knows a ready host. If no gateway does, the client tries
  /// again later, as if the port were closed.
  private func send(
    _ route: SimulatedRequest.Route, isLast: Bool, leavingAfter stay: Duration?
  ) {
    let ready = processes.filter { $0.service is GatewayNode && Self.isReady($0) }
    guard !ready.isEmpty else {
      return time.schedule(after: .milliseconds(200)) { [unowned self] in
        send(route, isLast: isLast, leavingAfter: stay)
      }
    }
    let process = ready[chance.nextInt(in: 0..<ready.count)]
    let number = requests.count + 1
    let questions = Self.questions
    let question = "\(number). \(questions[chance.nextInt(in: 0..<questions.count)])"
    let request = SimulatedRequest(
      number: number, route: route, streams: chance.nextInt(in: 0..<3) > 0, question: question,
      isLast: isLast, cluster: self)
    requests.append(request)
    request.gateway = process
    process.note("\(request.name) begins")
    (process.service as? GatewayNode)?.take(request)
    time.schedule(after: bound(of: route)) { [unowned self] in
      if request.outcome == nil { violation("\(request.name) has not ended in time") }
    }
    guard let stay else { return }
    time.schedule(after: stay) {
      guard request.outcome == nil else { return }
      (request.gateway?.service as? GatewayNode)?.leave(request)
    }
  }

  private static func isReady(_ process: SimulatedProcess) -> Bool {
    process.hosts.table.hosts.contains { $0.state == .ready }
  }

  private static let questions = [
    "Why is the sky blue?", "Name three rivers.",
    "Write an essay on bridges: first their history, then their forms, then their builders.",
    "Compare trains and ships. Treat cost, speed and comfort in separate sections, and explain "
      + "the reasons for each in detail.",
    "Explain how a clock works, step by step, and list all its parts with their purpose.",
  ]
}
