public import ClusterModel

/// State machine of the bus: chooses peers, interprets messages and ends requests. It has no
/// socket, clock, thread or lock; the shell feeds it events and executes its directives.
public struct BusMachine: Sendable {
  /// An outgoing call, stream or hello.
  struct Outgoing: Equatable, Sendable {
    enum Kind: Equatable, Sendable { case call, stream, hello }
    var kind: Kind
    var peer: PeerID?
    var mailbox: String
    var deadline: Instant?
    /// The next expected sequence number of a stream.
    var expected: UInt32 = 0
  }

  /// A call or stream from a peer that a handler of this process works on.
  struct Incoming: Equatable, Sendable {
    var isStream: Bool
    var mailbox: String
    var deadline: Instant?
    var sequence: UInt32 = 0
    /// Whether the request is a goodbye. Its sender leaves the table but still waits for the
    /// answer.
    var isFarewell = false
  }

  struct Heartbeat: Equatable, Sendable {
    var lastReceived: Instant
    var pinged: Instant?
    /// Time of the first ping since the last envelope from the peer.
    var firstPing: Instant?
  }

  /// A message of a peer that the table does not list yet.
  struct Held: Equatable, Sendable {
    var envelope: Envelope
    var bytes: Int
    var seal: SealedSender?
    var since: Instant
  }

  public let own: Peer
  let registryMailbox: String
  public let limits: BusLimits
  public internal(set) var directory = PeerDirectory()
  var isDraining = false

  /// The registry that answered the last hello.
  var registry: PeerID?
  /// The registry's public key. Tables sealed with any other key are refused.
  var registryKey: [UInt8]?
  var nextID: UInt64
  var publications: UInt32 = 0
  var outgoing: [UInt64: Outgoing] = [:]
  var incoming: [RequestKey: Incoming] = [:]
  var inFlight: [PeerID: Int] = [:]
  var heartbeats: [PeerID: Heartbeat] = [:]
  var seen: [PeerID: RecentIDs] = [:]
  /// Peers that were sent answers. The last of these answers may still be on their way.
  var answered: Set<PeerID> = []
  var held: [Held] = []
  /// Mailboxes of processes that introduced themselves to this process, the registry; newest last.
  var introductions: [String] = []
  var reassembly: Reassembly
  var nextHello: Instant = .zero
  /// Delay between hellos. It is short at first, while other processes join, and grows to a third
  /// of the lease.
  var helloInterval: Duration = Self.firstHelloInterval
  var isRegistry: Bool { own.service == .registry }
  var turn = 0

  /// - Parameters:
  ///   - registryKey: the registry's public key, if it is configured. If it is `nil`, the key of
  ///     the first registry that answers is pinned.
  ///   - firstID: id of the first message. A random id prevents another process from guessing ids
  ///     and forging answers.
  public init(
    own: Peer, registryMailbox: String, registryKey: [UInt8]? = nil, firstID: UInt64 = 1,
    limits: BusLimits = .standard
  ) {
    self.own = own
    self.registryMailbox = registryMailbox
    self.registryKey = registryKey
    self.nextID = firstID
    self.limits = limits
    self.reassembly = Reassembly(limits: limits)
    directory.introduce(own, until: nil)
  }

  public var handlersRunning: Int { incoming.count }

  /// Whether deadlines or held messages need checks at short intervals.
  public var isBusy: Bool { !outgoing.isEmpty || !incoming.isEmpty || !held.isEmpty }

  // MARK: - Outgoing requests

  /// Reserves the next message id.
  public mutating func reserveID() -> UInt64 {
    defer { nextID &+= 1 }
    return nextID
  }

  /// Sends a call or opens a stream under a reserved id. If that fails, the failure is the outcome
  /// of the call or stream.
  public mutating func ask(
    _ id: UInt64, _ body: Body, to destination: Destination, isStream: Bool,
    deadline: Duration?, trace: TraceContext?, idempotencyKey: [UInt8], now: Instant
  ) -> [BusDirective] {
    func refuse(_ failure: Failure) -> [BusDirective] {
      isStream ? [.ended(id, failure)] : [.resolve(id, .failure(failure))]
    }
    guard outgoing.count < limits.outgoing else {
      return refuse(
        Failure(
          .overloaded, "\(limits.outgoing) requests are in flight already",
          retryAfter: .seconds(1)))
    }
    guard let peer = choose(destination) else {
      if case .peer(let id) = destination {
        return refuse(Failure(.peerLost, "\(id) is no longer in the peer table"))
      }
      return refuse(
        Failure(
          .noPeer, "no live \(name(of: destination)); is it running?", retryAfter: .seconds(1)))
    }
    outgoing[id] = Outgoing(
      kind: isStream ? .stream : .call, peer: peer.id, mailbox: peer.mailbox,
      deadline: deadline.map { now + $0 })
    begin(with: peer.id, now: now)
    let envelope = Envelope(
      messageID: id, shape: isStream ? .open : .call, sender: own.id,
      toIncarnation: peer.id.incarnation, remaining: deadline, trace: trace,
      idempotencyKey: idempotencyKey, body: body)
    return [.send(envelope, to: peer.mailbox, .data)]
  }

  /// The peer that a request was sent to.
  public func peer(of id: UInt64) -> PeerID? { outgoing[id]?.peer }

  /// Cancels an outgoing request. The caller has to set its outcome.
  public mutating func abandon(_ id: UInt64) -> [BusDirective] {
    guard let request = outgoing.removeValue(forKey: id) else { return [] }
    end(with: request.peer)
    let cancel = Envelope(
      messageID: reserveID(), correlationID: id, shape: .cancel, sender: own.id,
      toIncarnation: request.peer?.incarnation, body: .ack)
    return [.send(cancel, to: request.mailbox, .control)]
  }

  public mutating func cast(_ body: Body, to destination: Destination, lane: Lane) -> [BusDirective]
  {
    guard let peer = choose(destination) else { return [.dropped(reason: "no_peer")] }
    let envelope = Envelope(
      messageID: reserveID(), shape: .cast, sender: own.id, toIncarnation: peer.id.incarnation,
      body: body)
    return [.send(envelope, to: peer.mailbox, lane)]
  }

  /// Sends to the mailboxes of all other peers except those found dead.
  /// - Parameter recipient: the only peer to send to. `nil` means all.
  public mutating func publish(_ body: Body, to recipient: PeerID? = nil) -> [BusDirective] {
    if recipient == nil { publications &+= 1 }
    let envelope = Envelope(
      messageID: reserveID(), shape: .publish, sender: own.id, sequence: publications, body: body)
    let mailboxes = directory.reachable
      .filter { $0.id != own.id && (recipient == nil || $0.id == recipient) }.map(\.mailbox)
    return mailboxes.isEmpty ? [] : [.publish(envelope, to: mailboxes)]
  }

  private func name(of destination: Destination) -> String {
    switch destination {
    case .service(let service): "\(service)"
    case .peer(let peer): "process \(peer)"
    }
  }

  /// Chooses the given peer if it is live, or the service's live peer with the fewest requests in
  /// flight to and from this process. Peers with equal numbers take turns.
  private mutating func choose(_ destination: Destination) -> Peer? {
    switch destination {
    case .peer(let id): return directory.isLive(id) ? directory[id] : nil
    case .service(let service):
      let live = directory.live(service)
      guard let least = live.map({ inFlight[$0.id] ?? 0 }).min() else { return nil }
      let equals = live.filter { (inFlight[$0.id] ?? 0) == least }
      turn &+= 1
      return equals[Int(UInt(bitPattern: turn) % UInt(equals.count))]
    }
  }

  // MARK: - Incoming requests

  /// Sends the answer of a call's handler.
  public mutating func reply(_ key: RequestKey, _ result: Result<Body, Failure>) -> [BusDirective] {
    guard let request = incoming.removeValue(forKey: key) else { return [] }
    end(with: key.sender)
    answered.insert(key.sender)
    let body: Body
    switch result {
    case .success(let value): body = value
    case .failure(let failure): body = .failure(failure)
    }
    return [.send(answer(key, .reply, body), to: request.mailbox, .data)]
  }

  /// Makes the envelope of one item of a stream.
  /// - Throws: `cancelled` if the caller no longer waits for the stream.
  public mutating func item(
    _ key: RequestKey, _ body: Body
  ) throws(Failure) -> (envelope: Envelope, mailbox: String) {
    guard let request = incoming[key] else {
      throw Failure(.cancelled, "the caller no longer reads this stream")
    }
    incoming[key]?.sequence += 1
    return (answer(key, .item, body, sequence: request.sequence), request.mailbox)
  }

  /// Ends a stream from its handler; `nil` means success. An end caused by a full outbox overtakes
  /// the queued items, because they could not be delivered.
  public mutating func finish(_ key: RequestKey, _ failure: Failure?) -> [BusDirective] {
    guard let request = incoming.removeValue(forKey: key) else { return [] }
    end(with: key.sender)
    answered.insert(key.sender)
    let overtakes = failure?.code == .slowReader || failure?.code == .outboxFull
    let body: Body = failure.map { .failure($0) } ?? .ack
    return [
      .send(
        answer(key, .end, body, sequence: request.sequence), to: request.mailbox,
        overtakes ? .control : .data)
    ]
  }

  func answer(
    _ key: RequestKey, _ shape: Envelope.Shape, _ body: Body, sequence: UInt32 = 0
  ) -> Envelope {
    Envelope(
      messageID: key.messageID, correlationID: key.messageID, shape: shape, sender: own.id,
      toIncarnation: key.sender.incarnation, sequence: sequence, body: body)
  }

  // MARK: - Work in flight by peer

  mutating func begin(with peer: PeerID, now: Instant) {
    inFlight[peer, default: 0] += 1
    if heartbeats[peer] == nil { heartbeats[peer] = Heartbeat(lastReceived: now) }
  }

  mutating func end(with peer: PeerID?) {
    guard let peer, let count = inFlight[peer] else { return }
    if count > 1 {
      inFlight[peer] = count - 1
    } else {
      inFlight[peer] = nil
      heartbeats[peer] = nil
    }
  }
}

/// The most recent message ids of one sender.
struct RecentIDs: Sendable {
  private var known: Set<UInt64> = []
  private var order: [UInt64] = []
  private var next = 0

  /// - Returns: `false` if the id is already known.
  mutating func insert(_ id: UInt64, limit: Int) -> Bool {
    guard known.insert(id).inserted else { return false }
    if order.count < limit {
      order.append(id)
    } else {
      known.remove(order[next])
      order[next] = id
      next = (next + 1) % limit
    }
    return true
  }
}
