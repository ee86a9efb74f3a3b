import Clocks
public import ClusterModel
public import InferenceCore
public import Logging
import NIOCore
public import Overload
import Synchronization

/// Sends requests to hosts: chooses a host, asks it, enforces timeouts and fails over. Every token
/// of the cluster passes through this class.
public final class InferenceClient: Sendable {
  let connections = UpstreamConnections()
  let logger: Logger
  let limits: UpstreamLimits
  let metrics = InferenceMetrics()
  let credentials: Credentials
  let memory: MemoryBudget
  let heavyWork: HeavyWork
  /// Rate shared by the streams that are faster than any model.
  let fastStreams = FastStreams(loops: System.coreCount, at: .zero)
  private let hosts: @Sendable () -> HostTable
  private let load: @Sendable () -> (table: LoadTable, age: Duration)?
  private let clock = ProcessClock()
  private let statistics: Mutex<HostStatistics>
  /// The limits of the configuration.
  private let configuredLimits: InferenceLimits
  private let currentLimits: Mutex<InferenceLimits>
  private let budgets = Mutex((speculation: SpeculationBudget(), retry: RetryBudget()))

  /// - Parameters:
  ///   - hosts: This process's copy of the host table, read at every decision.
  ///   - load: The merged load of all processes and its age; `nil` means that only this process's
  ///     own measurements are known.
  ///   - statistics: Host statistics at the start, and how hosts are compared.
  ///   - inferenceLimits: Limits on the cost of one request, before `apply`.
  ///   - memory: The process's budget for answers that clients have not read.
  ///   - heavyWork: The thread that reads and translates large bodies.
  public init(
    hosts: @escaping @Sendable () -> HostTable,
    load: @escaping @Sendable () -> (table: LoadTable, age: Duration)? = { nil },
    statistics: HostStatistics = HostStatistics(seed: .random(in: .min ... .max)),
    limits: UpstreamLimits = UpstreamLimits(),
    inferenceLimits: InferenceLimits = InferenceLimits(),
    credentials: Credentials = Credentials(), memory: MemoryBudget = MemoryBudget(),
    heavyWork: HeavyWork = HeavyWork(), logger: Logger
  ) {
    self.credentials = credentials
    self.memory = memory
    self.heavyWork = heavyWork
    self.hosts = hosts
    self.load = load
    self.statistics = Mutex(statistics)
    self.logger = logger
    self.limits = limits
    configuredLimits = inferenceLimits
    currentLimits = Mutex(inferenceLimits)
  }

  /// Limits of requests that begin now.
  var inferenceLimits: InferenceLimits { currentLimits.withLock(\.self) }

  /// Applies values that admins set at run time to requests that begin later.
  public func apply(_ overrides: RuntimeOverrides) {
    currentLimits.withLock { $0 = configuredLimits.overridden(by: overrides) }
  }

  /// Closes the connections. Running requests fail.
  public func shutdown() async throws {
    try await connections.shutdown()
  }

  /// Sends a request, and returns at the first valid token or the whole body.
  ///
  /// Dropping the answer, or cancelling the task, cancels the request at its host.
  ///
  /// - Throws: `noEligibleHost` with a reason for each host; `upstreamFailed`, `overloaded`,
  ///   `deadlineExceeded`, `invalidRequest` with the hosts' own messages; `cancelled`.
  public func infer(
    _ request: InferenceRequest, constraints: InferenceConstraints
  ) async throws(Failure) -> Inference {
    let pending = start(request, constraints: constraints)
    // Without a limit on the wait, `nil` is never returned.
    guard let inference = try await pending.inference() else {
      throw Failure(.internalError, "an inference was neither answered nor failed")
    }
    return inference
  }

  /// Sends a request, and returns without waiting for the answer.
  public func start(
    _ request: InferenceRequest, constraints: InferenceConstraints
  ) -> PendingInference {
    let session = InferenceSession(client: self, request: request, constraints: constraints)
    session.begin()
    return PendingInference(handle: InferenceHandle(session))
  }

  /// Running requests by host.
  public var inFlight: [HostID: Int] { statistics.withLock(\.inFlight) }

  /// This process's load report for the registry; `nil` means that there is nothing to report.
  public func loadReport() -> LoadReport? {
    let now = now
    let (report, standings) = statistics.withLock {
      statistics -> (LoadReport?, [HostID: HostStanding]) in
      guard let report = statistics.report(now: now) else { return (nil, [:]) }
      let standings = report.hosts.compactMap { line in
        statistics.standing(of: line.host, now: now).map { (line.host, $0) }
      }
      return (report, Dictionary(standings) { $1 })
    }
    if let report { metrics.record(report, standings) }
    return report
  }

  // MARK: - For the sessions

  var now: Instant { clock.now }

  /// The cluster state for a decision: the published tables, plus this process's own measurements
  /// since their publication.
  public func view() -> ClusterView {
    let table = hosts()
    let merged = load()
    let now = now
    return statistics.withLock { statistics in
      statistics.adopt(table, now: now)
      if let merged { statistics.merge(merged.table, age: merged.age, now: now) }
      return statistics.view(now: now)
    }
  }

  /// - Parameters:
  ///   - asker: The client that sent the request.
  ///   - started: When the attempt began, by this client's clock.
  func observe(
    _ observation: HostObservation, of host: HostID, for asker: ClientFingerprint?,
    started: Instant
  ) {
    let now = now
    statistics.withLock {
      $0.observe(observation, of: host, for: asker, started: started, now: now)
    }
  }
}

extension InferenceClient: ClusterAccess {
  public func requestBegan(at view: ClusterView) {
    let utilisation = view.utilisation
    budgets.withLock {
      $0.speculation.requestBegan(utilisation: utilisation)
      $0.retry.requestBegan(now: view.moment)
    }
  }

  public func mayRace(at view: ClusterView) -> Bool {
    budgets.withLock { $0.speculation.take() }
  }

  public func mayRetry(at view: ClusterView) -> Bool {
    budgets.withLock { $0.retry.take(now: view.moment) }
  }
}

/// A running request. Dropping it cancels it.
public struct PendingInference: Sendable {
  fileprivate let handle: InferenceHandle

  /// The answer, once its first valid token or its whole body has arrived.
  /// - Parameter patience: Maximum wait, after which `nil` is returned and the call can be
  ///   repeated. `nil` means no limit except the request's own deadlines.
  public func inference(within patience: Duration? = nil) async throws(Failure) -> Inference? {
    try await handle.session.open(within: patience).map { Inference(opening: $0, handle: handle) }
  }

  /// Cancels the request at its host. A task that waits or reads gets `cancelled`.
  public func cancel() { handle.session.leave() }
}

/// An answer that has begun. It can be read once, and ends after `finished` or throws.
public struct Inference: AsyncSequence, Sendable {
  public typealias Element = InferenceEvent
  public typealias Failure = ClusterModel.Failure

  /// The host that began the answer.
  public let opening: InferenceOpening
  private let handle: InferenceHandle

  init(opening: InferenceOpening, handle: InferenceHandle) {
    self.opening = opening
    self.handle = handle
  }

  public var host: HostID { opening.host }
  public var model: ModelID { opening.model }
  var hostModel: ModelID { opening.hostModel }
  /// HTTP status of the host's answer.
  public var status: Int { opening.status }
  /// Time from the request to the first valid token or the whole body.
  public var firstToken: Duration { opening.firstToken }
  /// Headers of the host that began the answer, limited to those meant for clients.
  public var headers: [PassedHeader] {
    handle.session.headers(of: AttemptID(opening.attempt - 1))
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(handle: handle) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    private let handle: InferenceHandle
    private var batch: ArraySlice<InferenceEvent> = []

    init(handle: InferenceHandle) { self.handle = handle }

    /// All events that have arrived, after waiting for the first. An empty batch is the end.
    public mutating func nextBatch() async throws(ClusterModel.Failure)
      -> ArraySlice<InferenceEvent>
    {
      defer { batch = [] }
      return batch.isEmpty ? try await handle.session.take()[...] : batch
    }

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

/// Lives as long as the answer can be read, and then cancels the request.
final class InferenceHandle: Sendable {
  let session: InferenceSession

  init(_ session: InferenceSession) { self.session = session }

  deinit { session.leave() }
}
