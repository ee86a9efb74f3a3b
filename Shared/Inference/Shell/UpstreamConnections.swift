import AsyncHTTPClient
import Limits
import NIOCore
import NIOPosix
import Overload
import Synchronization

/// Connections to hosts: one pool per event loop, so that a request, its answer and its timers stay
/// on one loop.
///
/// With two loops, a connection is notified a moment late that its request was written. If the host
/// has already answered and closes the connection in that moment, the process crashes: the pool of
/// AsyncHTTPClient 1.37 no longer knows the connection, and traps. A single client whose requests
/// demand their event loop would close each connection after its answer.
struct UpstreamConnections: Sendable {
  /// The connections of one event loop.
  struct Pool: Sendable {
    let eventLoop: any EventLoop
    let client: HTTPClient
    /// Keeps no connections. Used to repeat a request whose connection the host had closed.
    let fresh: HTTPClient
    let kept: KeptConnections
    /// Reads of streams that have more data than one turn of the event loop may read.
    let turns: LoopTurns
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
        fresh: HTTPClient(eventLoopGroup: loop, configuration: fresh), kept: KeptConnections(),
        turns: .streams(of: loop))
    }
    self.pools = pools
  }

  /// The pool of the current event loop; on any other thread, each pool in turn.
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
    // A redirect would carry the prompt to a host that is not registered.
    configuration.redirectConfiguration = .disallow
    configuration.timeout.connect = .seconds(5)
    configuration.httpVersion = .http1Only
    // `InferenceRun` chooses the next host, not the pool.
    configuration.connectionPool.retryConnectionEstablishment = false
    // Hosts queue requests themselves. The pool must not add a queue that no metric shows.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_024
    // Shorter than the keep-alive of common servers (uvicorn: 5 s), so that Tutti closes first.
    configuration.connectionPool.idleTimeout = Self.idleTimeout
    // Limit the receive buffer. The kernel would otherwise buffer up to 32 MiB per connection that
    // Tutti has not read yet.
    configuration.http1_1ConnectionDebugInitializer = { channel in
      channel.setOption(
        .socketOption(.so_rcvbuf), value: .init(Limits.answerSocketBytes.value))
    }
    return configuration
  }

  fileprivate static let idleTimeout = TimeAmount.seconds(4)
}

/// Hosts to which a pool may keep connections. The host may have closed some of them without the
/// pool noticing. A request that meets such a connection is sent again on a new one, and the host
/// is not at fault.
final class KeptConnections: Sendable {
  /// Maximum hosts to remember: more than a cluster can have.
  private static let mostHosts = 4_096

  private let lastAnswers = Mutex<[String: NIODeadline]>([:])

  /// Records that an answer of this host was complete, so that its connection is kept.
  func keep(_ url: String, at now: NIODeadline) {
    lastAnswers.withLock { answers in
      if answers.count >= Self.mostHosts { answers.removeAll() }
      answers[url] = now
    }
  }

  /// Whether a request to this host may use a kept connection.
  func mayBeUsed(_ url: String, at now: NIODeadline) -> Bool {
    lastAnswers.withLock { answers in
      // One second more, because the pool's timer may be late.
      answers[url].map { now < $0 + UpstreamConnections.idleTimeout + .seconds(1) } ?? false
    }
  }
}
