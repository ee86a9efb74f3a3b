import BusCore
import ClusterModel
import ClusterTesting
import Wire

/// A simulated cluster in virtual time, with one machine per process.
///
/// The network loses, delays, duplicates and reorders messages; processes crash and restart. The
/// same seed gives the same run, byte for byte.
struct Simulation {
  struct Faults {
    var lossPerMille = 0
    var duplicatePerMille = 0
    var maximumDelay = 5
    /// Steps per 1,000 in which some process crashes; it restarts within two seconds.
    var crashPerMille = 0
    /// Per 1,000 connections to a crashed process, the number whose other end does not detect the
    /// crash.
    var silentDeathPerMille = 0
  }

  enum Event {
    case arrival(Envelope, at: String)
    case connectionLost(of: String, to: String)
    case reply(PeerID, RequestKey)
    case item(PeerID, RequestKey, left: Int)
    case rebirth(String)
  }

  /// A request of a process, and its outcome.
  struct Asked {
    let by: PeerID
    let isStream: Bool
    let deadline: Instant
    var items: UInt64 = 0
    var outcome: Result<Void, Failure>?
  }

  final class Process {
    var machine: BusMachine
    var connections: Set<String> = []
    let service: ServiceName
    var table: PeerTable

    init(_ peer: Peer) {
      machine = BusMachine(own: peer, registryMailbox: Simulation.registryMailbox)
      service = peer.service
      table = PeerTable(epoch: peer.id.incarnation, revision: 1, peers: [peer])
    }
  }

  static let registryMailbox = "sim://registry"
  static let services: [(String, ServiceName)] = [
    ("registry-1", .registry), ("gateway-1", .gateway), ("gateway-2", .gateway),
    ("planner-1", .planner), ("planner-2", .planner), ("dispatcher-1", .dispatcher),
  ]
  static let tick = 20

  let seed: UInt64
  let faults: Faults
  var chance: SeededGenerator
  var time = 0
  var incarnations: UInt64 = 0
  var processes: [String: Process] = [:]
  var events: [Int: [Event]] = [:]
  var asked: [RequestKey: Asked] = [:]
  var executed: [RequestKey: Int] = [:]
  var lengths: [RequestKey: Int] = [:]
  var violations: [String] = []

  init(seed: UInt64, faults: Faults) {
    self.seed = seed
    self.faults = faults
    chance = SeededGenerator(seed: seed)
    for (name, _) in Self.services { birth(name) }
  }

  var now: Instant { Instant(sinceStart: .milliseconds(time)) }

  mutating func happens(_ perMille: Int) -> Bool {
    perMille > 0 && chance.nextInt(in: 0..<1_000) < perMille
  }

  // MARK: - Births and deaths

  mutating func birth(_ name: String) {
    incarnations += 1
    guard let service = Self.services.first(where: { $0.0 == name })?.1 else { return }
    let isRegistry = service == .registry
    let peer = Peer(
      id: PeerID(name: name, incarnation: incarnations), service: service,
      mailbox: isRegistry ? Self.registryMailbox : "sim://\(name)-\(incarnations)",
      ttl: .seconds(3))
    let process = Process(peer)
    processes[name] = process
    if isRegistry { perform(process.machine.apply(process.table, now: now), by: process) }
  }

  mutating func crash(_ name: String) {
    guard let dead = processes.removeValue(forKey: name) else { return }
    let mailbox = dead.machine.own.mailbox
    for (other, process) in processes.sorted(by: { $0.key < $1.key })
    where process.connections.remove(mailbox) != nil {
      if happens(faults.silentDeathPerMille) { continue }
      schedule(chance.nextInt(in: 0..<30), .connectionLost(of: other, to: mailbox))
    }
    // Requests of the dead process have no outcome any more, because their caller is gone.
    for (key, request) in asked where request.by == dead.machine.own.id && request.outcome == nil {
      asked[key] = nil
    }
    schedule(chance.nextInt(in: 50..<2_000), .rebirth(name))
  }

  mutating func schedule(_ delay: Int, _ event: Event) {
    events[time + max(1, delay), default: []].append(event)
  }

  // MARK: - Running

  /// - Parameter asking: whether processes still send new requests, or only finish pending ones.
  mutating func run(milliseconds: Int, asking: Bool) {
    let end = time + milliseconds
    while time < end, violations.isEmpty {
      time += 1
      var due = events.removeValue(forKey: time) ?? []
      if happens(100) { due.shuffle(using: &chance) }
      for event in due { handle(event) }
      if time % Self.tick == 0 {
        for process in processes.sorted(by: { $0.key < $1.key }).map(\.value) {
          perform(process.machine.tick(now: now), by: process)
        }
        checkDeadlines()
      }
      guard asking else { continue }
      if happens(faults.crashPerMille) {
        crash(Self.services[chance.nextInt(in: 0..<Self.services.count)].0)
      }
      if happens(60) { ask() }
    }
  }

  mutating func ask() {
    guard
      let process = processes[Self.services[chance.nextInt(in: 1..<Self.services.count)].0]
    else { return }
    let services: [ServiceName] = [.planner, .dispatcher, .gateway]
    let service = services[chance.nextInt(in: 0..<services.count)]
    let isStream = happens(500)
    let deadline = Duration.milliseconds(chance.nextInt(in: 30..<3_000))
    let id = process.machine.reserveID()
    let key = RequestKey(sender: process.machine.own.id, messageID: id)
    asked[key] = Asked(by: key.sender, isStream: isStream, deadline: now + deadline)
    perform(
      process.machine.ask(
        id, .hostTableRequest, to: .service(service), isStream: isStream, deadline: deadline,
        trace: nil, idempotencyKey: [], now: now), by: process)
    if happens(50) {
      // The caller cancels its request.
      asked[key] = nil
      perform(process.machine.abandon(id), by: process)
    }
  }

  mutating func handle(_ event: Event) {
    switch event {
    case .arrival(let envelope, let mailbox):
      guard let process = processes.values.first(where: { $0.machine.own.mailbox == mailbox })
      else { return }
      perform(process.machine.received(envelope, bytes: 100, now: now), by: process)
    case .connectionLost(let name, let mailbox):
      guard let process = processes[name] else { return }
      perform(process.machine.connectionLost(to: mailbox, now: now), by: process)
    case .reply(let peer, let key):
      guard let process = alive(peer) else { return }
      perform(process.machine.reply(key, .success(.ack)), by: process)
    case .item(let peer, let key, let left):
      guard let process = alive(peer) else { return }
      if left == 0 {
        perform(process.machine.finish(key, nil), by: process)
      } else if let (envelope, mailbox) = try? process.machine.item(key, .ack) {
        perform([.send(envelope, to: mailbox, .data)], by: process)
        schedule(chance.nextInt(in: 0..<20), .item(peer, key, left: left - 1))
      }
    case .rebirth(let name): birth(name)
    }
  }

  func alive(_ peer: PeerID) -> Process? {
    processes[peer.name].flatMap { $0.machine.own.id == peer ? $0 : nil }
  }

  // MARK: - Directives

  mutating func perform(_ directives: [BusDirective], by process: Process) {
    let own = process.machine.own.id
    for directive in directives {
      switch directive {
      case .send(let envelope, let mailbox, _):
        process.connections.insert(mailbox)
        deliver(envelope, to: mailbox)
      case .publish(let envelope, let mailboxes):
        for mailbox in mailboxes {
          process.connections.insert(mailbox)
          deliver(envelope, to: mailbox)
        }
      case .connect(let mailbox): process.connections.insert(mailbox)
      case .disconnect(let mailbox): process.connections.remove(mailbox)
      case .resolve(let id, let result):
        outcome(RequestKey(sender: own, messageID: id), result.map { _ in })
      case .ended(let id, let failure):
        outcome(
          RequestKey(sender: own, messageID: id), failure.map { .failure($0) } ?? .success(()))
      case .item(let id, _, _): item(RequestKey(sender: own, messageID: id))
      case .startCall(let key, let request):
        if case .hostTableRequest = request.body { execute(key) }
        answer(key, request.body, by: process)
      case .startStream(let key, _):
        execute(key)
        let count = chance.nextInt(in: 0..<20)
        lengths[key] = count
        schedule(chance.nextInt(in: 0..<50), .item(own, key, left: count))
      case .decode(let message):
        let envelope = try? Envelope(decoding: message.bytes)
        perform(process.machine.received(message, decodedAs: envelope, now: now), by: process)
      case .seal, .cancelHandler, .deliverCast, .deliverPublication, .peersChanged, .dropped:
        break
      case .peerLost(let peer):
        if process.service == .registry {
          change(process) { peers in peers.removeAll { $0.id == peer } }
        }
      }
    }
  }

  /// Encodes and decodes an envelope. Then the network delivers, duplicates or loses the copy.
  mutating func deliver(_ envelope: Envelope, to mailbox: String) {
    guard let copy = try? Envelope(decoding: envelope.encoded()), copy == envelope else {
      violations.append("an envelope did not survive the wire: \(envelope)")
      return
    }
    if happens(faults.lossPerMille) { return }
    for _ in 0..<(happens(faults.duplicatePerMille) ? 2 : 1) {
      schedule(chance.nextInt(in: 0..<faults.maximumDelay), .arrival(copy, at: mailbox))
    }
  }

  mutating func answer(_ key: RequestKey, _ body: Body, by process: Process) {
    switch body {
    case .hello(let peer):
      change(process) { peers in peers = peers.filter { $0.id.name != peer.id.name } + [peer] }
      perform(process.machine.reply(key, .success(.peerTable(process.table))), by: process)
    default:
      // Some handlers never answer.
      if happens(30) { return }
      schedule(chance.nextInt(in: 0..<500), .reply(process.machine.own.id, key))
    }
  }

  mutating func change(_ process: Process, _ edit: (inout [Peer]) -> Void) {
    var peers = process.table.peers
    edit(&peers)
    guard peers != process.table.peers else { return }
    process.table.peers = peers
    process.table.revision += 1
    perform(process.machine.apply(process.table, now: now), by: process)
    perform(process.machine.publish(.peerTable(process.table)), by: process)
  }

  // MARK: - Invariants

  mutating func execute(_ key: RequestKey) {
    executed[key, default: 0] += 1
    if executed[key] != 1 { violations.append("\(key) ran \(executed[key] ?? 0) times") }
  }

  mutating func item(_ key: RequestKey) {
    guard var request = asked[key] else { return }
    if request.outcome != nil { violations.append("an item of \(key) after its end") }
    request.items += 1
    asked[key] = request
  }

  mutating func outcome(_ key: RequestKey, _ result: Result<Void, Failure>) {
    guard var request = asked[key] else { return }
    if request.outcome != nil { violations.append("\(key) has two outcomes") }
    request.outcome = result
    asked[key] = request
    if case .success = result, request.isStream, Int(request.items) != lengths[key] {
      violations.append(
        "\(key) ended well after \(request.items) of \(lengths[key] ?? -1) items")
    }
  }

  mutating func checkDeadlines() {
    let late = now.advanced(by: .milliseconds(-Self.tick))
    for (key, request) in asked where request.outcome == nil && request.deadline < late {
      violations.append("\(key) had no outcome at its deadline, \(request.deadline)")
    }
  }
}
