public import AsyncHTTPClient
public import ClusterModel
public import InferenceCore
public import Logging
import NIOCore
import Synchronization

/// The one piece of code through which every token of the cluster passes: picks a host, asks it,
/// gives up on it in time, tries the next.
public final class InferenceClient: Sendable {
  /// What a whole process may hold for readers that are slower than their hosts. 256 streams at
  /// their own limit; before that something else has gone wrong.
  static let maximumBufferedBytes = 256 << 20

  let httpClient: HTTPClient
  let logger: Logger
  let limits: UpstreamLimits
  let metrics = InferenceMetrics()
  private let hosts: @Sendable () -> HostTable
  private let ownsClient: Bool
  private let origin = ContinuousClock.now
  private let load = Mutex(Load())

  private struct Load {
    var inFlight: [HostID: Int] = [:]
    var bufferedBytes = 0
  }

  /// - Parameters:
  ///   - hosts: this process's copy of the host table, read at every decision.
  ///   - httpClient: whose connections are used; nil: an own one, ended by `shutdown`.
  public init(
    hosts: @escaping @Sendable () -> HostTable, httpClient: HTTPClient? = nil,
    limits: UpstreamLimits = UpstreamLimits(), logger: Logger
  ) {
    self.hosts = hosts
    self.logger = logger
    self.limits = limits
    ownsClient = httpClient == nil
    self.httpClient = httpClient ?? Self.makeHTTPClient()
  }

  /// Ends the connections. What is under way fails.
  public func shutdown() async throws {
    if ownsClient { try await httpClient.shutdown() }
  }

  /// Asks until the first valid token, or the whole body, is there.
  ///
  /// Leaving the answer (dropping it, or cancelling the task) cancels the request at its host.
  ///
  /// - Throws: `noEligibleHost` with a reason for each host; `upstreamFailed`, `overloaded`,
  ///   `deadlineExceeded`, `invalidRequest` with the hosts' own words; `cancelled`.
  public func infer(
    _ request: InferenceRequest, constraints: InferenceConstraints
  ) async throws(Failure) -> Inference {
    let pending = start(request, constraints: constraints)
    // Without a limit to its patience it never answers "not yet".
    guard let inference = try await pending.inference() else {
      throw Failure(.internalError, "an inference was neither answered nor failed")
    }
    return inference
  }

  /// Asks, and leaves the waiting to the caller.
  public func start(
    _ request: InferenceRequest, constraints: InferenceConstraints
  ) -> PendingInference {
    let session = InferenceSession(client: self, request: request, constraints: constraints)
    session.begin()
    return PendingInference(handle: InferenceHandle(session))
  }

  /// Requests under way, by host.
  public var inFlight: [HostID: Int] { load.withLock(\.inFlight) }

  // MARK: - For the sessions

  var now: Instant { Instant(sinceStart: origin.duration(to: .now)) }

  func view() -> ClusterView { ClusterView(table: hosts(), inFlight: inFlight) }

  func began(_ host: HostID) {
    load.withLock { $0.inFlight[host, default: 0] += 1 }
  }

  func ended(_ host: HostID) {
    load.withLock { load in
      let left = (load.inFlight[host] ?? 1) - 1
      load.inFlight[host] = left > 0 ? left : nil
    }
  }

  /// False when the process holds too much already.
  func reserve(bytes: Int) -> Bool {
    load.withLock { load in
      guard load.bufferedBytes + bytes <= Self.maximumBufferedBytes else { return false }
      load.bufferedBytes += bytes
      return true
    }
  }

  func free(bytes: Int) {
    load.withLock { $0.bufferedBytes -= bytes }
  }

  private static func makeHTTPClient() -> HTTPClient {
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
    return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }
}

/// A request that is under way. Dropping it cancels it.
public struct PendingInference: Sendable {
  fileprivate let handle: InferenceHandle

  /// The answer, once its first valid token or its whole body is there.
  /// - Parameter patience: nil is returned when it takes longer; ask again. nil: no limit but the
  ///   request's own deadlines.
  public func inference(within patience: Duration? = nil) async throws(Failure) -> Inference? {
    try await handle.session.open(within: patience).map { Inference(opening: $0, handle: handle) }
  }
}

/// An answer that has begun. Can be read once; ends after `finished`, or throws.
public struct Inference: AsyncSequence, Sendable {
  public typealias Element = InferenceEvent
  public typealias Failure = ClusterModel.Failure

  public let opening: InferenceOpening
  private let handle: InferenceHandle

  init(opening: InferenceOpening, handle: InferenceHandle) {
    self.opening = opening
    self.handle = handle
  }

  public var host: HostID { opening.host }
  public var model: ModelID { opening.model }
  /// HTTP status of the host's answer.
  public var status: Int { opening.status }
  /// From the request to the first valid token, or to the whole body.
  public var firstToken: Duration { opening.firstToken }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(handle: handle) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    private let handle: InferenceHandle
    private var batch: ArraySlice<InferenceEvent> = []

    init(handle: InferenceHandle) { self.handle = handle }

    public mutating func next() async throws(ClusterModel.Failure) -> InferenceEvent? {
      try await next(isolation: nil)
    }

    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(ClusterModel.Failure) -> InferenceEvent? {
      if batch.isEmpty { batch = try await handle.session.take()[...] }
      return batch.popFirst()
    }
  }
}

/// Lives as long as somebody may read the answer.
final class InferenceHandle: Sendable {
  let session: InferenceSession

  init(_ session: InferenceSession) { self.session = session }

  deinit { session.leave() }
}
