public import ClusterModel
public import CoreMetrics
import Synchronization

/// The swift-metrics backend of a process. It keeps every series in memory for the next snapshot.
///
/// Handlers with the same name and labels share a series, so code may create its `Counter`
/// anywhere.
public final class PrometheusRegistry: MetricsFactory {
  /// Maximum series per metric. Further label sets share one series with the label
  /// `overflow="true"`, because a label with values from outside must not fill the memory.
  public static let standardSeriesLimit = 1_000
  /// Maximum number of families. Their names come from the code. More of them are a bug, which must
  /// not fill the memory.
  static let familyLimit = 500
  /// Buckets of a histogram that has no buckets in the catalogue.
  static let fallbackBuckets = MetricCatalogue.requestSeconds

  private enum Series: Sendable {
    case number(NumberSeries)
    case histogram(HistogramSeries)
  }

  private struct Family: Sendable {
    let description: MetricDescription
    var series: [LabelSet: Series] = [:]
    var overflows: UInt64 = 0
  }

  /// Cache key of a handler, with the name and labels that the code passed. The cache saves the
  /// conversion of names and labels for a handler that is made again.
  private struct Handle: Hashable, Sendable {
    let name: String
    let kind: MetricKind
    let isTimer: Bool
    let dimensions: [Attribute]
  }

  /// Maximum number of cached handles. A full cache is emptied.
  private static let handleLimit = 10_000

  private struct State: Sendable {
    var families: [String: Family] = [:]
    var handles: [Handle: Series] = [:]
    var collectors: [@Sendable () -> [MetricFamily]] = []
  }

  private let catalogue: MetricCatalogue
  private let seriesLimit: Int
  private let state = Mutex(State())

  public init(
    catalogue: MetricCatalogue = .tutti, seriesLimit: Int = PrometheusRegistry.standardSeriesLimit
  ) {
    self.catalogue = catalogue
    self.seriesLimit = seriesLimit
  }

  /// The present values of all families, sorted by name. The samples of a family are sorted by
  /// labels.
  public func snapshot() -> [MetricFamily] {
    let (families, collectors) = state.withLock { ($0.families, $0.collectors) }
    var result: [MetricFamily] = []
    result.reserveCapacity(families.count + 1)
    var overflows: [MetricFamily.Sample] = []
    for (name, family) in families {
      var samples: [MetricFamily.Sample] = []
      for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
        switch series {
        case .number(let number):
          samples.append(MetricFamily.Sample(labels: labels.labels, value: number.current))
        case .histogram(let histogram):
          samples += histogram.samples(labels: labels.labels)
        }
      }
      result.append(
        MetricFamily(
          name: name, help: family.description.help, kind: family.description.kind,
          samples: samples))
      if family.overflows > 0 {
        overflows.append(
          MetricFamily.Sample(
            labels: [Attribute("metric", name)], value: Double(family.overflows)))
      }
    }
    if !overflows.isEmpty {
      let name = "tutti_metrics_overflow_total"
      result.append(
        MetricFamily(
          name: name, help: describe(name, .counter).help, kind: .counter,
          samples: overflows.sorted { $0.labels[0].value < $1.labels[0].value }))
    }
    for collect in collectors { result += collect() }
    return result.sorted { $0.name < $1.name }
  }

  /// Adds families that are computed at each snapshot, for example the process's memory. No
  /// counter, recorder or timer may use their names.
  public func addCollector(_ collect: @escaping @Sendable () -> [MetricFamily]) {
    state.withLock { $0.collectors.append(collect) }
  }

  // MARK: - MetricsFactory

  public func makeCounter(
    label: String, dimensions: [(String, String)]
  ) -> any CounterHandler { number(label, dimensions, .counter) }

  public func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler { number(label, dimensions, .counter) }

  public func makeMeter(
    label: String, dimensions: [(String, String)]
  ) -> any MeterHandler { number(label, dimensions, .gauge) }

  public func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    aggregate
      ? histogram(label, dimensions, isTimer: false) : number(label, dimensions, .gauge)
  }

  public func makeTimer(
    label: String, dimensions: [(String, String)]
  ) -> any TimerHandler { histogram(label, dimensions, isTimer: true) }

  // A series outlives its handler, because a counter must not start again from zero.
  public func destroyCounter(_ handler: any CounterHandler) {}
  public func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
  public func destroyMeter(_ handler: any MeterHandler) {}
  public func destroyRecorder(_ handler: any RecorderHandler) {}
  public func destroyTimer(_ handler: any TimerHandler) {}

  // MARK: - Series

  private func number(
    _ label: String, _ dimensions: [(String, String)], _ kind: MetricKind
  ) -> NumberSeries {
    let found = series(label, dimensions, kind) { _ in .number(NumberSeries()) }
    if case .number(let series) = found { return series }
    return NumberSeries()
  }

  private func histogram(
    _ label: String, _ dimensions: [(String, String)], isTimer: Bool
  ) -> HistogramSeries {
    let found = series(label, dimensions, .histogram, isTimer: isTimer) {
      .histogram(HistogramSeries(bounds: $0.buckets))
    }
    if case .histogram(let series) = found { return series }
    return HistogramSeries(bounds: Self.fallbackBuckets)
  }

  /// Finds or makes a series. `nil` means that the name has another kind, or that there are too
  /// many names. The caller then uses a series that is never exported, because a metric must never
  /// break the work that it measures.
  private func series(
    _ label: String, _ dimensions: [(String, String)], _ kind: MetricKind, isTimer: Bool = false,
    make: (MetricDescription) -> Series
  ) -> Series? {
    let handle = Handle(
      name: label, kind: kind, isTimer: isTimer, dimensions: dimensions.map(Attribute.init))
    if let known = state.withLock({ $0.handles[handle] }) { return known }
    let name = MetricName.make(label, kind, isTimer: isTimer)
    let labels = LabelSet(dimensions)
    return state.withLock { state in
      if state.families[name] == nil {
        guard state.families.count < Self.familyLimit else { return nil }
        state.families[name] = Family(description: describe(name, kind))
      }
      guard let family = state.families[name], family.description.kind == kind else { return nil }
      if let series = family.series[labels] {
        if labels.labels.allSatisfy({ $0.value.utf8.count < LabelSet.maxValueBytes }) {
          if state.handles.count >= Self.handleLimit { state.handles = [:] }
          state.handles[handle] = series
        }
        return series
      }
      guard family.series.count < seriesLimit else {
        state.families[name]?.overflows += 1
        if let series = family.series[.overflow] { return series }
        let series = make(family.description)
        state.families[name]?.series[.overflow] = series
        return series
      }
      let series = make(family.description)
      state.families[name]?.series[labels] = series
      return series
    }
  }

  private func describe(_ name: String, _ kind: MetricKind) -> MetricDescription {
    var description =
      catalogue[name] ?? MetricDescription(name, kind, "Not in the catalogue of metrics.")
    description.kind = kind
    if description.buckets.isEmpty { description.buckets = Self.fallbackBuckets }
    return description
  }
}
