import AsyncHTTPClient
import Limits
import NIOCore
import NIOPosix
import Synchronization

/// Connections to hosts: a pool for each event loop, so that a request, its answer and its timers stay
/// on one.
///
/// Across two, the end of a request is told to its connection a moment after it was written, and a host
/// that answered before and hung up in that moment ends the process: the pool of AsyncHTTPClient 1.37
/// knows the connection no more, and traps. One client whose requests demand their event loop would
/// close each connection behind its answer.
struct UpstreamConnections: Sendable {
  /// One pool's connections and where they live.
  struct Pool: Sendable {
    let eventLoop: any EventLoop
    let client: HTTPClient
    /// Keeps no connection: for a request that met one which the host had closed.
    let fresh: HTTPClient
    let kept: KeptConnections
  }

  private let pools: [ObjectIdentifier: Pool]

  init() {
    var pools: [ObjectIdentifier: Pool] = [:]
    for loop in MultiThreadedEventLoopGroup.singleton.makeIterator() {
      var fresh = Self.configuration
      fresh.connectionPool.idleTimeout = .zero
      pools[ObjectIdentifier(loop)] = Pool(
        eventLoop: loop,
        client: HTTPClient(eventLoopGroup: loop, configuration: Self.configuration),
        fresh: HTTPClient(eventLoopGroup: loop, configuration: fresh), kept: KeptConnections())
    }
    self.pools = pools
  }

  /// Of the event loop that this runs on, else each in turn.
  func pool() -> Pool {
    let loop = MultiThreadedEventLoopGroup.singleton.any()
    guard let pool = pools[ObjectIdentifier(loop)] else {
      preconditionFailure("the singleton's event loops have changed")
    }
    return pool
  }

  func shutdown() async throws {
    for pool in pools.values {
      try await pool.client.shutdown()
      try await pool.fresh.shutdown()
    }
  }

  private static var configuration: HTTPClient.Configuration {
    var configuration = HTTPClient.Configuration()
    // A redirect would carry the prompt to a host that nobody registered.
    configuration.redirectConfiguration = .disallow
    configuration.timeout.connect = .seconds(5)
    configuration.httpVersion = .http1Only
    // Which host is asked next is decided here, not in the pool.
    configuration.connectionPool.retryConnectionEstablishment = false
    // Hosts do their own queueing; the pool must not add another that nobody sees.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_024
    // Shorter than the keep-alive of common servers (uvicorn: 5 s), so that we close first.
    configuration.connectionPool.idleTimeout = Self.idleTimeout
    // For each connection the kernel would keep up to 32 MiB that a host sends ahead.
    configuration.http1_1ConnectionDebugInitializer = { channel in
      channel.setOption(
        .socketOption(.so_rcvbuf), value: .init(Limits.answerSocketBytes.value))
    }
    return configuration
  }

  fileprivate static let idleTimeout = TimeAmount.seconds(4)
}

/// To which hosts a pool may keep connections. A host may have closed one of them without a word that
/// came through, or several: a request that meets such a one is sent again on a new connection, and
/// the host is not at fault.
final class KeptConnections: Sendable {
  /// More than there can be hosts.
  private static let mostHosts = 4_096

  private let lastAnswers = Mutex<[String: NIODeadline]>([:])

  /// An answer of this host was complete, so that its connection is kept.
  func keep(_ url: String, at now: NIODeadline) {
    lastAnswers.withLock { answers in
      if answers.count >= Self.mostHosts { answers.removeAll() }
      answers[url] = now
    }
  }

  /// Whether a request to this host may go out on a connection that was kept.
  func mayBeUsed(_ url: String, at now: NIODeadline) -> Bool {
    lastAnswers.withLock { answers in
      // The pool's timer may be late.
      answers[url].map { now < $0 + UpstreamConnections.idleTimeout + .seconds(1) } ?? false
    }
  }
}
