import AsyncHTTPClient
import NIOCore
import NIOPosix

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
  }

  private let pools: [ObjectIdentifier: Pool]

  init() {
    var pools: [ObjectIdentifier: Pool] = [:]
    for loop in MultiThreadedEventLoopGroup.singleton.makeIterator() {
      pools[ObjectIdentifier(loop)] = Pool(
        eventLoop: loop,
        client: HTTPClient(eventLoopGroup: loop, configuration: Self.configuration))
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
    for pool in pools.values { try await pool.client.shutdown() }
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
    configuration.connectionPool.idleTimeout = .seconds(4)
    return configuration
  }
}
