public import ClusterModel
import CoreMetrics
import FoundationEssentials
import Synchronization

/// How much a process keeps for the monitor before the oldest is dropped, and how large a message
/// to it may be.
public struct TelemetryLimits: Sendable {
  /// Two batches a second take all of it in normal times; a monitor that is away for a minute
  /// costs a busy process its oldest lines, and at most some 4 MiB of memory.
  public var logs = 4_096
  public var spans = 4_096
  public var requests = 4_096
  /// A frame of the bus is at most 1 MiB; half of it leaves room for the envelope and for what the
  /// estimate of a record's size does not see.
  public var batchBytes = 448 * 1_024
  /// Of a log line's message.
  public var messageBytes = 8 * 1_024
  /// Of one attribute's value.
  public var attributeBytes = 2 * 1_024
  /// Of one record.
  public var attributes = 32

  public static let standard = TelemetryLimits()
  public init() {}
}

/// Collects what this process wants the monitor to know. Never blocks and never fails: what does
/// not fit is dropped, oldest first, and counted.
public final class TelemetryRecorder: Sendable {
  public let service: String
  /// Peer name of this process.
  public let instance: String

  struct State: Sendable {
    var logs: BoundedBuffer<LogRecord>
    var spans: BoundedBuffer<SpanRecord>
    var requests: BoundedBuffer<RequestRecord>
    var sink: (@Sendable (TelemetryBatch) -> Void)?
  }

  let limits: TelemetryLimits
  private let registry: PrometheusRegistry?
  private let clock: @Sendable () -> UInt64
  private let state: Mutex<State>

  /// - Parameters:
  ///   - registry: where dropped records are counted, and whose snapshot goes with `drain`.
  ///   - clock: microseconds since 1970.
  public init(
    service: String, instance: String, limits: TelemetryLimits = .standard,
    registry: PrometheusRegistry? = nil,
    clock: @escaping @Sendable () -> UInt64 = UnixTime.microseconds
  ) {
    self.service = service
    self.instance = instance
    self.limits = limits
    self.registry = registry
    self.clock = clock
    state = Mutex(
      State(
        logs: BoundedBuffer(capacity: limits.logs), spans: BoundedBuffer(capacity: limits.spans),
        requests: BoundedBuffer(capacity: limits.requests)))
  }

  public func record(_ request: RequestRecord) {
    let dropped = state.withLock { $0.requests.append(request) }
    if dropped { countDrop("request") }
  }

  public func record(_ span: SpanRecord) {
    var span = span
    span.attributes = cut(span.attributes)
    let dropped = state.withLock { [span] in $0.spans.append(span) }
    if dropped { countDrop("span") }
  }

  public func record(_ log: LogRecord) {
    var log = log
    log.message = log.message.cut(toBytes: limits.messageBytes)
    log.attributes = cut(log.attributes)
    let dropped = state.withLock { [log] in $0.logs.append(log) }
    if dropped { countDrop("log") }
  }

  /// Opens a span: a child of `context.span`, or the root of a new trace without a context.
  public func span(_ phase: LifecyclePhase, in context: TraceContext?) -> OpenSpan {
    var rng = SystemRandomNumberGenerator()
    let parent = context ?? .fresh()
    return OpenSpan(
      name: phase.rawValue, context: TraceContext(trace: parent.trace, span: .random(using: &rng)),
      parent: parent.span, startUnixMicroseconds: clock(), recorder: self)
  }

  /// Takes what is buffered, in batches that fit one message each; empty when there is nothing.
  /// - Parameter metrics: with a snapshot of the registry, which goes whole into the last batch.
  public func drain(metrics: Bool = false) -> [TelemetryBatch] {
    let (logs, spans, requests) = state.withLock {
      ($0.logs.takeAll(), $0.spans.takeAll(), $0.requests.takeAll())
    }
    var splitter = BatchSplitter(
      service: service, instance: instance, limit: limits.batchBytes)
    for request in requests { splitter.add(request) }
    for span in spans { splitter.add(span) }
    for log in logs { splitter.add(log) }
    if metrics, let registry {
      let left = splitter.add(registry.snapshot())
      if left > 0 { countDrop("metric", by: left) }
    }
    return splitter.finish()
  }

  /// From now on batches go to `sink` and not over the bus: the monitor keeps its own this way.
  public func redirect(_ sink: @escaping @Sendable (TelemetryBatch) -> Void) {
    state.withLock { $0.sink = sink }
  }

  /// Where batches go instead of the bus, if anywhere.
  public var redirection: (@Sendable (TelemetryBatch) -> Void)? { state.withLock { $0.sink } }

  private func countDrop(_ kind: String, by count: Int = 1) {
    guard let registry else { return }
    Counter(
      label: "tutti_telemetry_dropped_total", dimensions: [("kind", kind)], factory: registry
    ).increment(by: count)
  }

  private func cut(_ attributes: [Attribute]) -> [Attribute] {
    attributes.prefix(limits.attributes).map {
      Attribute($0.key.cut(toBytes: 128), $0.value.cut(toBytes: limits.attributeBytes))
    }
  }
}

/// The last `capacity` elements, in order.
struct BoundedBuffer<Element: Sendable>: Sendable {
  let capacity: Int
  private var elements: [Element] = []
  /// Where the oldest stands once the buffer is full.
  private var start = 0

  init(capacity: Int) { self.capacity = max(capacity, 1) }

  /// - Returns: true if the oldest had to go.
  mutating func append(_ element: Element) -> Bool {
    guard elements.count == capacity else {
      elements.append(element)
      return false
    }
    elements[start] = element
    start = (start + 1) % capacity
    return true
  }

  mutating func takeAll() -> [Element] {
    defer {
      elements = []
      start = 0
    }
    return start == 0 ? elements : Array(elements[start...] + elements[..<start])
  }
}

/// Wall-clock time for records. Never used to measure how long something took.
public enum UnixTime {
  @Sendable public static func microseconds() -> UInt64 {
    UInt64(max(0, Date().timeIntervalSince1970 * 1_000_000))
  }
}
