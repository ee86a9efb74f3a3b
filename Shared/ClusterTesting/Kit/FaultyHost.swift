public import ClusterModel
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

public struct FaultyHostConfiguration: Sendable {
  public enum Answer: Sendable {
    case text(String)
    /// The text of the answer is the body of the request, so that a test can compare its bytes.
    case echo
    /// Answers by heart, taken up where another host broke off.
    case corpus(FaultyHostCorpus)
    /// Whatever the test says.
    case writer(@Sendable (FaultyHostQuestion) -> FaultyHostReply)
  }

  /// Model ids that it offers; it answers requests for any other as well.
  public var models: [String]
  public var answer: Answer
  /// What it makes of a text that it is to embed.
  public var vector: @Sendable (String) -> [Double]
  public var tokens: FaultyHostTokens
  /// The only API it has; nil: all of them, which no real server does.
  public var dialect: FaultyHostDialect?
  /// Whoever does not send it is refused with 401; nil: everybody is served.
  public var secret: String?
  /// What it makes of a trailing assistant message in the OpenAI dialect.
  public var prefill: FaultyHostPrefill
  /// Rules by which it refuses requests for text; `nil` means none.
  public var family: FaultyHostFamily?
  public var firstToken: DelayDistribution
  public var interToken: DelayDistribution
  public var seed: UInt64
  public var faults: FaultyHostFaults
  /// On 127.0.0.1; 0: a free one.
  public var port: Int

  public init(
    models: [String] = ["faulty-model"],
    answer: Answer = .text("The quick brown fox jumps over the lazy dog."),
    vector: @escaping @Sendable (String) -> [Double] = { _ in [0.25, -0.5, 1] },
    tokens: FaultyHostTokens = .words, dialect: FaultyHostDialect? = nil, secret: String? = nil,
    prefill: FaultyHostPrefill = .trailing, family: FaultyHostFamily? = nil,
    firstToken: DelayDistribution = .none, interToken: DelayDistribution = .none, seed: UInt64 = 1,
    faults: FaultyHostFaults = .none,
    port: Int = 0
  ) {
    self.models = models
    self.answer = answer
    self.vector = vector
    self.tokens = tokens
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

/// A backend that answers the same every time and fails on demand, in the dialects of OpenAI,
/// Anthropic and Ollama. Its faults can be switched while it runs, and requests held at a gate
/// instead of a sleep.
///
/// `GET /counts` and `GET /records` tell what it saw, `GET` and `PUT /faults` read and switch its
/// faults.
public final class FaultyHost: Sendable {
  /// What is remembered of requests, for a test to look at: enough for any test, bounded for a soak.
  static let rememberedRequests = 256
  /// Of each only how it went: enough for a soak of 20,000.
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

  /// A host that listens.
  public static func started(
    _ configuration: FaultyHostConfiguration = FaultyHostConfiguration()
  ) async throws -> FaultyHost {
    let host = FaultyHost(configuration)
    try await host.start()
    return host
  }

  // MARK: - Listening

  /// Listens on 127.0.0.1: on the port it had before, else on the configured one.
  public func start() async throws {
    let before = port
    let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 1_024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          // Pipelining assistance stops reading while an answer is written; a client that leaves
          // must be seen then.
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

  /// Stops listening and drops every connection, as a process that dies does. Can be started again
  /// on the same port.
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

  /// 0 before the first start.
  public var port: Int { boundPort.withLock { $0 } }
  /// Base URL, without `/v1`.
  public var url: String { "http://127.0.0.1:\(port)" }

  /// This host as a line of the host table: ready, with its models.
  public func host(_ id: HostID, trust: DataPolicy = .any, tier: HostTier = .community)
    -> ClusterModel.Host
  {
    Host(
      id: id, url: url, tier: tier, trust: trust, state: .ready,
      models: configuration.models.map { ModelOffer(id: ModelID($0)) })
  }

  /// Returns when the listener is closed.
  public func waitUntilClosed() async throws {
    try await state.withLock { $0.listener }?.closeFuture.get()
  }

  // MARK: - What it does and what it saw

  public var faults: FaultyHostFaults {
    get { state.withLock(\.faults) }
    set { state.withLock { $0.faults = newValue } }
  }

  public var counts: FaultyHostCounts { state.withLock(\.counts) }

  /// The last requests, oldest first.
  public var requests: [FaultyHostRequest] { state.withLock(\.requests) }

  /// How the last requests went, in the order in which they ended.
  public var records: [FaultyHostRecord] { state.withLock(\.records) }

  /// Returns as soon as the counts meet the condition.
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

  /// Returns as soon as that many clients have left before their answer was whole.
  @discardableResult
  public func waitForCancels(_ count: Int) async -> [FaultyHostCounts.Cancel] {
    await wait { $0.cancels.count >= count }.cancels
  }

  /// Holds every request that comes to this point until the gate is opened.
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
      // A quarter at once: one by one would move all of them each time.
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

  /// Remembers a request; says which one it is and which faults it meets.
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
        if remaining > 0 { state.faults.remaining = remaining - 1 } else { faults = .none }
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

/// Where requests wait for a test to let them go on.
public final class FaultyHostGate: Sendable {
  private struct State {
    var isOpen = false
    var reached = 0
    var held: [@Sendable () -> Void] = []
    var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
  }

  private let state = Mutex(State())

  /// Lets go everyone who waits or comes later.
  public func open() {
    let held = state.withLock { state in
      state.isOpen = true
      defer { state.held = [] }
      return state.held
    }
    for resume in held { resume() }
  }

  /// Returns as soon as that many requests have come here.
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
