import BusCore
import ClusterModel
import Wire

/// The code of one service in a simulated process: handlers of bus messages, lost peers and changed
/// host tables.
protocol SimulatedService: AnyObject {
  /// Called once, when the process starts.
  func start()
  func call(_ key: RequestKey, _ request: BusRequest)
  func stream(_ key: RequestKey, _ request: BusRequest)
  /// Cancels a handler whose caller no longer waits.
  func cancel(_ key: RequestKey)
  func cast(_ body: Body, from sender: PeerID)
  func peerLost(_ peer: PeerID)
  /// Called after the host table or the load table has changed.
  func hostsChanged()
  /// Called when the process dies, to break its connections to clients and hosts.
  func died()
  /// Descriptions of work that is left. They are a violation if no request is under way.
  var leftovers: [String] { get }
}

extension SimulatedService {
  func start() {}
  func call(_ key: RequestKey, _ request: BusRequest) {}
  func stream(_ key: RequestKey, _ request: BusRequest) {}
  func cancel(_ key: RequestKey) {}
  func cast(_ body: Body, from sender: PeerID) {}
  func peerLost(_ peer: PeerID) {}
  func hostsChanged() {}
  func died() {}
  var leftovers: [String] { [] }
}

/// One incarnation of a process: a real `BusMachine`, and a simulation of the shell around it.
final class SimulatedProcess {
  private struct Reader {
    var item: (Body) -> Void
    var end: (Failure?) -> Void
  }

  private struct Waiter {
    var service: ServiceName
    var deadline: Instant
    var then: (Failure?) -> Void
  }

  unowned let cluster: SimulatedCluster
  var machine: BusMachine
  let hosts: SimulatedHostDirectory
  private(set) var isAlive = true
  /// Mailboxes whose loss is reported to this process.
  var connections: Set<String> = []
  var service: (any SimulatedService)?
  private var calls: [UInt64: (Result<Body, Failure>) -> Void] = [:]
  private var readers: [UInt64: Reader] = [:]
  private var waiters: [Waiter] = []
  private var handlers: Set<RequestKey> = []

  /// Intervals between ticks of the bus machine, the same as in the bus's shell.
  private static let busyTick = Duration.milliseconds(20)
  private static let idleTick = Duration.milliseconds(100)

  init(_ own: Peer, registryMailbox: String, cluster: SimulatedCluster, firstID: UInt64) {
    self.cluster = cluster
    machine = BusMachine(own: own, registryMailbox: registryMailbox, firstID: firstID)
    hosts = SimulatedHostDirectory()
  }

  var id: PeerID { machine.own.id }
  var now: Instant { cluster.time.now }

  func note(_ text: String) { cluster.log.note("\(id)", text) }

  /// Runs an action later, unless the process is dead by then.
  func after(_ delay: Duration, _ action: @escaping () -> Void) {
    cluster.time.schedule(after: delay) { [self] in if isAlive { action() } }
  }

  // MARK: - Life

  func start() {
    cluster.network.open(machine.own.mailbox, self)
    service?.start()
    if machine.own.service != .registry { hosts.start(self) }
    tick()
  }

  func die() {
    isAlive = false
    cluster.network.close(self)
    service?.died()
    service = nil
    calls = [:]
    readers = [:]
    waiters = []
  }

  private func tick() {
    perform(machine.tick(now: now))
    answerWaiters()
    after(machine.isBusy ? Self.busyTick : Self.idleTick) { [self] in tick() }
  }

  // MARK: - From the network

  func received(_ frame: [UInt8]) {
    guard isAlive else { return }
    var envelope: Envelope
    do {
      envelope = try Envelope(decoding: frame)
    } catch {
      cluster.violation("\(id) cannot decode a frame of \(frame.count) bytes: \(error)")
      return
    }
    let meant = envelope.toIncarnation
    if cluster.scenario.planted == .sharedIncarnation { envelope.toIncarnation = nil }
    let directives = machine.received(envelope, bytes: frame.count, now: now)
    if let meant, meant != id.incarnation {
      cluster.misdirected += 1
      let isAccepted = directives.contains {
        if case .dropped = $0 { false } else { true }
      }
      if isAccepted {
        cluster.violation("\(id) accepted a message for incarnation \(meant): \(envelope.shape)")
      }
    }
    perform(directives)
  }

  func connectionLost(to mailbox: String) {
    if isAlive { perform(machine.connectionLost(to: mailbox, now: now)) }
  }

  // MARK: - For the service

  @discardableResult
  func call(
    _ body: Body, to destination: Destination, deadline: Duration, trace: TraceContext? = nil,
    _ then: @escaping (Result<Body, Failure>) -> Void
  ) -> UInt64 {
    let id = machine.reserveID()
    calls[id] = then
    perform(
      machine.ask(
        id, body, to: destination, isStream: false, deadline: deadline, trace: trace,
        idempotencyKey: [], now: now))
    return id
  }

  @discardableResult
  func stream(
    _ body: Body, to destination: Destination, deadline: Duration, trace: TraceContext? = nil,
    idempotencyKey: [UInt8] = [], item: @escaping (Body) -> Void,
    end: @escaping (Failure?) -> Void
  ) -> UInt64 {
    let id = machine.reserveID()
    readers[id] = Reader(item: item, end: end)
    perform(
      machine.ask(
        id, body, to: destination, isStream: true, deadline: deadline, trace: trace,
        idempotencyKey: idempotencyKey, now: now))
    return id
  }

  /// Cancels a call or a stream. Its handlers are not called any more.
  func abandon(_ id: UInt64) {
    calls[id] = nil
    readers[id] = nil
    perform(machine.abandon(id))
  }

  func reply(_ key: RequestKey, _ result: Result<Body, Failure>) {
    handlers.remove(key)
    perform(machine.reply(key, result))
  }

  /// - Returns: `false` if the reader has left.
  func send(_ body: Body, to key: RequestKey) -> Bool {
    guard let (envelope, mailbox) = try? machine.item(key, body) else { return false }
    cluster.network.send(envelope, to: [mailbox], .data, from: self)
    return true
  }

  func finish(_ key: RequestKey, _ failure: Failure?) {
    handlers.remove(key)
    perform(machine.finish(key, failure))
  }

  func cast(_ body: Body, to destination: Destination, lane: Lane = .telemetry) {
    perform(machine.cast(body, to: destination, lane: lane))
  }

  func publish(_ body: Body, to recipient: PeerID? = nil) {
    perform(machine.publish(body, to: recipient))
  }

  func adopt(_ table: PeerTable) { perform(machine.apply(table, now: now)) }

  func live(_ service: ServiceName) -> [PeerID] { machine.directory.live(service).map(\.id) }

  /// Calls back when a process of the service is live, or at the deadline with a failure.
  func waitForPeer(
    _ service: ServiceName, deadline: Duration, _ then: @escaping (Failure?) -> Void
  ) {
    waiters.append(Waiter(service: service, deadline: now + deadline, then: then))
    answerWaiters()
  }

  private func answerWaiters() {
    guard !waiters.isEmpty else { return }
    var answered: [(Waiter, Failure?)] = []
    waiters.removeAll { waiter in
      if !live(waiter.service).isEmpty {
        answered.append((waiter, nil))
      } else if waiter.deadline <= now {
        answered.append((waiter, Failure(.noPeer, "not running yet: \(waiter.service)")))
      } else {
        return false
      }
      return true
    }
    for (waiter, failure) in answered { waiter.then(failure) }
  }

  // MARK: - Directives

  private func perform(_ directives: [BusDirective]) {
    for directive in directives where isAlive { perform(directive) }
  }

  private func perform(_ directive: BusDirective) {
    switch directive {
    case .send(let envelope, let mailbox, let lane):
      connections.insert(mailbox)
      cluster.network.send(envelope, to: [mailbox], lane, from: self)
    case .publish(let envelope, let mailboxes):
      connections.formUnion(mailboxes)
      cluster.network.send(envelope, to: mailboxes, .telemetry, from: self)
    case .connect(let mailbox): connections.insert(mailbox)
    case .disconnect(let mailbox): connections.remove(mailbox)
    case .resolve(let id, let result): calls.removeValue(forKey: id)?(result)
    case .item(let id, let body, _):
      guard let reader = readers[id] else { return }
      reader.item(body)
      if cluster.bugStrikes(.repeatedItem) { readers[id]?.item(body) }
    case .ended(let id, let failure):
      if cluster.bugStrikes(.lostAcknowledgement) { return }
      readers.removeValue(forKey: id)?.end(failure)
    case .startCall(let key, let request): begin(key) { service?.call(key, request) }
    case .startStream(let key, let request): begin(key) { service?.stream(key, request) }
    case .cancelHandler(let key, _):
      handlers.remove(key)
      service?.cancel(key)
    case .deliverCast(let body, let sender): service?.cast(body, from: sender)
    case .deliverPublication(let body): if hosts.apply(body) { service?.hostsChanged() }
    case .peersChanged: answerWaiters()
    case .peerLost(let peer): service?.peerLost(peer)
    case .decode(let message):
      // The machine bounds the size of a reassembled message.
      var wire = WireLimits.standard
      wire.frameBytes = message.bytes.count
      let envelope = try? Envelope(decoding: message.bytes, limits: wire)
      perform(machine.received(message, decodedAs: envelope, now: now))
    case .seal, .dropped: break
    }
  }

  private func begin(_ key: RequestKey, _ handler: () -> Void) {
    if !handlers.insert(key).inserted { cluster.violation("\(id) runs request \(key) twice") }
    handler()
  }

  // MARK: - At the end

  /// Descriptions of work that is left. They are a violation if no request is under way.
  var leftovers: [String] {
    var left = service?.leftovers ?? []
    if machine.handlersRunning > 0 { left.append("\(machine.handlersRunning) handlers") }
    if !readers.isEmpty { left.append("\(readers.count) streams") }
    if !handlers.isEmpty { left.append("\(handlers.count) handler entries") }
    if !waiters.isEmpty { left.append("\(waiters.count) waiters for peers") }
    return left
  }
}

/// A process's copy of the host table and the load table.
final class SimulatedHostDirectory {
  private var feed = HostTableFeed()
  private var loads = LoadTableFeed()
  private weak var process: SimulatedProcess?
  private var isAsking = false

  private static let firstPause = Duration.milliseconds(250)
  private static let longestPause = Duration.seconds(5)
  private static let askDeadline = Duration.seconds(2)

  var table: HostTable { feed.table }
  var hasTable: Bool { feed.hasTable }

  func load(now: Instant) -> (table: LoadTable, age: Duration)? {
    loads.load(now: now)
  }

  func start(_ process: SimulatedProcess) {
    self.process = process
    ask(after: Self.firstPause)
  }

  /// - Returns: whether the body was a table of hosts or load, or changes of the host table.
  func apply(_ body: Body) -> Bool {
    switch body {
    case .loadTable(let table):
      guard let process else { return false }
      loads.published(table, now: process.now)
      return true
    case .hostTable(let table):
      if feed.published(table) == .ask { ask(after: Self.firstPause) }
      return true
    case .hostChanges(let changes):
      if feed.published(changes) == .ask { ask(after: Self.firstPause) }
      return true
    default: return false
    }
  }

  /// Requests the table until the registry answers. The pause between requests doubles up to
  /// `longestPause`.
  private func ask(after pause: Duration) {
    guard let process, !isAsking else { return }
    isAsking = true
    process.call(.hostTableRequest, to: .service(.registry), deadline: Self.askDeadline) {
      [weak self, weak process] result in
      guard let self, let process else { return }
      isAsking = false
      if case .success(.hostTable(let table)) = result {
        feed.answered(table)
        process.service?.hostsChanged()
      } else {
        isAsking = true
        process.after(pause) { [self] in
          isAsking = false
          ask(after: min(pause * 2, Self.longestPause))
        }
      }
    }
  }
}
