import AsyncHTTPClient
import Limits
import NIOCore
import NIOPosix
import Overload
import Synchronization

/// Connections to hosts. Each event loop has a pool of its own, so that a request, its answer and
/// its timers stay on one loop.
///
/// If a request and its connection were on two loops, the connection would be notified a moment
/// late that its request was written. If the host then answers and closes the connection in this
/// moment, the process crashes. The reason is that the pool of AsyncHTTPClient 1.37 no longer knows
/// the connection and traps.
///
/// A single `HTTPClient` for all loops is no alternative. If a request demands an event loop, the
/// client closes the connection after the answer.
struct UpstreamConnections: Sendable {
  /// The connections of one event loop.
  struct Pool: Sendable {
    let eventLoop: any EventLoop
    let client: HTTPClient
    /// Client that keeps no connections. It repeats a request whose kept connection the host had
    /// closed.
    let fresh: HTTPClient
    let kept: KeptConnections
    /// Queue for reads of streams that have more data than one turn of the event loop may read.
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

  /// The pool of the current event loop. On any other thread, the pools are used in turn.
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
    // A redirect could send the prompt to a host that is not registered.
    configuration.redirectConfiguration = .disallow
    configuration.timeout.connect = .seconds(5)
    configuration.httpVersion = .http1Only
    // `InferenceRun` decides what happens after a failed connection, so the pool must not retry.
    configuration.connectionPool.retryConnectionEstablishment = false
    // Hosts queue requests themselves. The pool must not add another queue, which no metric would
    // show.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1_024
    // Shorter than the keep-alive of common servers (uvicorn: 5 s), so that Tutti closes a
    // connection before the host does.
    configuration.connectionPool.idleTimeout = Self.idleTimeout
    // Limits the receive buffer. Otherwise the kernel would buffer up to 32 MiB per connection
    // before Tutti reads.
    configuration.http1_1ConnectionDebugInitializer = { channel in
      channel.setOption(
        .socketOption(.so_rcvbuf), value: .init(Limits.answerSocketBytes.value))
    }
    return configuration
  }

  fileprivate static let idleTimeout = TimeAmount.seconds(4)
}

/// Hosts to which a pool may have kept connections.
///
/// The host may have closed such a connection without the pool noticing. A request that meets a
/// closed connection is sent again on a new one. The host is not at fault.
final class KeptConnections: Sendable {
  /// Maximum hosts to remember, more than a cluster can have.
  private static let mostHosts = 4_096

  private let lastAnswers = Mutex<[String: NIODeadline]>([:])

  /// Records that an answer of this host was complete, so its connection is kept.
  func keep(_ url: String, at now: NIODeadline) {
    lastAnswers.withLock { answers in
      if answers.count >= Self.mostHosts { answers.removeAll() }
      answers[url] = now
    }
  }

  /// Whether a request to this host may use a kept connection.
  func mayBeUsed(_ url: String, at now: NIODeadline) -> Bool {
    lastAnswers.withLock { answers in
      // The pool's timer may be late, so one second is added.
      answers[url].map { now < $0 + UpstreamConnections.idleTimeout + .seconds(1) } ?? false
    }
  }
}
