import Clocks
public import ClusterModel
public import InferenceCore
import Limits
public import Logging
import NIOCore
public import Overload
import Synchronization

/// Sends requests to hosts: chooses a host, asks it, enforces timeouts and fails over. Every token
/// from a host passes through this class.
public final class InferenceClient: Sendable {
  let connections = UpstreamConnections()
  let logger: Logger
  let limits: UpstreamLimits
  let metrics = InferenceMetrics()
  let credentials: Credentials
  let memory: MemoryBudget
  let heavyWork: HeavyWork
  /// Rate that is shared by all streams that are faster than any model.
  let fastStreams = FastStreams(loops: System.coreCount, at: .zero)
  /// Rate of log lines about hosts that break off answers.
  let brokenAttempts = RateGate(
    every: .milliseconds(Limits.brokenAnswerPause.value), burst: Limits.brokenAnswers.value)
  private let hosts: @Sendable () -> HostTable
  private let load: @Sendable () -> (table: LoadTable, age: Duration)?
  private let clock = ProcessClock()
  private let statistics: Mutex<HostStatistics>
  /// The limits of the configuration, before admins' values are applied.
  private let configuredLimits: InferenceLimits
  private let currentLimits: Mutex<InferenceLimits>
  private let budgets = Mutex((speculation: SpeculationBudget(), retry: RetryBudget()))

  /// - Parameters:
  ///   - hosts: this process's copy of the host table. Read at every decision.
  ///   - load: the merged load of all processes, and its age. `nil` means that only this process's
  ///     own measurements are known.
  ///   - statistics: the host statistics to start with, and the settings by which hosts are
  ///     compared.
  ///   - inferenceLimits: limits on the cost of one request. `apply` may change them.
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

  /// Limits that apply to requests that begin now.
  var inferenceLimits: InferenceLimits { currentLimits.withLock(\.self) }

  /// Applies values that admins set at run time. They affect requests that begin later.
  public func apply(_ overrides: RuntimeOverrides) {
    currentLimits.withLock { $0 = configuredLimits.overridden(by: overrides) }
  }

  /// Closes the connections. Requests that are running fail.
  public func shutdown() async throws {
    try await connections.shutdown()
  }

  /// Sends a request. Returns after the first valid token or the whole body has arrived.
  ///
  /// The request is cancelled at its host if the answer is dropped or the calling Swift task is
  /// cancelled.
  ///
  /// - Throws: `noEligibleHost` with the reasons of up to 20 hosts. `cancelled` if the Swift task
  ///   was cancelled. Other codes with the hosts' own messages, such as `upstreamFailed`,
  ///   `hostsBusy`, `deadlineExceeded` or `invalidRequest`.
  public func infer(
    _ request: InferenceRequest, constraints: InferenceConstraints
  ) async throws(Failure) -> Inference {
    let pending = start(request, constraints: constraints)
    // `nil` would mean that the maximum wait is over, but this wait has no maximum.
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

  /// This process's load report for the registry. `nil` means that there is nothing to report now.
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

  /// A host's own price. `nil` means that none is stated, or that the host is unknown.
  func price(of host: HostID) -> HostPrice? { hosts().host(host)?.price }

  var now: Instant { clock.now }

  /// The state of the cluster for a decision: the published tables, and this process's own
  /// measurements since their publication.
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
  ///   - started: time at which the attempt began, on the clock of this `InferenceClient`.
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

/// A running request. If this value and its `Inference` are dropped, the request is cancelled.
public struct PendingInference: Sendable {
  fileprivate let handle: InferenceHandle

  /// Waits until the first valid token or the whole body has arrived, and returns the answer.
  /// - Parameter patience: maximum wait. After this time `nil` is returned, and the caller may wait
  ///   again.
  ///   `nil` as the argument means that only the request's own deadlines limit the wait.
  public func inference(within patience: Duration? = nil) async throws(Failure) -> Inference? {
    try await handle.session.open(within: patience).map { Inference(opening: $0, handle: handle) }
  }

  /// Cancels the request at its host. A caller that waits for the answer or reads it gets
  /// `cancelled`.
  public func cancel() { handle.session.leave() }

  /// The attempts that have ended, in the order in which they ended. After `cancel`, these are all
  /// attempts, unless an event of a large request is being handled.
  public var attempts: [AttemptRecord] { handle.session.attempts }
}

/// An answer that has begun. It can be read only once. The sequence ends after `finished`, or
/// throws.
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
  /// Headers for the client, from the host that began the answer.
  public var headers: [PassedHeader] {
    handle.session.headers(of: AttemptID(opening.attempt - 1))
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(handle: handle) }

  public struct AsyncIterator: AsyncIteratorProtocol {
    private let handle: InferenceHandle
    private var batch: ArraySlice<InferenceEvent> = []

    init(handle: InferenceHandle) { self.handle = handle }

    /// Waits until events have arrived, and returns all of them. An empty batch means the end.
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

/// Cancels the request when the answer can no longer be read.
final class InferenceHandle: Sendable {
  let session: InferenceSession

  init(_ session: InferenceSession) { self.session = session }

  deinit { session.leave() }
}
