import Foundation
import Limits
import NIOCore
import OverloadCore
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A socket that accepts connections on a thread of its own.
///
/// The kernel keeps new connections in one queue for all clients, so every client waits for the
/// connections before its own. An event loop that also serves requests would accept them late. This
/// thread only accepts. On Linux, it drops connections that their clients have closed already. The
/// clients of accepted connections take turns (`ConnectionLoop`).
final class Listener: Sendable {
  /// A connection without a channel.
  struct Accepted: Equatable, Sendable {
    let descriptor: CInt
    let client: ClientID
  }

  /// Result of one attempt to accept a connection.
  enum Next: Equatable {
    case connection(Accepted)
    /// The client has left, or the connection failed before it was accepted.
    case dropped
    case noneWaits
    /// The next attempt would fail, too. The value is the number of the system's error.
    case failed(CInt)
  }

  /// Maximum number of dropped connections per turn. A flood of them would otherwise delay the
  /// accepted connections of the turn.
  private static let mostDropped = 256
  /// Pause after a failure, in milliseconds. Usually, another connection has to close first.
  private static let failurePause: CInt = 100
  /// Pause at the limit of open connections, in milliseconds.
  private static let fullPause: CInt = 5

  /// The port that the socket has.
  let port: Int

  private let descriptor: CInt
  /// A byte written to `wake` ends the thread's wait.
  private let woken: CInt
  private let wake: CInt
  private let stops = Atomic(false)
  private let isStopped = Atomic(false)
  private let open = Atomic(0)

  /// Opens the socket.
  /// - Throws: `IOError` with the number of the system's error, `SocketAddressError.UnknownHost`, or
  ///   `SocketAddressError` for an address that is no IP address.
  init(host: String, port: Int) throws {
    let address = try SocketAddress.makeAddressResolvingHost(host, port: port)
    let descriptor = try Self.checked("socket", socket(address.protocol.rawValue, Self.stream, 0))
    do {
      try Self.configure(descriptor, address.protocol)
      _ = try Self.checked(
        "bind",
        unsafe address.withSockAddr { unsafe bind(descriptor, $0, socklen_t($1)) })
      _ = try Self.checked("listen", listen(descriptor, CInt(Limits.waitingConnections.value)))
      self.port = try Self.port(of: descriptor)
      var ends: [CInt] = [0, 0]
      _ = try Self.checked("pipe", unsafe pipe(&ends))
      (woken, wake) = (ends[0], ends[1])
      for end in ends { try Self.closeOnExec(end) }
      self.descriptor = descriptor
    } catch {
      close(descriptor)
      throw error
    }
  }

  /// Starts the thread, which ends after `stop()`. Must be called once: the thread closes the
  /// descriptors.
  ///
  /// - Parameters:
  ///   - limit: maximum number of open connections. The owner calls `connectionClosed()` for each.
  ///   - deliver: takes connections, and closes their descriptors in the end.
  ///   - failed: called at most ten times per second while connections cannot be accepted, for
  ///     example because the process has no descriptor left.
  ///   - ended: called last, after the socket has closed.
  func start(
    limit: Int, deliver: @escaping @Sendable ([Accepted]) -> Void,
    failed: @escaping @Sendable (IOError) -> Void,
    ended: @escaping @Sendable () -> Void
  ) {
    let thread = Thread {
      self.acceptAll(limit, deliver, failed)
      close(self.descriptor)
      close(self.woken)
      close(self.wake)
      ended()
    }
    thread.name = "accept"
    thread.start()
  }

  /// Ends the thread. Must only be called after `start`.
  func stop() {
    guard !stops.exchange(true, ordering: .relaxed) else { return }
    var byte: UInt8 = 0
    _ = unsafe write(wake, &byte, 1)
    // The thread closes `wake` after this.
    isStopped.store(true, ordering: .releasing)
  }

  /// Whether `stop()` has been called.
  var isStopping: Bool { stops.load(ordering: .relaxed) }

  func connectionClosed() { open.subtract(1, ordering: .relaxed) }

  /// Whether the client of a connection has closed its side, even if the close has not been read
  /// yet. Always `false` on other systems than Linux.
  static func hasLeft(_ descriptor: CInt) -> Bool {
    #if os(Linux)
      // The state is the first byte of `tcp_info`.
      var state: UInt8 = 0
      var size = socklen_t(1)
      let result = unsafe getsockopt(descriptor, CInt(IPPROTO_TCP), TCP_INFO, &state, &size)
      return result == 0 && (state == UInt8(TCP_CLOSE_WAIT) || state == UInt8(TCP_CLOSE))
    #else
      return false
    #endif
  }

  // MARK: - The thread

  private func acceptAll(
    _ limit: Int, _ deliver: ([Accepted]) -> Void, _ failed: (IOError) -> Void
  ) {
    var pause: CInt = 0
    while true {
      wait(pause)
      if isStopped.load(ordering: .acquiring) { return }
      pause = acceptTurn(limit, deliver, failed)
    }
  }

  /// Waits for a connection or, if `pause` is positive, for that many milliseconds.
  private func wait(_ pause: CInt) {
    let events = Int16(POLLIN)
    var sources = [pollfd(fd: woken, events: events, revents: 0)]
    if pause == 0 { sources.append(pollfd(fd: descriptor, events: events, revents: 0)) }
    _ = unsafe poll(&sources, nfds_t(sources.count), pause == 0 ? -1 : pause)
  }

  /// Accepts some of the waiting connections.
  /// - Returns: the pause before the next turn in milliseconds; 0 means none.
  private func acceptTurn(
    _ limit: Int, _ deliver: ([Accepted]) -> Void, _ failed: (IOError) -> Void
  ) -> CInt {
    var accepted: [Accepted] = []
    var dropped = 0
    var pause: CInt = 0
    let room = min(Limits.acceptedConnections.value, limit - open.load(ordering: .relaxed))
    if room <= 0 { return Self.fullPause }
    loop: while accepted.count < room, dropped < Self.mostDropped {
      switch next() {
      case .connection(let connection): accepted.append(connection)
      case .dropped: dropped += 1
      case .noneWaits: break loop
      case .failed(let number):
        failed(IOError(errnoCode: number, reason: "accept"))
        pause = Self.failurePause
        break loop
      }
    }
    guard !accepted.isEmpty else { return pause }
    open.add(accepted.count, ordering: .relaxed)
    deliver(accepted)
    return pause
  }

  private func next() -> Next {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let connection = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe Self.acceptOne(descriptor, address, &size)
      }
    }
    guard connection >= 0 else { return Self.next(afterError: errno) }
    if Self.hasLeft(connection) {
      close(connection)
      return .dropped
    }
    return .connection(Accepted(descriptor: connection, client: Self.client(storage)))
  }

  /// - Parameter number: the system's error of an attempt to accept a connection.
  static func next(afterError number: CInt) -> Next {
    switch number {
    case EAGAIN, EWOULDBLOCK: .noneWaits
    // The process or the machine has no descriptor or memory left.
    case EMFILE, ENFILE, ENOBUFS, ENOMEM: .failed(number)
    // The socket is damaged. Without a pause, the thread would use a whole core.
    case EBADF, EINVAL, ENOTSOCK: .failed(number)
    // The error concerns one connection. On Linux, it may be an error of the network.
    default: .dropped
    }
  }

  private static func acceptOne(
    _ descriptor: CInt, _ address: UnsafeMutablePointer<sockaddr>, _ size: inout socklen_t
  ) -> CInt {
    let connection = unsafe accept(descriptor, address, &size)
    if connection >= 0 { _ = fcntl(connection, F_SETFD, FD_CLOEXEC) }
    return connection
  }

  private static func client(_ storage: sockaddr_storage) -> ClientID {
    let bytes = unsafe withUnsafeBytes(of: storage) { unsafe Array($0.prefix(28)) }
    // The address follows the port, and in `sockaddr_in6` also the flow label.
    switch CInt(storage.ss_family) {
    case AF_INET: return ClientID(octets: bytes[4..<8])
    case AF_INET6: return ClientID(octets: bytes[8..<24])
    default: return .local
    }
  }

  // MARK: - The socket

  private static var stream: CInt {
    #if canImport(Glibc)
      CInt(SOCK_STREAM.rawValue)
    #else
      SOCK_STREAM
    #endif
  }

  private static func configure(
    _ descriptor: CInt, _ family: NIOBSDSocket.ProtocolFamily
  ) throws {
    try closeOnExec(descriptor)
    _ = try checked("fcntl", fcntl(descriptor, F_SETFL, O_NONBLOCK))
    let size = socklen_t(MemoryLayout<CInt>.size)
    // After a crash the address can be used at once, although the kernel still keeps its old
    // connections.
    var one: CInt = 1
    _ = try checked(
      "setsockopt", unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, size))
    guard family == .inet6 else { return }
    // `::` accepts IPv4, too, even if this is not the system's default. A system that cannot do this
    // accepts only IPv6.
    var zero: CInt = 0
    _ = unsafe setsockopt(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &zero, size)
  }

  private static func closeOnExec(_ descriptor: CInt) throws {
    _ = try checked("fcntl", fcntl(descriptor, F_SETFD, FD_CLOEXEC))
  }

  private static func port(of descriptor: CInt) throws -> Int {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    _ = try checked(
      "getsockname",
      unsafe withUnsafeMutablePointer(to: &storage) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe getsockname(descriptor, $0, &size)
        }
      })
    // The port has the same place for both families.
    return unsafe withUnsafeBytes(of: storage) { unsafe Int($0[2]) << 8 | Int($0[3]) }
  }

  private static func checked(_ call: String, _ result: CInt) throws -> CInt {
    guard result >= 0 else { throw IOError(errnoCode: errno, reason: call) }
    return result
  }
}
