public import ClusterModel
import Synchronization

/// A span that has not ended. Its owner must end it, because a span that never ends is not
/// recorded.
public final class OpenSpan: Sendable {
  /// Trace context of the messages and child spans that this span causes.
  public let context: TraceContext

  private struct State: Sendable {
    var attributes: [Attribute] = []
    var ended = false
  }

  private let name: String
  private let parent: SpanID
  private let startUnixMicroseconds: UInt64
  private let start = ContinuousClock.now
  private let recorder: TelemetryRecorder
  private let state = Mutex(State())

  init(
    name: String, context: TraceContext, parent: SpanID, startUnixMicroseconds: UInt64,
    recorder: TelemetryRecorder
  ) {
    self.name = name
    self.context = context
    self.parent = parent
    self.startUnixMicroseconds = startUnixMicroseconds
    self.recorder = recorder
  }

  /// Sets an attribute. The value replaces an earlier value of the same key. A new key beyond the
  /// recorder's limit is dropped.
  public func set(_ key: String, _ value: String) {
    state.withLock { state in
      if let index = state.attributes.firstIndex(where: { $0.key == key }) {
        state.attributes[index].value = value
      } else if state.attributes.count < recorder.limits.attributes {
        state.attributes.append(Attribute(key, value))
      }
    }
  }

  public func set(_ attributes: [Attribute]) {
    for attribute in attributes { set(attribute.key, attribute.value) }
  }

  /// Records the span. Further calls do nothing.
  public func end(failed: Bool = false) {
    let attributes: [Attribute]? = state.withLock { state in
      guard !state.ended else { return nil }
      state.ended = true
      return state.attributes
    }
    guard let attributes else { return }
    let duration = start.duration(to: .now).components
    let microseconds = duration.seconds * 1_000_000 + duration.attoseconds / 1_000_000_000_000
    recorder.record(
      SpanRecord(
        trace: context.trace, span: context.span, parent: parent, service: recorder.service,
        name: name, startUnixMicroseconds: startUnixMicroseconds,
        durationMicroseconds: UInt64(max(0, microseconds)), failed: failed,
        attributes: attributes))
  }
}

extension TraceContext {
  /// Makes a new trace without a span, for work that did not start with a bus message.
  public static func fresh() -> TraceContext {
    var rng = SystemRandomNumberGenerator()
    return TraceContext(trace: .random(using: &rng), span: .none)
  }
}
