@_exported public import BusCore
import Clocks
public import ClusterModel
import Limits
public import Logging
import Metrics
public import ServiceLifecycle
import Synchronization
import Wire

/// The endpoint of a process on the bus: its mailbox, and the ways to reach other processes.
///
/// Messages are delivered at most once. Every call has a deadline. If the bus notices that the
/// called peer died, the call fails immediately with `Failure.Code.peerLost`.
///
/// `BusMachine` makes the decisions. This shell feeds it events and executes its directives.
public final class Bus: Service, Sendable {
  public typealias CallHandler = @Sendable (BusRequest) async throws(Failure) -> Body
  public typealias StreamHandler =
    @Sendable (BusRequest, StreamWriter) async throws(Failure) -> Void
  public typealias CastHandler = @Sendable (Body, PeerID) async -> Void

  struct Handlers: Sendable {
    var call: CallHandler?
    var stream: StreamHandler?
    var cast: CastHandler?
    var publication: (@Sendable (Body) -> Void)?
    var peerLost: (@Sendable (PeerID) -> Void)?
  }

  struct State: Sendable {
    var machine: BusMachine
    var calls: [UInt64: CheckedContinuation<Result<Body, Failure>, Never>] = [:]
    /// Calls that were cancelled before they were sent.
    var cancelledEarly: Set<UInt64> = []
    var streams: [UInt64: StreamBuffer] = [:]
    var running: [RequestKey: CancelSignal] = [:]
    var casts = CastShares()
    var handlers = Handlers()
    var peerWaiters: [PeerWaiter] = []
  }

  enum Job: Sendable {
    case call(RequestKey, BusRequest, CancelSignal)
    case stream(RequestKey, BusRequest, CancelSignal)
    case cast(Body, PeerID)
  }

  let configuration: BusConfiguration
  let transport: any Transport
  let logger: Logger
  let state: Mutex<State>
  let jobs: AsyncStream<Job>
  let jobQueue: AsyncStream<Job>.Continuation
  private let streamBytes: StreamBytes
  /// Dropped messages by reason. Reasons are constants, so there are a few dozen entries at most.
  private let drops = Mutex<[String: Int]>([:])
  private let clock = ProcessClock()

  /// The table entry of this process.
  public let peer: Peer

  public init(configuration: BusConfiguration, transport: any Transport, logger: Logger) {
    self.configuration = configuration
    self.transport = transport
    self.logger = logger
    peer = Peer(
      id: PeerID(name: configuration.name, incarnation: configuration.incarnation),
      service: configuration.service, mailbox: transport.mailbox, key: transport.publicKey,
      ttl: configuration.ttl)
    state = Mutex(
      State(
        machine: BusMachine(
          own: peer, registryMailbox: configuration.registryMailbox,
          registryKey: configuration.registryKey, firstID: UInt64.random(in: 1...(1 << 62)),
          limits: configuration.limits)))
    streamBytes = StreamBytes(limit: configuration.limits.allStreamBytes)
    // If the queue is full, a call or stream is refused, and a cast is dropped and counted.
    (jobs, jobQueue) = AsyncStream.makeStream(
      bufferingPolicy: .bufferingOldest(configuration.limits.handlers * 2))
  }

  var now: Instant { clock.now }

  /// All known peers: also those found dead, those that leave, and those that no table lists yet.
  /// Epoch and revision are those of the last applied table.
  public var peers: PeerTable {
    state.withLock { state in
      var table = state.machine.directory.table
      table.peers = state.machine.directory.all
      return table
    }
  }

  /// The live processes of a service, sorted by name.
  public func live(_ service: ServiceName) -> [Peer] {
    state.withLock { $0.machine.directory.live(service) }
  }

  // MARK: - The caller's side

  /// Sends a request and waits for its answer.
  public func call(
    _ body: Body, to destination: Destination, deadline: Duration, trace: TraceContext? = nil,
    idempotencyKey: [UInt8] = []
  ) async throws(Failure) -> Body {
    let id = state.withLock { $0.machine.reserveID() }
    let started = ContinuousClock.now
    defer { Timer(label: "tutti_bus_call_seconds").record(duration: started.duration(to: .now)) }
    return try await outcome(of: id) { machine, now in
      machine.ask(
        id, body, to: destination, isStream: false, deadline: deadline, trace: trace,
        idempotencyKey: idempotencyKey, now: now)
    }
  }

  /// Makes the call and waits for its outcome.
  func outcome(
    of id: UInt64, _ make: (inout BusMachine, Instant) -> [BusDirective]
  ) async throws(Failure) -> Body {
    // A cancellation that races with the outcome finds no call and leaves the call's id in the set.
    defer { state.withLock { _ = $0.cancelledEarly.remove(id) } }
    let result: Result<Body, Failure> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let directives = state.withLock { state -> [BusDirective]? in
          if state.cancelledEarly.contains(id) { return nil }
          state.calls[id] = continuation
          return make(&state.machine, now)
        }
        if let directives {
          perform(directives)
        } else {
          continuation.resume(returning: .failure(Self.cancelled))
        }
      }
    } onCancel: {
      cancelCall(id)
    }
    return try result.get()
  }

  static let cancelled = Failure(.cancelled, "the caller was cancelled")

  private func cancelCall(_ id: UInt64) {
    let (waiting, directives) = state.withLock {
      state -> (CheckedContinuation<Result<Body, Failure>, Never>?, [BusDirective]) in
      guard let waiting = state.calls.removeValue(forKey: id) else {
        state.cancelledEarly.insert(id)
        return (nil, [])
      }
      return (waiting, state.machine.abandon(id))
    }
    waiting?.resume(returning: .failure(Self.cancelled))
    perform(directives)
  }

  /// Opens a stream. When the function returns, the request is in an outbox. A failure to send is
  /// thrown when the stream is read.
  /// - Parameter deadline: time limit of the whole stream. `nil` means no deadline.
  public func stream(
    _ body: Body, to destination: Destination, deadline: Duration?, trace: TraceContext? = nil,
    idempotencyKey: [UInt8] = []
  ) -> BusStream {
    let buffer = StreamBuffer(limit: configuration.limits.streamBytes, total: streamBytes)
    let (id, peer, directives) = state.withLock { state in
      let id = state.machine.reserveID()
      state.streams[id] = buffer
      let directives = state.machine.ask(
        id, body, to: destination, isStream: true, deadline: deadline, trace: trace,
        idempotencyKey: idempotencyKey, now: now)
      return (id, state.machine.peer(of: id), directives)
    }
    let stream = BusStream(peer: peer, lease: StreamLease(id: id, buffer: buffer, bus: self))
    perform(directives)
    return stream
  }

  func abandonStream(_ id: UInt64) {
    let directives = state.withLock { state -> [BusDirective] in
      guard state.streams.removeValue(forKey: id) != nil else { return [] }
      return state.machine.abandon(id)
    }
    perform(directives)
  }

  /// Sends a message without an answer. A message that cannot be sent is dropped and counted.
  public func cast(_ body: Body, to destination: Destination, lane: Lane = .data) {
    perform(state.withLock { $0.machine.cast(body, to: destination, lane: lane) })
  }

  /// Sends a table to every live peer, or to one. A table that does not fit into a frame is
  /// refused, counted and logged; the peers keep the previous table.
  public func publish(_ body: Body, to recipient: PeerID? = nil) {
    perform(state.withLock { $0.machine.publish(body, to: recipient) })
  }

  /// Applies a peer table. Only the registry calls it, because it computes the table itself.
  public func adopt(_ table: PeerTable) {
    perform(state.withLock { $0.machine.apply(table, now: now) })
  }

  func sendItem(_ key: RequestKey, _ body: Body) throws(Failure) {
    let result = state.withLock { state -> Result<(envelope: Envelope, mailbox: String), Failure> in
      Result { () throws(Failure) in try state.machine.item(key, body) }
    }
    let (envelope, mailbox) = try result.get()
    if try !transmit(envelope, to: mailbox, lane: .data) {
      let failure = Failure(
        .slowReader, "\(key.sender.name) reads too slowly; the stream to it was cut")
      perform(state.withLock { $0.machine.finish(key, failure) })
      throw failure
    }
  }

  // MARK: - Handlers, set before `run()`

  /// Sets the handler of calls. Its Swift task is cancelled if the caller cancels the call or dies,
  /// at the caller's deadline, and when this process closes the bus.
  public func onCall(_ handler: @escaping CallHandler) {
    state.withLock { $0.handlers.call = handler }
  }

  /// Sets the handler of streams. A stream ends when the handler returns, or with the failure that
  /// the handler throws. The handler's Swift task is cancelled like that of a call.
  public func onStream(_ handler: @escaping StreamHandler) {
    state.withLock { $0.handlers.stream = handler }
  }

  public func onCast(_ handler: @escaping CastHandler) {
    state.withLock { $0.handlers.cast = handler }
  }

  /// Sets the handler of publications except peer tables, which the bus applies itself. The handler
  /// runs on the bus's own thread, in order, and must not block.
  public func onPublish(_ handler: @escaping @Sendable (Body) -> Void) {
    state.withLock { $0.handlers.publication = handler }
  }

  /// Sets the handler that is called for each peer that died or left. It must not block, because it
  /// delays the bus.
  public func onPeerLost(_ handler: @escaping @Sendable (PeerID) -> Void) {
    state.withLock { $0.handlers.peerLost = handler }
  }

  // MARK: - Executing directives

  /// Executes directives in order, outside the lock.
  func perform(_ directives: [BusDirective]) {
    for directive in directives { perform(directive) }
  }

  private func perform(_ directive: BusDirective) {
    switch directive {
    case .send(let envelope, let mailbox, let lane):
      do {
        if try !transmit(envelope, to: mailbox, lane: lane) { undelivered(envelope, lane) }
      } catch {
        undelivered(envelope, lane, error)
      }
    case .publish(let envelope, let mailboxes): publish(envelope, to: mailboxes)
    case .seal(let mailbox, let recipient): transport.seal(mailbox, for: recipient)
    case .connect(let mailbox): transport.connect(to: mailbox)
    case .disconnect(let mailbox): transport.disconnect(from: mailbox)
    case .decode(let message):
      var wire = WireLimits.standard
      wire.frameBytes = configuration.limits.messageBytes
      let envelope = try? Envelope(decoding: message.bytes, limits: wire)
      perform(state.withLock { $0.machine.received(message, decodedAs: envelope, now: now) })
    case .resolve(let id, let result):
      state.withLock { $0.calls.removeValue(forKey: id) }?.resume(returning: result)
    case .item(let id, let body, let bytes):
      guard let buffer = state.withLock({ $0.streams[id] }) else { return }
      if !buffer.add(body, bytes: bytes) {
        buffer.end(Failure(.slowReader, "the stream was read too slowly and was cut"))
        count("slow_reader")
        abandonStream(id)
      }
    case .ended(let id, let failure):
      state.withLock { $0.streams.removeValue(forKey: id) }?.end(failure)
    case .startCall(let key, let request):
      start(key, isStream: false) { .call(key, request, $0) }
    case .startStream(let key, let request):
      start(key, isStream: true) { .stream(key, request, $0) }
    case .cancelHandler(let key, _):
      state.withLock { $0.running.removeValue(forKey: key) }?.signal()
    case .deliverCast(let body, let sender):
      guard state.withLock({ $0.casts.begin(sender) }) else { return count("cast_overflow") }
      if case .dropped = jobQueue.yield(.cast(body, sender)) {
        state.withLock { $0.casts.end(sender) }
        count("cast_overflow")
      }
    case .deliverPublication(let body):
      state.withLock(\.handlers.publication)?(body)
    case .peersChanged:
      Gauge(label: "tutti_bus_peers").record(state.withLock { $0.machine.directory.all.count })
      answerPeerWaiters()
    case .peerLost(let peer):
      logger.debug("peer lost", metadata: ["peer": "\(peer)"])
      state.withLock(\.handlers.peerLost)?(peer)
    case .dropped(let reason): count(reason)
    }
  }

  private func publish(_ envelope: Envelope, to mailboxes: [String]) {
    do {
      let packed = try envelope.encoded()
      let limit = configuration.limits.frameBytes - Self.sealingRoom
      guard packed.count <= limit else {
        throw WireError.tooLarge(bytes: packed.count, limit: limit)
      }
      try Envelope.check(packed)
      // Tables use the lane with the lowest priority, because a peer that misses a table gets the
      // next one.
      for mailbox in mailboxes where !transport.send(packed, to: mailbox, lane: .telemetry) {
        count("table_outbox_full")
      }
    } catch {
      count("publication_refused")
      logger.error(
        "cannot publish a table; peers keep the previous one",
        metadata: ["event": "table_not_published", "reason": "\(error)"])
    }
  }

  private func start(_ key: RequestKey, isStream: Bool, _ job: (CancelSignal) -> Job) {
    let signal = CancelSignal()
    state.withLock { $0.running[key] = signal }
    if case .dropped = jobQueue.yield(job(signal)) {
      let full = Failure(
        .overloaded, "too many requests wait at \(peer.id.name)", retryAfter: .seconds(1))
      perform(
        state.withLock { state in
          state.running[key] = nil
          return isStream
            ? state.machine.finish(key, full) : state.machine.reply(key, .failure(full))
        })
    }
  }

  /// Maximum bytes that sealing adds to a frame.
  private static let sealingRoom = 1_024

  /// - Returns: `false` if the transport has no room for the message.
  private func transmit(
    _ envelope: Envelope, to mailbox: String, lane: Lane
  ) throws(Failure) -> Bool {
    let packed: [UInt8]
    do {
      packed = try envelope.encoded()
    } catch {
      throw Failure(.internalError, "a message could not be packed: \(error)")
    }
    if packed.count <= configuration.limits.frameBytes - Self.sealingRoom {
      return transport.send(packed, to: mailbox, lane: lane)
    }
    for piece in try Reassembly.split(packed, of: envelope, limits: configuration.limits) {
      guard let frame = try? piece.encoded(), transport.send(frame, to: mailbox, lane: lane) else {
        return false
      }
    }
    return true
  }

  /// Fails the local call or stream whose request could not be sent. If a reply or the end of a
  /// stream could not be sent, the caller waits until its deadline.
  private func undelivered(_ envelope: Envelope, _ lane: Lane, _ reason: Failure? = nil) {
    count(lane == .telemetry ? "telemetry_outbox_full" : "outbox_full")
    let failure =
      reason ?? Failure(.outboxFull, "the outbox is full: the peer reads too slowly")
    let id = envelope.messageID
    switch envelope.shape {
    case .call:
      perform([.resolve(id, .failure(failure))] + state.withLock { $0.machine.abandon(id) })
    case .open: perform([.ended(id, failure)] + state.withLock { $0.machine.abandon(id) })
    case .reply, .item, .end, .cancel, .cast, .publish, .ping, .pong: break
    }
  }

  /// Number of dropped messages since the start by reason, as in `tutti_bus_dropped_total`.
  var dropped: [String: Int] { drops.withLock { $0 } }

  func count(_ reason: String) {
    drops.withLock { $0[reason, default: 0] += 1 }
    Counter(label: "tutti_bus_dropped_total", dimensions: [("reason", reason)]).increment()
  }
}

/// Counts the casts whose handlers run or have not begun yet, by sender.
struct CastShares: Sendable {
  private var bySender: [PeerID: Int] = [:]
  private var total = 0

  /// - Returns: `false` if the sender, or all senders together, have reached the limit.
  mutating func begin(_ sender: PeerID) -> Bool {
    guard total < Limits.busCasts.value,
      bySender[sender, default: 0] < Limits.busCastShare.value
    else { return false }
    total += 1
    bySender[sender, default: 0] += 1
    return true
  }

  mutating func end(_ sender: PeerID) {
    guard let own = bySender[sender] else { return }
    total -= 1
    bySender[sender] = own > 1 ? own - 1 : nil
  }
}

/// Signals that a handler is to be cancelled, for example because its caller no longer waits.
final class CancelSignal: Sendable {
  private struct State {
    var isSet = false
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  func signal() {
    state.withLock { state in
      state.isSet = true
      defer { state.waiter = nil }
      return state.waiter
    }?.resume()
  }

  /// Returns when `signal` is called or the caller's Swift task is cancelled.
  func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isSet = state.withLock { state -> Bool in
          if !state.isSet { state.waiter = continuation }
          return state.isSet
        }
        if isSet { continuation.resume() }
      }
    } onCancel: {
      signal()
    }
  }
}
