public import ClusterModel
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

public struct FaultyHostConfiguration: Sendable {
  public enum Answer: Sendable {
    case text(String)
    /// The answer's text is the body of the request, so that a test can compare its bytes.
    case echo
    /// Fixed answers, which this host can resume after another host broke off.
    case corpus(FaultyHostCorpus)
    /// Computed by the test.
    case writer(@Sendable (FaultyHostQuestion) -> FaultyHostReply)
  }

  /// Model ids that the host lists. In the OpenAI dialect it answers requests for other models too.
  public var models: [String]
  /// Context that the OpenAI list of models has for each model, in tokens. `nil` means that it has
  /// none.
  public var contextTokens: Int?
  public var answer: Answer
  /// Computes the embedding of a text.
  var vector: @Sendable (String) -> [Double]
  public var tokens: FaultyHostTokens
  /// Cached prompt tokens that the host reports. `nil` means that it reports none.
  var cachedTokens: Int?
  /// Dialect of the server that the host plays, which has the APIs of `served`. `nil` means all
  /// APIs, which no real server has.
  var dialect: HostDialect?
  /// Requests without this secret get 401; `nil` means that no secret is required.
  var secret: String?
  /// How the OpenAI dialect treats a trailing assistant message.
  var prefill: FaultyHostPrefill
  /// Rules by which the host refuses requests for text in the OpenAI dialect; `nil` means no rules.
  var family: FaultyHostFamily?
  public var firstToken: DelayDistribution
  public var interToken: DelayDistribution
  public var seed: UInt64
  public var faults: FaultyHostFaults
  /// Port on 127.0.0.1; 0 means a free one.
  var port: Int

  public init(
    models: [String] = ["faulty-model"], contextTokens: Int? = nil,
    answer: Answer = .text("The quick brown fox jumps over the lazy dog."),
    vector: @escaping @Sendable (String) -> [Double] = { _ in [0.25, -0.5, 1] },
    tokens: FaultyHostTokens = .words, cachedTokens: Int? = nil, dialect: HostDialect? = nil,
    secret: String? = nil,
    prefill: FaultyHostPrefill = .trailing, family: FaultyHostFamily? = nil,
    firstToken: DelayDistribution = .none, interToken: DelayDistribution = .none, seed: UInt64 = 1,
    faults: FaultyHostFaults = .none,
    port: Int = 0
  ) {
    self.models = models
    self.contextTokens = contextTokens
    self.answer = answer
    self.vector = vector
    self.tokens = tokens
    self.cachedTokens = cachedTokens
    self.dialect = dialect
    self.secret = secret
    self.prefill = prefill
    self.family = family
    self.firstToken = firstToken
    self.interToken = interToken
    self.seed = seed
    self.faults = faults
    self.port = port
  }
}

/// A backend with repeatable answers that fails on demand, in every dialect.
///
/// A test can switch the host's faults while the host runs, and hold requests at a gate instead of
/// sleeping.
///
/// `GET /counts` and `GET /records` return what the host recorded; `GET` and `PUT /faults` read and
/// switch its faults.
public final class FaultyHost: Sendable {
  /// Maximum number of requests kept for a test. It suffices for any test, and bounds the memory of
  /// a soak.
  static let rememberedRequests = 256
  /// Maximum number of records kept, one per request that has ended. It exceeds the 20,000 streams
  /// of a soak.
  static let rememberedRecords = 32_768

  struct State {
    var faults: FaultyHostFaults
    var rng: SplitMix64
    var number = 0
    var counts = FaultyHostCounts()
    var requests: [FaultyHostRequest] = []
    var records: [FaultyHostRecord] = []
    var gates: [FaultyHostPoint: FaultyHostGate] = [:]
    var watchers:
      [(
        condition: @Sendable (FaultyHostCounts) -> Bool,
        continuation: CheckedContinuation<FaultyHostCounts, Never>
      )] = []
    var listener: (any Channel)?
    var connections: [ObjectIdentifier: any Channel] = [:]
  }

  public let configuration: FaultyHostConfiguration
  let state: Mutex<State>

  public init(_ configuration: FaultyHostConfiguration = FaultyHostConfiguration()) {
    self.configuration = configuration
    state = Mutex(
      State(faults: configuration.faults, rng: SplitMix64(seed: configuration.seed)))
  }

  /// Creates and starts a host.
  public static func started(
    _ configuration: FaultyHostConfiguration = FaultyHostConfiguration()
  ) async throws -> FaultyHost {
    let host = FaultyHost(configuration)
    try await host.start()
    return host
  }

  // MARK: - Listening

  /// Listens on 127.0.0.1: on its previous port, otherwise on the configured one.
  public func start() async throws {
    let before = port
    let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 1_024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          // Pipelining assistance stops reading while an answer is written, which would hide a
          // client that disconnects in that time.
          try channel.pipeline.syncOperations.configureHTTPServerPipeline(
            withPipeliningAssistance: false)
          try channel.pipeline.syncOperations.addHandler(FaultyHostHandler(host: self))
        }
      }
    let channel = try await bootstrap.bind(
      host: "127.0.0.1", port: before == 0 ? configuration.port : before
    ).get()
    let bound = channel.localAddress?.port ?? 0
    state.withLock { $0.listener = channel }
    boundPort.withLock { $0 = bound }
  }

  /// Stops listening and drops every connection, as a dying process does. The host can be started
  /// again on the same port.
  public func stop() async throws {
    let (listener, connections) = state.withLock { state in
      defer {
        state.listener = nil
        state.connections = [:]
      }
      return (state.listener, Array(state.connections.values))
    }
    try await listener?.close().get()
    for connection in connections { try? await connection.close().get() }
  }

  private let boundPort = Mutex(0)

  /// Port on 127.0.0.1; 0 before the first start.
  var port: Int { boundPort.withLock { $0 } }
  /// Base URL, without `/v1`.
  public var url: String { "http://127.0.0.1:\(port)" }

  /// This host as a row of the host table: ready, with its models.
  public func host(_ id: HostID, trust: DataPolicy = .any, tier: HostTier = .community)
    -> ClusterModel.Host
  {
    Host(
      id: id, url: url, tier: tier, trust: trust, state: .ready,
      models: configuration.models.map {
        ModelOffer(id: ModelID($0), contextTokens: configuration.contextTokens)
      })
  }

  /// Returns when the listener is closed.
  public func waitUntilClosed() async throws {
    try await state.withLock { $0.listener }?.closeFuture.get()
  }

  // MARK: - Faults, counts and records

  public var faults: FaultyHostFaults {
    get { state.withLock(\.faults) }
    set { state.withLock { $0.faults = newValue } }
  }

  public var counts: FaultyHostCounts { state.withLock(\.counts) }

  /// The most recent requests, oldest first.
  public var requests: [FaultyHostRequest] { state.withLock(\.requests) }

  /// Records of the most recent requests, in the order in which they ended.
  public var records: [FaultyHostRecord] { state.withLock(\.records) }

  /// Waits until the counts meet the condition.
  @discardableResult
  public func wait(
    until condition: @escaping @Sendable (FaultyHostCounts) -> Bool
  ) async -> FaultyHostCounts {
    await withCheckedContinuation { continuation in
      let ready = state.withLock { state -> FaultyHostCounts? in
        if condition(state.counts) { return state.counts }
        state.watchers.append((condition, continuation))
        return nil
      }
      if let ready { continuation.resume(returning: ready) }
    }
  }

  /// Waits until `count` clients have disconnected before the end of their answers.
  @discardableResult
  public func waitForCancels(_ count: Int) async -> [FaultyHostCounts.Cancel] {
    await wait { $0.cancels.count >= count }.cancels
  }

  /// Holds every request that reaches this point until the gate is opened.
  public func hold(_ point: FaultyHostPoint) -> FaultyHostGate {
    let gate = FaultyHostGate()
    state.withLock { $0.gates[point] = gate }
    return gate
  }

  func gate(at point: FaultyHostPoint) -> FaultyHostGate? {
    state.withLock { $0.gates[point] }
  }

  func count(_ change: (inout FaultyHostCounts) -> Void) {
    let (counts, ready) = state.withLock { state in
      change(&state.counts)
      let counts = state.counts
      let ready = state.watchers.filter { $0.condition(counts) }.map(\.continuation)
      state.watchers.removeAll { $0.condition(counts) }
      return (counts, ready)
    }
    for continuation in ready { continuation.resume(returning: counts) }
  }

  func record(_ record: FaultyHostRecord) {
    state.withLock { state in
      // Remove a quarter of the records together, because removing single ones would move all
      // others each time.
      if state.records.count == Self.rememberedRecords {
        state.records.removeFirst(Self.rememberedRecords / 4)
      }
      state.records.append(record)
    }
  }

  func connected(_ channel: any Channel) {
    state.withLock { $0.connections[ObjectIdentifier(channel)] = channel }
    count { $0.connections += 1 }
  }

  func disconnected(_ channel: any Channel) {
    state.withLock { _ = $0.connections.removeValue(forKey: ObjectIdentifier(channel)) }
  }

  /// Stores a request; returns its number and the faults that apply to it.
  func received(_ request: FaultyHostRequest) -> (number: Int, faults: FaultyHostFaults) {
    let result = state.withLock { state -> (number: Int, faults: FaultyHostFaults) in
      if state.requests.count == Self.rememberedRequests { state.requests.removeFirst() }
      state.requests.append(request)
      state.number += 1
      var faults = state.faults
      if let probability = faults.probability, state.rng.nextUnit() > probability {
        faults = .none
      }
      if let remaining = faults.remaining {
        // A probe comes at any time, and must not use up a fault that is meant for a request.
        if remaining > 0, HostDialect.runsModel(request.path) {
          state.faults.remaining = remaining - 1
        } else {
          faults = .none
        }
      }
      return (state.number, faults)
    }
    count {
      $0.requests[request.path, default: 0] += 1
      $0.active += 1
      $0.maximumActive = max($0.maximumActive, $0.active)
    }
    return result
  }

  func sample(_ delay: DelayDistribution) -> TimeAmount {
    let milliseconds = state.withLock { delay.sample(using: &$0.rng) }
    return .nanoseconds(Int64(milliseconds * 1e6))
  }
}

/// A gate that holds requests until a test opens it.
public final class FaultyHostGate: Sendable {
  private struct State {
    var isOpen = false
    var reached = 0
    var held: [@Sendable () -> Void] = []
    var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
  }

  private let state = Mutex(State())

  /// Releases all held requests. Later requests pass immediately.
  public func open() {
    let held = state.withLock { state in
      state.isOpen = true
      defer { state.held = [] }
      return state.held
    }
    for resume in held { resume() }
  }

  /// Waits until `count` requests have reached the gate.
  public func reached(_ count: Int = 1) async {
    await withCheckedContinuation { continuation in
      let isReady = state.withLock { state in
        if state.reached >= count { return true }
        state.watchers.append((count, continuation))
        return false
      }
      if isReady { continuation.resume() }
    }
  }

  func pass(_ resume: @escaping @Sendable () -> Void) {
    let (goesOn, ready) = state.withLock { state in
      state.reached += 1
      let reached = state.reached
      let ready = state.watchers.filter { $0.count <= reached }.map(\.continuation)
      state.watchers.removeAll { $0.count <= reached }
      if !state.isOpen { state.held.append(resume) }
      return (state.isOpen, ready)
    }
    for continuation in ready { continuation.resume() }
    if goesOn { resume() }
  }
}
