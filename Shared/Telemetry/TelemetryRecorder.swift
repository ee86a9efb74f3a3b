public import ClusterModel
import CoreMetrics
import FoundationEssentials
import Limits
import Synchronization

/// Limits on the telemetry that a process buffers for the monitor, and on the size of a batch.
public struct TelemetryLimits: Sendable {
  /// Maximum number of buffered log lines. Normally the buffer is emptied twice a second. If the
  /// monitor is away for a minute, a busy process loses its oldest lines. Three full buffers of
  /// records of usual size take some 4 MiB.
  var logs = 4_096
  var spans = 4_096
  var requests = 4_096
  /// Maximum bytes of a batch. A batch takes less than half of a bus frame of 1 MiB. The rest is
  /// for the envelope and for errors of the size estimate.
  var batchBytes = 448 * 1_024
  /// Maximum bytes of a log line's message.
  var messageBytes = Limits.telemetryMessageBytes.value
  /// Maximum bytes of one attribute's value.
  var attributeBytes = Limits.telemetryAttributeBytes.value
  /// Maximum attributes of one record.
  var attributes = Limits.telemetryAttributes.value

  public static let standard = TelemetryLimits()
}

/// Collects this process's telemetry for the monitor. It never blocks and never fails. If a buffer
/// is full, the oldest record is dropped and counted.
public final class TelemetryRecorder: Sendable {
  let service: String
  /// Peer name of this process.
  let instance: String

  struct State: Sendable {
    var logs: BoundedBuffer<LogRecord>
    var spans: BoundedBuffer<SpanRecord>
    var requests: BoundedBuffer<RequestRecord>
  }

  let limits: TelemetryLimits
  private let registry: PrometheusRegistry?
  private let clock: @Sendable () -> UInt64
  private let state: Mutex<State>

  /// - Parameters:
  ///   - registry: counts dropped records, and provides the snapshot of metrics for `drain`. `nil`
  ///     means that neither is done.
  ///   - clock: returns the present time in microseconds since 1970.
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
    var request = request
    // A host chooses its finish reason.
    request.finishReason = request.finishReason.cut(toBytes: limits.attributeBytes)
    let dropped = state.withLock { [request] in $0.requests.append(request) }
    if dropped { countDrop("request") }
  }

  func record(_ span: SpanRecord) {
    var span = span
    span.attributes = cut(span.attributes)
    let dropped = state.withLock { [span] in $0.spans.append(span) }
    if dropped { countDrop("span") }
  }

  func record(_ log: LogRecord) {
    var log = log
    log.message = log.message.cut(toBytes: limits.messageBytes)
    log.attributes = cut(log.attributes)
    let dropped = state.withLock { [log] in $0.logs.append(log) }
    if dropped { countDrop("log") }
  }

  /// Opens a span. It is a child of `context.span`. Without a context it is the root of a new
  /// trace.
  public func span(_ phase: LifecyclePhase, in context: TraceContext?) -> OpenSpan {
    var rng = SystemRandomNumberGenerator()
    let parent = context ?? .fresh()
    return OpenSpan(
      name: phase.rawValue, context: TraceContext(trace: parent.trace, span: .random(using: &rng)),
      parent: parent.span, startUnixMicroseconds: clock(), recorder: self)
  }

  /// Removes and returns the buffered records, in batches that fit one message each.
  /// - Parameter metrics: whether the last batch contains a snapshot of the registry, which is not
  ///   split.
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

/// A ring buffer that keeps the last `capacity` elements in order.
struct BoundedBuffer<Element: Sendable>: Sendable {
  let capacity: Int
  private var elements: [Element] = []
  /// Index of the oldest element if the buffer is full.
  private var start = 0

  init(capacity: Int) { self.capacity = max(capacity, 1) }

  /// Appends an element.
  /// - Returns: whether the oldest element was dropped.
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

/// Wall-clock time for records. It is never used to measure a duration.
public enum UnixTime {
  @Sendable public static func microseconds() -> UInt64 {
    UInt64(max(0, Date().timeIntervalSince1970 * 1_000_000))
  }

  /// Milliseconds since 1970. The ledger and keys use this unit.
  @Sendable public static func milliseconds() -> Int64 {
    Int64(clamping: microseconds() / 1_000)
  }
}
