import ClusterModel
import CoreMetrics
import Foundation
import Synchronization
import Testing

@testable import Telemetry

@Suite("Prometheus")
struct PrometheusTests {
  private func counter(
    _ registry: PrometheusRegistry, _ name: String, _ labels: [(String, String)] = []
  ) -> Counter { Counter(label: name, dimensions: labels, factory: registry) }

  @Test("counters with the same name and labels are one series, whatever the labels' order")
  func oneSeries() {
    let registry = PrometheusRegistry()
    counter(registry, "tutti_x_total", [("a", "1"), ("b", "2")]).increment()
    counter(registry, "tutti_x_total", [("b", "2"), ("a", "1")]).increment(by: 2)
    #expect(
      registry.snapshot().first?.samples == [
        .init(labels: [Attribute("a", "1"), Attribute("b", "2")], value: 3)
      ])
  }

  @Test("names get the endings that their kind wants")
  func names() {
    #expect(MetricName.make("tutti.requests", .counter) == "tutti_requests_total")
    #expect(MetricName.make("tutti_requests_total", .counter) == "tutti_requests_total")
    #expect(MetricName.make("latency", .histogram, isTimer: true) == "latency_seconds")
    #expect(MetricName.make("depth_count", .gauge) == "depth_count_value")
    #expect(MetricName.make("9 lives", .gauge) == "_9_lives")
    #expect(MetricName.make("", .gauge) == "_")
    #expect(MetricName.label("le") == "le_label")
    #expect(MetricName.label("__name__") == "label__name__")
  }

  @Test("beyond the limit of label sets, further ones share one series and are counted")
  func seriesLimit() throws {
    let registry = PrometheusRegistry(seriesLimit: 3)
    for index in 0..<10 { counter(registry, "tutti_x_total", [("who", "\(index)")]).increment() }
    let families = registry.snapshot()
    let family = try #require(families.first { $0.name == "tutti_x_total" })
    #expect(family.samples.count == 4)
    let shared = family.samples.first { $0.labels == [Attribute("overflow", "true")] }
    #expect(shared?.value == 7)
    let overflow = try #require(families.first { $0.name == "tutti_metrics_overflow_total" })
    #expect(
      overflow.samples == [.init(labels: [Attribute("metric", "tutti_x_total")], value: 7)])
    // A known label set keeps its own counter.
    counter(registry, "tutti_x_total", [("who", "0")]).increment()
    let again = registry.snapshot().first { $0.name == "tutti_x_total" }
    #expect(again?.samples.first { $0.labels == [Attribute("who", "0")] }?.value == 2)
  }

  @Test("a name used for two kinds keeps the first and breaks nothing")
  func kindConflict() {
    let registry = PrometheusRegistry()
    Gauge(label: "tutti_x", factory: registry).record(5)
    let other = Recorder(label: "tutti_x", dimensions: [], aggregate: true, factory: registry)
    other.record(1)
    #expect(registry.snapshot().map(\.kind) == [.gauge])
    #expect(registry.snapshot().first?.samples.first?.value == 5)
  }

  @Test("a histogram's buckets are cumulative, end in +Inf and agree with its count")
  func histogram() throws {
    let catalogue = MetricCatalogue([
      MetricCatalogue.Section(
        "Test", [MetricDescription("tutti_t_seconds", .histogram, "Time.", buckets: [0.1, 1])])
    ])
    let registry = PrometheusRegistry(catalogue: catalogue)
    let timer = Timer(label: "tutti_t_seconds", dimensions: [], factory: registry)
    for milliseconds in [50, 100, 500, 5_000] { timer.recordMilliseconds(milliseconds) }
    let text = PrometheusText.render(registry.snapshot())
    #expect(
      text == """
        # HELP tutti_t_seconds Time.
        # TYPE tutti_t_seconds histogram
        tutti_t_seconds_bucket{le="0.1"} 2
        tutti_t_seconds_bucket{le="1"} 3
        tutti_t_seconds_bucket{le="+Inf"} 4
        tutti_t_seconds_sum 5.65
        tutti_t_seconds_count 4

        """)
  }

  @Test("buckets ascend, and those of requests reach the longest deadline of a request")
  func buckets() throws {
    for description in MetricCatalogue.tutti.descriptions.values
    where description.kind == .histogram {
      let ordered = zip(description.buckets, description.buckets.dropFirst()).allSatisfy { $0 < $1 }
      #expect(ordered && !description.buckets.isEmpty, "\(description.name)")
    }
    for name in [
      "tutti_http_request_seconds", "tutti_gateway_request_seconds",
      "tutti_gateway_first_token_seconds", "tutti_inference_seconds",
      "tutti_inference_first_token_seconds", "tutti_agent_task_seconds",
    ] {
      let description = try #require(MetricCatalogue.tutti[name])
      #expect(description.buckets.last == 3_600, "\(name)")
    }
  }

  @Test("meters go up and down, counters ignore what is not a count")
  func numbers() {
    let registry = PrometheusRegistry()
    let meter = Meter(label: "tutti_m", factory: registry)
    meter.set(3)
    meter.increment(by: 2)
    meter.decrement(by: 4)
    let counter = FloatingPointCounter(label: "tutti_c_total", dimensions: [], factory: registry)
    counter.increment(by: 0.5)
    counter.increment(by: Double.nan)
    counter.increment(by: -1.0)
    let values = registry.snapshot().map { $0.samples[0].value }
    #expect(values == [0.5, 1])
  }

  @Test("help and label values are escaped so that they cannot break a line")
  func escaping() {
    let text = PrometheusText.render([
      MetricFamily(
        name: "x", help: "a\\b\nc\"d", kind: .gauge,
        samples: [.init(labels: [Attribute("l", "q\"b\\s\nn\r")], value: .infinity)])
    ])
    #expect(
      text == "# HELP x a\\\\b\\nc\"d\n# TYPE x gauge\nx{l=\"q\\\"b\\\\s\\nn \"} +Inf\n")
  }

  @Test("families of several processes are written once, duplicates and other kinds left out")
  func merging() {
    func family(_ kind: MetricKind, _ instance: String, _ value: Double) -> MetricFamily {
      MetricFamily(name: "x", help: "X.", kind: kind, samples: [.init(value: value)])
        .labelled([Attribute("instance", instance)])
    }
    let text = PrometheusText.render([
      family(.gauge, "a", 1), family(.gauge, "b", 2), family(.gauge, "a", 3),
      family(.counter, "c", 4),
    ])
    #expect(
      text == "# HELP x X.\n# TYPE x gauge\nx{instance=\"a\"} 1\nx{instance=\"b\"} 2\n")
  }

  @Test("a label of the process beats one of the sample's own")
  func labelled() {
    let family = MetricFamily(
      name: "x", help: "", kind: .gauge,
      samples: [.init(labels: [Attribute("service", "forged"), Attribute("a", "1")], value: 1)])
    #expect(
      family.labelled([Attribute("service", "gateway")]).samples[0].labels
        == [Attribute("service", "gateway"), Attribute("a", "1")])
  }

  @Test("label values are cut at a whole character")
  func longLabels() {
    #expect("aé".cut(toBytes: 2) == "a")
    #expect("aé".cut(toBytes: 3) == "aé")
    #expect(String(repeating: "é", count: 200).cut(toBytes: LabelSet.maxValueBytes).count == 100)
  }

  @Test("promtool finds nothing to complain about in the whole catalogue")
  func promtool() throws {
    let registry = PrometheusRegistry()
    for description in MetricCatalogue.tutti.descriptions.values {
      let labels = [("reason", "a \"quoted\" \\ value\nwith a line break")]
      switch description.kind {
      case .counter: counter(registry, description.name, labels).increment()
      case .gauge: Gauge(label: description.name, dimensions: labels, factory: registry).record(1.5)
      case .histogram:
        if description.name.hasSuffix("_seconds") {
          Timer(label: description.name, dimensions: labels, factory: registry)
            .recordNanoseconds(1_500_000)
        } else {
          Recorder(
            label: description.name, dimensions: labels, aggregate: true, factory: registry
          ).record(3)
        }
      }
    }
    let families = registry.snapshot()
    #expect(Set(families.map(\.name)) == Set(MetricCatalogue.tutti.descriptions.keys))
    let one = families.map { $0.labelled([Attribute("instance", "a")]) }
    let two = families.map { $0.labelled([Attribute("instance", "b")]) }
    let (status, output) = try Promtool.check(PrometheusText.render(one + two))
    #expect(status == 0, "\(output)")
    #expect(output.isEmpty, "\(output)")
  }

  @Test("promtool does complain about text that is wrong, so the test above can fail")
  func promtoolComplains() throws {
    #expect(try Promtool.check("# TYPE x counter\nx 1\n").0 != 0)
  }
}

/// Runs promtool, Prometheus's own checker.
enum Promtool {
  static func check(_ text: String) throws -> (Int32, String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["promtool", "check", "metrics"]
    let input = Pipe()
    let output = Pipe()
    process.standardInput = input
    process.standardOutput = output
    process.standardError = output
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    try input.fileHandleForWriting.close()
    let said = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    try #require(
      process.terminationStatus != 127,
      "promtool is missing: `make setup` installs it (Debian: apt-get install prometheus)")
    return (process.terminationStatus, String(decoding: said, as: UTF8.self))
  }
}
