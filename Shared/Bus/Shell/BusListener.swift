import ClusterModel
import Limits
import NIOCore
import NIOPosix
import Synchronization
import Wire

/// Listens on a public tcp address in place of nanomsg.
///
/// nanomsg allocates the size that a frame header announces, for any client. The listener closes a
/// connection that sends `Limits.busStrangerBytes` before the header of its first frame proves that
/// the sender holds the cluster key. After the proof it forwards the frames to nanomsg's own
/// mailbox, a socket in a directory of mode 0700.
final class BusListener: Sendable {
  struct Settings: Sendable {
    var host: String
    var port: Int
    /// Socket path of nanomsg's mailbox.
    var socketPath: String
    var frameLimit: Int
    var patience: Duration = .milliseconds(Limits.busStrangerWait.value)
  }

  private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  /// - Parameter dropped: counts a refused or evicted connection, by reason.
  init(
    _ settings: Settings, seal: FrameSeal, dropped: @escaping @Sendable (String) -> Void
  ) throws(Failure) {
    let roster = ConnectionRoster(isListed: { seal.isKnown($0) })
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 128)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(
        .recvAllocator,
        value: FixedSizeRecvByteBufferAllocator(capacity: Limits.busStrangerBytes.value / 2)
      )
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(
            ListenerHandler(settings, seal: seal, roster: roster, dropped: dropped))
        }
      }
    do {
      _ = try bootstrap.bind(host: settings.host, port: settings.port).wait()
    } catch {
      try? group.syncShutdownGracefully()
      throw Failure(
        .internalError,
        "cannot bind tcp://\(settings.host):\(settings.port): \(error); is another process using it? Choose another address."
      )
    }
  }

  /// Closes all connections.
  func stop() { try? group.syncShutdownGracefully() }
}

/// Table of the listener's connections. It chooses the connections that are evicted.
final class ConnectionRoster: Sendable {
  typealias ID = UInt64

  private struct Entry {
    let close: @Sendable () -> Void
    let address: String
    /// The public key that the sender proved; `nil` before the proof.
    var key: [UInt8]?
  }

  private struct State {
    var next: ID = 0
    /// Ids increase, so the lowest is the oldest.
    var entries: [ID: Entry] = [:]
  }

  private let state = Mutex(State())
  private let isListed: @Sendable ([UInt8]) -> Bool

  /// - Parameter isListed: whether the key belongs to a listed peer.
  init(isListed: @escaping @Sendable ([UInt8]) -> Bool) { self.isListed = isListed }

  var count: Int { state.withLock(\.entries.count) }

  /// Adds a connection. It is unknown until it proves the key of a listed peer.
  ///
  /// If its address has too many unknown connections, the oldest of them is closed. If all
  /// addresses together have too many, the address with the most unknown connections loses its
  /// oldest one.
  /// - Returns: the connection's id, and whether another connection was closed for it.
  func admit(
    from address: String, close: @escaping @Sendable () -> Void
  ) -> (id: ID, evicted: Bool) {
    let (id, evicted) = state.withLock { state -> (ID, Entry?) in
      state.next += 1
      state.entries[state.next] = Entry(close: close, address: address)
      let unknown = state.entries.filter { entry in !(entry.value.key.map(isListed) ?? false) }
      let counts = unknown.values.reduce(into: [:]) { $0[$1.address, default: 0] += 1 }
      var crowded: String?
      if counts[address, default: 0] > Limits.busUnknownPerAddress.value {
        crowded = address
      } else if unknown.count > Limits.busUnknownConnections.value {
        crowded = counts.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
      }
      guard let crowded,
        let oldest = unknown.filter({ $0.value.address == crowded }).keys.min()
      else { return (state.next, nil) }
      return (state.next, state.entries.removeValue(forKey: oldest))
    }
    evicted?.close()
    return (id, evicted != nil)
  }

  /// Records the proven key of a connection.
  /// - Returns: `false` if the connection was evicted, or if a listed peer has too many connections
  ///   already.
  func prove(_ id: ID, _ key: [UInt8]) -> Bool {
    state.withLock { state in
      guard state.entries[id] != nil else { return false }
      let own = state.entries.values.count { $0.key == key }
      guard own < Limits.busConnectionsPerPeer.value || !isListed(key) else { return false }
      state.entries[id]?.key = key
      return true
    }
  }

  /// - Returns: whether the connection was present.
  @discardableResult
  func remove(_ id: ID) -> Bool { state.withLock { $0.entries.removeValue(forKey: id) != nil } }
}

/// A connection from a peer. It speaks nanomsg's tcp protocol with the peer, and nanomsg's ipc
/// protocol, which has one more byte before each frame, with the local mailbox.
final class ListenerHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  /// Greetings of nanomsg's sockets: "\0SP\0", two bytes for the socket type, two zeros.
  static let pushGreeting: [UInt8] = [0, 0x53, 0x50, 0, 0, 80, 0, 0]
  static let pullGreeting: [UInt8] = [0, 0x53, 0x50, 0, 0, 81, 0, 0]
  private static let lengthBytes = 8

  private let settings: BusListener.Settings
  private let seal: FrameSeal
  private let roster: ConnectionRoster
  private let dropped: @Sendable (String) -> Void

  private var id: ConnectionRoster.ID = 0
  private var deadline: Scheduled<Void>?
  /// Bytes that are not forwarded yet. Before the proof, the connection is refused when they reach
  /// `Limits.busStrangerBytes`. Once the mailbox is open, they are fewer than the 8 bytes of a
  /// frame's length.
  private var waiting = ByteBuffer()
  private var isProven = false
  private var isClosed = false
  private var mailbox: (any Channel)?
  /// Bytes of the current frame that have not arrived yet.
  private var missing = 0

  init(
    _ settings: BusListener.Settings, seal: FrameSeal, roster: ConnectionRoster,
    dropped: @escaping @Sendable (String) -> Void
  ) {
    self.settings = settings
    self.seal = seal
    self.roster = roster
    self.dropped = dropped
  }

  func channelActive(context: ChannelHandlerContext) {
    let channel = context.channel
    let (id, evicted) = roster.admit(from: Self.source(context.remoteAddress)) {
      channel.close(promise: nil)
    }
    self.id = id
    if evicted { dropped("connection_evicted") }
    let dropped = dropped
    let roster = roster
    deadline = context.eventLoop.scheduleTask(in: TimeAmount(settings.patience)) {
      if roster.remove(id) { dropped("handshake_timeout") }
      channel.close(promise: nil)
    }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: Self.pullGreeting)), promise: nil)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isClosed else { return }
    var bytes = unwrapInboundIn(data)
    waiting.writeBuffer(&bytes)
    if isProven {
      forward(context)
    } else {
      prove(context)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    isClosed = true
    deadline?.cancel()
    roster.remove(id)
    if let mailbox { Self.finish(mailbox) }
  }

  /// Closes the mailbox connection after all forwarded bytes were written.
  private static func finish(_ mailbox: any Channel) {
    mailbox.writeAndFlush(ByteBuffer()).whenComplete { _ in mailbox.close(promise: nil) }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  private func refuse(_ context: ChannelHandlerContext, _ reason: String) {
    isClosed = true
    waiting = ByteBuffer()
    // An evicted connection is already counted as evicted.
    if roster.remove(id) { dropped(reason) }
    context.close(promise: nil)
  }

  // MARK: - Before the proof

  private func prove(_ context: ChannelHandlerContext) {
    let bytes = Array(waiting.readableBytesView)
    guard bytes.starts(with: Self.pushGreeting.prefix(bytes.count)) else {
      return refuse(context, "unsealed")
    }
    let start = Self.pushGreeting.count + Self.lengthBytes
    guard bytes.count >= start else { return }
    let length = bytes[Self.pushGreeting.count..<start].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard length <= UInt64(settings.frameLimit) else { return refuse(context, "too_large") }
    switch SealedFrame.beginning(of: Array(bytes[start...].prefix(Int(length)))) {
    case .garbage: refuse(context, "unsealed")
    case .incomplete:
      if bytes.count >= start + Int(length) || bytes.count >= Limits.busStrangerBytes.value {
        refuse(context, "unsealed")
      }
    case .header(let header, let proof, _):
      if let reason = seal.refusal(of: header, proof: proof) { return refuse(context, reason) }
      guard roster.prove(id, header.key) else { return refuse(context, "too_many_connections") }
      isProven = true
      deadline?.cancel()
      waiting.moveReaderIndex(forwardBy: Self.pushGreeting.count)
      openMailbox(context)
    }
  }

  private func openMailbox(_ context: ChannelHandlerContext) {
    let channel = context.channel
    set(channel, reading: false)
    // After the proof the read buffer adapts to the peer's rate.
    _ = channel.setOption(.recvAllocator, value: AdaptiveRecvByteBufferAllocator())
    ClientBootstrap(group: context.eventLoop)
      .channelOption(
        .writeBufferWaterMark,
        value: ChannelOptions.Types.WriteBufferWaterMark(
          low: 64 << 10, high: 256 << 10)
      )
      .channelInitializer { mailbox in
        mailbox.eventLoop.makeCompletedFuture {
          try mailbox.pipeline.syncOperations.addHandler(MailboxHandler(peer: channel))
        }
      }
      .connect(unixDomainSocketPath: settings.socketPath)
      .assumeIsolated()
      .whenComplete { result in
        switch result {
        case .success(let mailbox): self.opened(context, mailbox)
        case .failure: self.refuse(context, "mailbox_gone")
        }
      }
  }

  private func opened(_ context: ChannelHandlerContext, _ mailbox: any Channel) {
    self.mailbox = mailbox
    mailbox.write(ByteBuffer(bytes: Self.pushGreeting), promise: nil)
    forward(context)
    // If the peer has disconnected meanwhile, the frames it sent before are still delivered.
    if isClosed {
      Self.finish(mailbox)
    } else {
      set(context.channel, reading: true)
    }
  }

  // MARK: - After the proof

  /// Forwards the received bytes. An empty frame, or one longer than the limit, closes the
  /// connection.
  private func forward(_ context: ChannelHandlerContext) {
    guard let mailbox else { return }
    var out = mailbox.allocator.buffer(capacity: waiting.readableBytes + 16)
    while waiting.readableBytes > 0 {
      if missing == 0 {
        guard let length = waiting.readInteger(as: UInt64.self) else { break }
        guard (1...UInt64(settings.frameLimit)).contains(length) else {
          return refuse(context, "too_large")
        }
        // The byte that means "message". nanomsg aborts on any other byte.
        out.writeInteger(UInt8(1))
        out.writeInteger(length)
        missing = Int(length)
      }
      if var piece = waiting.readSlice(length: min(missing, waiting.readableBytes)) {
        missing -= piece.readableBytes
        out.writeBuffer(&piece)
      }
    }
    waiting.discardReadBytes()
    mailbox.writeAndFlush(out, promise: nil)
    if !mailbox.isWritable { set(context.channel, reading: false) }
  }

  private func set(_ channel: any Channel, reading: Bool) {
    _ = channel.setOption(.autoRead, value: reading)
  }

  /// Key by which connections are counted: the IPv4 address, or the IPv6 network.
  private static func source(_ address: SocketAddress?) -> String {
    guard case .v6(let address)? = address else { return address?.ipAddress ?? "" }
    // The address begins at byte 8 of `sockaddr_in6` on Linux and macOS. The members of the struct
    // cannot be named here, because the C module that declares them depends on the order of the
    // build.
    let bytes = unsafe withUnsafeBytes(of: address.address) { unsafe Array($0[8..<16]) }
    return bytes.map { String($0, radix: 16) }.joined(separator: ":")
  }
}

/// The connection to nanomsg's mailbox. nanomsg sends only its greeting on it.
private final class MailboxHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let peer: any Channel

  init(peer: any Channel) { self.peer = peer }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    _ = peer.setOption(.autoRead, value: context.channel.isWritable)
  }

  func channelInactive(context: ChannelHandlerContext) { peer.close(promise: nil) }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }
}
