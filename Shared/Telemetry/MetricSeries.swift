import ClusterModel
import CoreMetrics
import Synchronization

/// A label set sorted by key, so that two sets can be compared.
struct LabelSet: Hashable, Sendable, Comparable {
  let labels: [Attribute]

  /// Maximum bytes of a label's value. A longer value is cut, because a value is an identifier and
  /// not a text.
  static let maxValueBytes = 200
  /// Maximum labels of one metric. Further labels are left out, because they are a mistake in the
  /// code.
  static let maxLabels = 12

  static let none = LabelSet(labels: [])
  /// Label set of the series that counts for all label sets beyond a family's limit.
  static let overflow = LabelSet(labels: [Attribute("overflow", "true")])

  private init(labels: [Attribute]) { self.labels = labels }

  init(_ dimensions: [(String, String)]) {
    var byKey: [String: String] = [:]
    for (key, value) in dimensions.prefix(Self.maxLabels) {
      byKey[MetricName.label(key)] = value.cut(toBytes: Self.maxValueBytes)
    }
    labels = byKey.sorted { $0.key < $1.key }.map { Attribute($0.key, $0.value) }
  }

  static func < (left: LabelSet, right: LabelSet) -> Bool {
    for (l, r) in zip(left.labels, right.labels) where l != r {
      return (l.key, l.value) < (r.key, r.value)
    }
    return left.labels.count < right.labels.count
  }
}

/// Makes names that Prometheus and `promtool check metrics` accept.
enum MetricName {
  static func make(_ label: String, _ kind: MetricKind, isTimer: Bool = false) -> String {
    var name = sanitised(label, allowing: ":")
    switch kind {
    case .counter:
      if !name.hasSuffix("_total") { name += "_total" }
    case .gauge:
      // Only counters and histograms may have these suffixes.
      for suffix in ["_total", "_count", "_sum", "_bucket"] where name.hasSuffix(suffix) {
        name += "_value"
      }
    case .histogram:
      if isTimer, !name.hasSuffix("_seconds") { name += "_seconds" }
    }
    return name
  }

  static func label(_ key: String) -> String {
    let name = sanitised(key, allowing: "")
    // `le` and `quantile` are reserved for histograms and summaries. Names with two leading
    // underscores are reserved for Prometheus.
    if name == "le" || name == "quantile" { return name + "_label" }
    return name.hasPrefix("__") ? "label" + name : name
  }

  private static func sanitised(_ text: String, allowing extra: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      let isLetter =
        ("a"..."z").contains(character) || ("A"..."Z").contains(character) || character == "_"
      let isDigit = ("0"..."9").contains(character)
      if isDigit && result.isEmpty { result += "_" }
      let allowed = isLetter || isDigit || extra.unicodeScalars.contains(character)
      result.unicodeScalars.append(allowed ? character : "_")
    }
    return result.isEmpty ? "_" : result
  }
}

/// A counter or a gauge with one label set.
final class NumberSeries: CounterHandler, FloatingPointCounterHandler, MeterHandler,
  RecorderHandler
{
  private let value = Mutex(0.0)

  var current: Double { value.withLock { $0 } }

  // For counters. Only `reset` decreases a counter, and a counter never becomes NaN.
  func increment(by amount: Int64) {
    guard amount > 0 else { return }
    value.withLock { $0 += Double(amount) }
  }

  func increment(by amount: Double) {
    guard amount.isFinite, amount > 0 else { return }
    value.withLock { $0 += amount }
  }

  func reset() { value.withLock { $0 = 0 } }

  // For gauges.
  func decrement(by amount: Double) {
    guard amount.isFinite else { return }
    value.withLock { $0 -= amount }
  }

  func set(_ new: Int64) { value.withLock { $0 = Double(new) } }
  func set(_ new: Double) { value.withLock { $0 = new } }
  func record(_ new: Int64) { set(new) }
  func record(_ new: Double) { set(new) }
}

/// A histogram with one label set.
final class HistogramSeries: RecorderHandler, TimerHandler {
  struct State: Sendable {
    /// One count per bound, and one for values above all bounds. The counts are not cumulative.
    var counts: [UInt64]
    var sum = 0.0
  }

  private let bounds: [Double]
  private let state: Mutex<State>

  init(bounds: [Double]) {
    self.bounds = bounds
    state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
  }

  func record(_ value: Int64) { record(Double(value)) }

  func record(_ value: Double) {
    guard value.isFinite else { return }
    let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
    state.withLock {
      $0.counts[bucket] += 1
      $0.sum += value
    }
  }

  func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

  func samples(labels: [Attribute]) -> [MetricFamily.Sample] {
    let now = state.withLock { $0 }
    var samples: [MetricFamily.Sample] = []
    samples.reserveCapacity(bounds.count + 3)
    var total: UInt64 = 0
    for (index, count) in now.counts.enumerated() {
      total += count
      let bound = index < bounds.count ? PrometheusText.number(bounds[index]) : "+Inf"
      samples.append(
        MetricFamily.Sample(
          suffix: "_bucket", labels: labels + [Attribute("le", bound)], value: Double(total)))
    }
    samples.append(MetricFamily.Sample(suffix: "_sum", labels: labels, value: now.sum))
    samples.append(MetricFamily.Sample(suffix: "_count", labels: labels, value: Double(total)))
    return samples
  }
}
