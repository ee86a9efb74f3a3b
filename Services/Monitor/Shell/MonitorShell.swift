import Bus
import BusCore
import Clocks
import ClusterModel
import Foundation
import Logging
import Metrics
import MonitorCore
import ServiceKit
import ServiceLifecycle
import Store
import Synchronization
import Telemetry

/// Receives telemetry from the bus, writes it to the log store in batches, and keeps the latest
/// metrics of every process.
final class MonitorShell: Service {
  private struct State {
    var rollup = MetricRollup()
    var pending = PendingTelemetry()
    /// Why the store cannot be written now. `nil` means that it can.
    var problem: String?
    /// Whether the writer takes no further batches. Each received batch is then written directly.
    var drained = false
  }

  /// Maximum records per transaction. It is large enough for cheap writes, and small enough to
  /// leave time for readers.
  private static let maximumWrite = 2_000
  /// Backoff while the store is unreachable or full.
  private static let backOff: ClosedRange<Duration> = .milliseconds(500)...(.seconds(30))
  /// Maximum consecutive rejections of a batch by a store that is reachable and has room. A further
  /// attempt would fail, too.
  private static let maximumRefusals = 3
  private static let retentionInterval: Duration = .seconds(600)

  private let context: ServiceContext
  private let store: any LogStore
  private let clock = ProcessClock()
  private let state: Mutex<State>
  /// Wakes the writer. Several pending signals become one.
  private let arrivals = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
  private let received: [String: Counter]
  private let lost = Counter(label: "tutti_monitor_store_failures_total")
  private let instances = Gauge(label: "tutti_monitor_instances")
  private let damaged = Gauge(label: "tutti_monitor_damaged_records")

  init(context: ServiceContext, store: any LogStore) {
    self.context = context
    self.store = store
    state = Mutex(State(problem: "the log store has not answered yet"))
    received = Dictionary(
      uniqueKeysWithValues: ["log", "span", "request"].map {
        ($0, Counter(label: "tutti_monitor_records_total", dimensions: [("kind", $0)]))
      })
  }

  private var now: Instant { clock.now }

  var peers: [Peer] { context.bus.peers.peers }
  var hosts: [ClusterModel.Host] { context.hosts.table.hosts }

  /// Why the store does not work, in one sentence. `nil` means that it works.
  var storeProblem: String? { state.withLock { $0.problem } }

  /// Sets the bus handler. It must be called before the bus runs.
  func answerBus() {
    context.bus.onCast { [self] body, peer in
      guard case .telemetry(let batch) = body else { return }
      await take(TelemetryIntake.bounded(batch, from: peer.name))
    }
  }

  private func take(_ batch: TelemetryBatch) async {
    received["log"]?.increment(by: batch.logs.count)
    received["span"]?.increment(by: batch.spans.count)
    received["request"]?.increment(by: batch.requests.count)
    let (writeHere, dropped) = state.withLock { state -> (Bool, Int) in
      state.rollup.received(
        service: batch.service, instance: batch.instance, families: batch.metrics, now: now)
      return state.drained ? (batch.records > 0, 0) : (false, state.pending.append(batch))
    }
    if dropped > 0 { lost.increment(by: dropped) }
    if writeHere {
      do throws(Failure) { try await store.append([batch]) } catch { lose([batch], error) }
    } else {
      arrivals.continuation.yield()
    }
  }

  private func lose(_ batches: [TelemetryBatch], _ failure: Failure) {
    let records = batches.reduce(0) { $0 + $1.records }
    lost.increment(by: records)
    context.logger.report(
      .telemetryLost,
      metadata: [LogKey.count: "\(records)", LogKey.reason: "\(failure.message)"])
  }

  /// The metrics of every process, including the current values of this process.
  func families() -> [MetricFamily] {
    let (count, leftOut) = state.withLock { ($0.rollup.instances.count, $0.rollup.leftOut) }
    instances.record(count)
    damaged.record(store.damagedRecords)
    let own = context.metrics.snapshot() + Self.families(of: leftOut)
    return state.withLock { state in
      state.rollup.received(
        service: context.common.service.description, instance: context.bus.peer.id.name,
        families: own, now: now)
      return state.rollup.families(now: now)
    }
  }

  /// The counter of samples that the rollup left out so far.
  private static func families(of leftOut: [MetricRollup.Reason: Int]) -> [MetricFamily] {
    guard let metric = MetricCatalogue.tutti["tutti_monitor_left_out_samples_total"] else {
      return []
    }
    let samples = MetricRollup.Reason.allCases.map {
      MetricFamily.Sample(
        labels: [Attribute("reason", $0.rawValue)], value: Double(leftOut[$0] ?? 0))
    }
    return [
      MetricFamily(name: metric.name, help: metric.help, kind: metric.kind, samples: samples)
    ]
  }

  // MARK: - Loops

  func run() async throws {
    // On shutdown, the writer tries to write all pending telemetry, and the other loops stop at
    // once.
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.sweep() }
      group.addTask { await self.watchCrashes() }
      await withGracefulShutdownHandler {
        await write()
      } onGracefulShutdown: { [arrivals] in
        arrivals.continuation.finish()
      }
      group.cancelAll()
    }
  }

  private func write() async {
    await connect()
    for await _ in arrivals.stream { await writePending() }
    // The drain has begun. From now on, each received batch is written directly.
    state.withLock { $0.drained = true }
    await writePending()
  }

  /// Connects to the store. Retries until the store responds or the process drains.
  private func connect() async {
    var pause = Self.backOff.lowerBound
    while !Task.isShuttingDownGracefully, !Task.isCancelled {
      do throws(Failure) {
        try await store.prepare()
        report(nil)
        return
      } catch {
        report(error)
        await rest(pause)
        pause = min(pause * 2, Self.backOff.upperBound)
      }
    }
  }

  /// Writes until nothing is pending. It retries with backoff, but drops a write that the store
  /// rejects `maximumRefusals` times. During a drain, it tries each write once.
  private func writePending() async {
    var pause = Self.backOff.lowerBound
    var refusals = 0
    while true {
      let batches = state.withLock { $0.pending.take(atMost: Self.maximumWrite) }
      if batches.isEmpty { return }
      let draining = Task.isShuttingDownGracefully || Task.isCancelled
      do throws(Failure) {
        try await store.append(batches)
        report(nil)
        pause = Self.backOff.lowerBound
        refusals = 0
        continue
      } catch {
        report(error)
        refusals = error.code == .storeFailed ? refusals + 1 : 0
        if draining || refusals >= Self.maximumRefusals {
          lose(batches, error)
          refusals = 0
          continue
        }
      }
      let dropped = state.withLock { $0.pending.putBack(batches) }
      if dropped > 0 { lost.increment(by: dropped) }
      await rest(pause)
      pause = min(pause * 2, Self.backOff.upperBound)
    }
  }

  /// Waits for the pause. Returns early if the process drains.
  private func rest(_ pause: Duration) async {
    await cancelWhenGracefulShutdown { try? await Task.sleep(for: pause) }
  }

  private func sweep() async {
    await cancelWhenGracefulShutdown { [self] in
      var clock = ClockTrust()
      while !Task.isCancelled {
        try? await Task.sleep(for: Self.retentionInterval)
        guard !Task.isCancelled, storeProblem == nil else { continue }
        let wall = Self.unixMicroseconds
        let isSteady = clock.isSteady(wallUnixMicroseconds: wall, uptime: now.sinceStart)
        do throws(Failure) {
          try await store.applyRetention(nowUnixMicroseconds: isSteady ? wall : nil)
        } catch {
          context.logger.report(.retentionNotApplied, metadata: [LogKey.reason: "\(error.message)"])
        }
      }
    }
  }

  private func watchCrashes() async {
    let common = context.common
    await cancelWhenGracefulShutdown { [context] in
      var watch = CrashWatch(
        dataDirectory: common.dataDirectory, own: common.service.description,
        logger: context.logger)
      await watch.run()
    }
  }

  private static var unixMicroseconds: UInt64 {
    UInt64(max(0, Date().timeIntervalSince1970) * 1e6)
  }

  private func report(_ failure: Failure?) {
    let before = state.withLock { state in
      defer { state.problem = failure?.message }
      return state.problem
    }
    // Each change is logged once, so a store that is down for an hour causes one line.
    if let failure, before != failure.message {
      context.logger.report(.storeRefuses, metadata: [LogKey.reason: "\(failure.message)"])
    } else if failure == nil, before != nil {
      context.logger.report(.storeWorks)
    }
  }
}
