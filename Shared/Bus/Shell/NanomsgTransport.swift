import BusCore
import CNanomsg
import ClusterModel
import Foundation
import Synchronization

/// Mailboxes over nanomsg. One thread, the reactor, uses all sockets; other threads only put frames
/// into outboxes and wake it. A blocking receive on one of Swift's cooperative threads would stop
/// half of a two-core process.
final class NanomsgTransport: Transport {
  struct Configuration: Sendable {
    /// The `ipc://` address that nanomsg binds.
    var listen: String
    /// The address that other processes connect to: the address of `listener` if it is set,
    /// otherwise `listen`.
    var mailbox: String
    /// The public listener and its seal. `nil` means that file permissions protect the sockets.
    var listener: Public?
    /// Maximum connected mailboxes. At the limit an idle one is closed for each new one.
    var connections = NanomsgTransport.maximumConnections

    struct Public: Sendable {
      var host: String
      var port: Int
      var seal: FrameSeal
      var patience: Duration
    }

    init(listen: String, mailbox: String) {
      self.listen = listen
      self.mailbox = mailbox
    }
  }

  /// Maximum bytes of a frame: 1 MiB and the bytes added by sealing.
  static let frameLimit = (1 << 20) + 256
  /// Receive limit if only this user can connect. A frame above `frameLimit` is then received,
  /// counted and dropped, and its sender stays connected.
  static let localReceiveLimit = 17 << 20
  /// nanomsg allows 512 sockets per process. The other 112 are left for tests.
  static let maximumConnections = 400
  /// Maximum bytes for each mailbox and lane: the largest message in fragments, plus a margin.
  static let laneLimit = 32 << 20
  /// Maximum bytes in all outboxes, above which data frames are dropped. Telemetry frames are
  /// dropped above a quarter of it. Control frames are not limited by it.
  static let outboxLimit = 96 << 20
  /// A connection that is down and unused for this long is closed. A connection that is up stays
  /// open, because it shows that its peer is alive.
  static let idleLimit: Duration = .seconds(30)
  /// Bytes that nanomsg may buffer per socket, in addition to the outbox.
  static let socketBuffer = 1 << 20
  /// Poll timeout. The reactor notices a dead connection within about this time.
  static let pollMilliseconds: Int32 = 20
  /// Refused connection attempts, at least 10 ms apart, after which a peer is considered dead. A
  /// peer binds its mailbox before its first hello, so a listed peer that refuses is dead.
  static let refusals: UInt64 = 3

  private enum Command {
    case connect(String)
    case disconnect(String)
    /// The mailbox belongs to another process now, so the connection must be proved again.
    case reconnect(String)
  }

  private struct Shared {
    var outboxes: [String: Outbox] = [:]
    /// Bytes in all outboxes.
    var bytes = 0
    /// Mailboxes whose empty outbox got a frame since the reactor's last pass.
    var fresh: [String] = []
    var commands: [Command] = []
    var awake = false
    var stopAt: ContinuousClock.Instant?
    var stopped = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let configuration: Configuration
  private let shared = Mutex(Shared())
  /// Wakes the reactor from other threads.
  private let wake: WakePipe

  private var receiveLimit: Int {
    configuration.listener == nil ? Self.localReceiveLimit : Self.frameLimit
  }

  var mailbox: String { configuration.mailbox }
  var publicKey: [UInt8] { configuration.listener?.seal.publicKey ?? [] }

  init(_ configuration: Configuration) throws(Failure) {
    self.configuration = configuration
    self.wake = try WakePipe()
  }

  // MARK: - From any thread

  func start(
    _ deliver: @escaping @Sendable (TransportEvent) -> Void
  ) throws(Failure) {
    guard let listen = MailboxAddress(configuration.listen), case .socket(let path) = listen.target
    else {
      throw Failure(.internalError, "\(configuration.listen) is not an address for a mailbox")
    }
    let pull = try Self.open(CNN_PULL, receiving: receiveLimit, bind: listen)
    var listener: BusListener?
    if let settings = configuration.listener {
      do {
        listener = try BusListener(
          BusListener.Settings(
            host: settings.host, port: settings.port, socketPath: path,
            frameLimit: Self.frameLimit, patience: settings.patience),
          seal: settings.seal, dropped: { deliver(.dropped(reason: $0)) })
      } catch {
        _ = cnn_close(pull)
        throw error
      }
    }
    let opened = listener
    let thread = Thread { [self] in
      var reactor = Reactor(transport: self, pull: pull, listener: opened, deliver: deliver)
      reactor.run()
    }
    thread.name = "tutti-bus"
    thread.start()
  }

  func send(_ frame: [UInt8], to mailbox: String, lane: Lane) -> Bool {
    let (queued, needsWake) = shared.withLock { shared -> (Bool, Bool) in
      guard !shared.stopped else { return (false, false) }
      let wasEmpty = shared.outboxes[mailbox]?.isEmpty ?? true
      let limit = lane == .telemetry ? Self.outboxLimit / 4 : Self.outboxLimit
      guard lane == .control || shared.bytes + frame.count <= limit,
        shared.outboxes[mailbox, default: Outbox(laneBytes: Self.laneLimit)].push(frame, lane)
      else { return (false, false) }
      shared.bytes += frame.count
      guard wasEmpty else { return (true, false) }
      shared.fresh.append(mailbox)
      defer { shared.awake = true }
      return (true, !shared.awake)
    }
    if needsWake { wake.signal() }
    return queued
  }

  func connect(to mailbox: String) { enqueue(.connect(mailbox)) }

  /// Closes the connection to a mailbox. Later frames use a new connection.
  func disconnect(from mailbox: String) {
    forget(mailbox)
    configuration.listener?.seal.know(mailbox, nil)
    enqueue(.disconnect(mailbox))
  }

  func seal(_ mailbox: String, for recipient: Recipient?) {
    if configuration.listener?.seal.know(mailbox, recipient) == true {
      enqueue(.reconnect(mailbox))
    }
  }

  func stop(grace: Duration) async {
    await withCheckedContinuation { continuation in
      let already = shared.withLock { shared -> Bool in
        if shared.stopped { return true }
        shared.stopAt = ContinuousClock.now + grace
        shared.waiters.append(continuation)
        return false
      }
      if already { continuation.resume() } else { wake.signal() }
    }
  }

  /// Drops the queued frames for a mailbox.
  private func forget(_ mailbox: String) {
    shared.withLock { shared in
      shared.bytes -= shared.outboxes.removeValue(forKey: mailbox)?.bytes ?? 0
    }
  }

  /// Removes the private socket of a listener and its directory, which no other process uses.
  private func removeSocket() {
    guard configuration.listener != nil,
      case .socket(let path)? =
        MailboxAddress(configuration.listen)?.target
    else { return }
    _ = unsafe unlink(path)
    _ = unsafe rmdir(String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)]))
  }

  private func enqueue(_ command: Command) {
    let needsWake = shared.withLock { shared -> Bool in
      guard !shared.stopped else { return false }
      shared.commands.append(command)
      defer { shared.awake = true }
      return !shared.awake
    }
    if needsWake { wake.signal() }
  }

  // MARK: - Opening

  private static func open(
    _ kind: Int32, receiving limit: Int, bind address: MailboxAddress
  ) throws(Failure) -> Int32 {
    let socket = try open(kind, receiving: limit)
    let result = unsafe address.url.withCString { unsafe cnn_bind(socket, $0) }
    if result < 0 {
      _ = cnn_close(socket)
      let reason = unsafe String(cString: cnn_message(-result))
      throw Failure(
        .internalError,
        "cannot bind \(address.url): \(reason); is another process using it? Choose another address."
      )
    }
    return socket
  }

  private static func open(_ kind: Int32, receiving limit: Int) throws(Failure) -> Int32 {
    let socket = cnn_socket(kind)
    guard socket >= 0 else {
      let reason = unsafe String(cString: cnn_message(-socket))
      throw Failure(.internalError, "cannot open a nanomsg socket: \(reason)")
    }
    _ = cnn_set_no_delay(socket)
    if kind == CNN_PULL {
      _ = cnn_set_receive_limit(socket, Int32(limit))
    }
    _ = cnn_set_reconnect(socket, 10, 500)
    return socket
  }

  // MARK: - The reactor

  /// State of the reactor; used only on its own thread.
  private struct Reactor {
    let transport: NanomsgTransport
    let pull: Int32
    let listener: BusListener?
    let deliver: @Sendable (TransportEvent) -> Void

    struct Connection {
      var socket: Int32
      var established: UInt64 = 0
      var connected = false
      /// Whether the mailbox was reported as lost because it refuses connections.
      var isRefused = false
      var pending = false
      /// A frame from the outbox that nanomsg has not accepted yet.
      var held: [UInt8]?
      var lastUse: ContinuousClock.Instant
    }

    var connections: [String: Connection] = [:]

    init(
      transport: NanomsgTransport, pull: Int32, listener: BusListener?,
      deliver: @escaping @Sendable (TransportEvent) -> Void
    ) {
      self.transport = transport
      self.pull = pull
      self.listener = listener
      self.deliver = deliver
    }

    mutating func run() {
      while true {
        wait()
        receiveAll()
        let (commands, fresh, stopAt) = transport.shared.withLock { shared in
          defer {
            shared.commands = []
            shared.fresh = []
            shared.awake = false
          }
          return (shared.commands, shared.fresh, shared.stopAt)
        }
        for command in commands { perform(command) }
        for mailbox in fresh { open(mailbox) }
        flush()
        notice()
        if let stopAt {
          let idle = !connections.values.contains { $0.pending && $0.connected }
          if idle || ContinuousClock.now >= stopAt { break }
        }
      }
      close()
    }

    private func wait() {
      var descriptors = [pollfd(fd: transport.wake.readEnd, events: Int16(POLLIN), revents: 0)]
      let mail = cnn_receive_descriptor(pull)
      if mail >= 0 { descriptors.append(pollfd(fd: mail, events: Int16(POLLIN), revents: 0)) }
      for connection in connections.values where connection.pending {
        let descriptor = cnn_send_descriptor(connection.socket)
        if descriptor >= 0 {
          descriptors.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
        }
      }
      let count = nfds_t(descriptors.count)
      _ = unsafe poll(&descriptors, count, NanomsgTransport.pollMilliseconds)
      if descriptors[0].revents != 0 { transport.wake.drain() }
    }

    private func receiveAll() {
      // Read a bounded number of frames, so that a flood does not delay sending.
      var budget = 256
      while budget > 0, let frame = Self.receive(pull) {
        budget -= 1
        guard frame.count <= NanomsgTransport.frameLimit else {
          deliver(.dropped(reason: "too_large"))
          continue
        }
        guard let seal = transport.configuration.listener?.seal else {
          deliver(.frame(frame, from: nil))
          continue
        }
        switch seal.open(frame) {
        // This is a greeting of `greet`, which only the listener needs.
        case .opened(let bytes, _) where bytes.isEmpty: break
        case .opened(let bytes, let sender): deliver(.frame(bytes, from: sender))
        case .refused(let reason): deliver(.dropped(reason: reason))
        }
      }
    }

    private static func receive(_ socket: Int32) -> [UInt8]? {
      var message: UnsafeMutableRawPointer?
      let length = unsafe cnn_receive(socket, &message)
      guard length >= 0, let message = unsafe message else { return nil }
      defer { unsafe nn_freemsg(message) }
      return unsafe [UInt8](UnsafeRawBufferPointer(start: message, count: Int(length)))
    }

    private mutating func perform(_ command: Command) {
      switch command {
      case .connect(let mailbox): open(mailbox)
      case .disconnect(let mailbox):
        if let connection = connections.removeValue(forKey: mailbox) {
          _ = cnn_close(connection.socket)
        }
      case .reconnect(let mailbox):
        guard let connection = connections.removeValue(forKey: mailbox) else { return }
        _ = cnn_close(connection.socket)
        open(mailbox)
      }
    }

    private mutating func open(_ mailbox: String) {
      if connections[mailbox] == nil {
        guard let address = MailboxAddress(mailbox, matching: transport.mailbox) else {
          transport.forget(mailbox)
          deliver(.dropped(reason: "bad_address"))
          deliver(.lost(mailbox: mailbox))
          return
        }
        let most = transport.configuration.connections
        if connections.count >= most { closeIdlest() }
        guard connections.count < most,
          let socket = try? NanomsgTransport.open(CNN_PUSH, receiving: transport.receiveLimit)
        else {
          transport.forget(mailbox)
          deliver(.dropped(reason: "too_many_connections"))
          deliver(.lost(mailbox: mailbox))
          return
        }
        _ = cnn_set_buffers(socket, Int32(NanomsgTransport.socketBuffer), 128 << 10)
        if unsafe address.url.withCString({ unsafe cnn_connect(socket, $0) }) < 0 {
          _ = cnn_close(socket)
          transport.forget(mailbox)
          deliver(.lost(mailbox: mailbox))
          return
        }
        connections[mailbox] = Connection(socket: socket, lastUse: .now)
      }
      connections[mailbox]?.pending = true
    }

    /// Closes the connection that has been idle longest. Connections that are down are chosen
    /// first, so that unreachable addresses do not displace connections in use.
    private mutating func closeIdlest() {
      let idlest = connections.filter { !$0.value.pending || !$0.value.connected }.min {
        ($0.value.connected ? 1 : 0, $0.value.lastUse)
          < ($1.value.connected ? 1 : 0, $1.value.lastUse)
      }
      if let idlest { close(idlest.key) }
    }

    /// Closes a connection and drops its queued frames.
    private mutating func close(_ mailbox: String) {
      guard let connection = connections.removeValue(forKey: mailbox) else { return }
      _ = cnn_close(connection.socket)
      guard connection.pending else { return }
      transport.forget(mailbox)
      deliver(.dropped(reason: "unreachable"))
      deliver(.lost(mailbox: mailbox))
    }

    /// Passes frames to nanomsg until it accepts no more, at most 512 for each mailbox.
    private mutating func flush() {
      for mailbox in connections.keys {
        guard var connection = connections[mailbox], connection.pending else { continue }
        var budget = 512
        while budget > 0 {
          budget -= 1
          guard let frame = connection.held ?? next(mailbox) else {
            connection.pending = false
            break
          }
          guard Self.send(frame, over: connection.socket) else {
            connection.held = frame
            break
          }
          connection.held = nil
          connection.lastUse = .now
        }
        connections[mailbox] = connection
      }
    }

    /// - Returns: `false` if nanomsg accepts no more.
    private static func send(_ frame: [UInt8], over socket: Int32) -> Bool {
      unsafe frame.withUnsafeBytes { unsafe cnn_send(socket, $0.baseAddress, $0.count) } >= 0
    }

    /// The next frame for a mailbox, sealed if there is a seal.
    private func next(_ mailbox: String) -> [UInt8]? {
      guard let seal = transport.configuration.listener?.seal else { return pop(mailbox) }
      while let frame = pop(mailbox) {
        if let sealed = seal.close(frame, to: mailbox) { return sealed }
        deliver(.dropped(reason: "unknown_recipient"))
      }
      return nil
    }

    private func pop(_ mailbox: String) -> [UInt8]? {
      transport.shared.withLock { shared -> [UInt8]? in
        guard let frame = shared.outboxes[mailbox]?.pop() else {
          shared.outboxes[mailbox] = nil
          return nil
        }
        shared.bytes -= frame.count
        return frame
      }
    }

    /// Detects connections that came up or went down since the last pass. The connection to a
    /// killed peer goes down immediately. A peer that refuses every attempt died earlier.
    private mutating func notice() {
      for mailbox in connections.keys {
        guard var connection = connections[mailbox] else { continue }
        let now = cnn_connections(connection.socket) > 0
        let established = cnn_established(connection.socket)
        // The connection was re-established since the last pass, so it was down in between.
        let bounced = connection.established > 0 && established > connection.established
        if (connection.connected && !now) || bounced { deliver(.lost(mailbox: mailbox)) }
        if established == 0, !connection.isRefused,
          cnn_connect_errors(connection.socket) >= NanomsgTransport.refusals
        {
          connection.isRefused = true
          deliver(.lost(mailbox: mailbox))
        }
        if established > connection.established { greet(mailbox, connection.socket) }
        connection.connected = now
        connection.established = established
        connections[mailbox] = connection
        if !now, connection.lastUse.duration(to: .now) > NanomsgTransport.idleLimit {
          close(mailbox)
        }
      }
    }

    /// Sends an empty sealed frame, because the peer's listener closes connections without a proven
    /// frame.
    private func greet(_ mailbox: String, _ socket: Int32) {
      guard let greeting = transport.configuration.listener?.seal.close([], to: mailbox) else {
        return
      }
      // If nanomsg accepts no more, queued frames will provide the proof.
      _ = Self.send(greeting, over: socket)
    }

    private func close() {
      // The loop has ended and polls no socket, so the sockets can be closed.
      for connection in connections.values { _ = cnn_close(connection.socket) }
      listener?.stop()
      _ = cnn_close(pull)
      transport.removeSocket()
      let waiters = transport.shared.withLock { shared in
        shared.stopped = true
        shared.outboxes = [:]
        shared.bytes = 0
        defer { shared.waiters = [] }
        return shared.waiters
      }
      for waiter in waiters { waiter.resume() }
    }
  }
}
