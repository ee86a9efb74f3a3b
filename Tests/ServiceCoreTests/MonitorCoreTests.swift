import ClusterModel
import ClusterTesting
import MonitorCore
import Testing

@Suite("The metrics of all processes")
struct MetricRollupTests {
  private func family(
    _ name: String, _ kind: MetricKind, _ samples: [MetricFamily.Sample]
  ) -> MetricFamily {
    MetricFamily(name: name, help: "help of \(name)", kind: kind, samples: samples)
  }

  private func family(_ name: String, _ samples: [MetricFamily.Sample]) -> MetricFamily {
    family(name, .counter, samples)
  }

  private func sample(
    _ value: Double, _ labels: [(String, String)] = [], suffix: String = ""
  ) -> MetricFamily.Sample {
    MetricFamily.Sample(
      suffix: suffix, labels: labels.map { Attribute($0.0, $0.1) }, value: value)
  }

  private func histogram(_ counts: [Double]) -> MetricFamily {
    family(
      "t_seconds", .histogram,
      zip(["0.1", "1", "+Inf"], counts).map { sample($1, [("le", $0)], suffix: "_bucket") }
        + [sample(2.5, suffix: "_sum"), sample(counts[2], suffix: "_count")])
  }

  @Test("are joined by name, each sample with its service and instance")
  func joined() throws {
    var rollup = MetricRollup()
    rollup.received(
      service: "gateway", instance: "gateway-2", families: [family("a_total", [sample(2)])],
      now: at(0))
    rollup.received(
      service: "gateway", instance: "gateway-1",
      families: [family("b", .gauge, [sample(7)]), family("a_total", [sample(1, [("k", "v")])])],
      now: at(0))
    let families = rollup.families(now: at(1))
    #expect(families.map(\.name) == ["a_total", "b"])
    #expect(
      families[0].samples == [
        sample(1, [("service", "gateway"), ("instance", "gateway-1"), ("k", "v")]),
        sample(2, [("service", "gateway"), ("instance", "gateway-2")]),
      ])
  }

  @Test("a snapshot replaces the process's last one")
  func replaced() {
    var rollup = MetricRollup()
    for value in [1.0, 2.0] {
      rollup.received(
        service: "s", instance: "s-1", families: [family("a_total", [sample(value)])], now: at(0))
    }
    // A batch with only logs carries no snapshot.
    rollup.received(service: "s", instance: "s-1", families: [], now: at(0))
    #expect(rollup.families(now: at(0))[0].samples.map(\.value) == [2])
  }

  @Test("metrics of a process that is silent for half a minute are dropped, others stay")
  func silence() {
    var rollup = MetricRollup()
    rollup.received(
      service: "s", instance: "s-1", families: [family("a_total", [sample(1)])], now: at(0))
    rollup.received(
      service: "s", instance: "s-2", families: [family("b_total", [sample(1)])], now: at(20))
    #expect(rollup.families(now: at(29)).map(\.name) == ["a_total", "b_total"])
    #expect(rollup.families(now: at(30)).map(\.name) == ["b_total"])
    #expect(rollup.instances == ["s-2"])
  }

  @Test("a family of two kinds keeps the first one until no process reports it")
  func conflict() {
    var rollup = MetricRollup()
    rollup.received(
      service: "s", instance: "z", families: [family("x", .gauge, [sample(1)])], now: at(0))
    let other = family("x", .counter, [sample(2), sample(3, [("k", "v")])])
    rollup.received(service: "s", instance: "a", families: [other], now: at(1))
    let first = rollup.families(now: at(1))[0]
    #expect(first.kind == .gauge)
    #expect(first.samples.map(\.value) == [1])
    #expect(rollup.leftOut == [.kindConflict: 2])
    rollup.received(service: "s", instance: "a", families: [other], now: at(40))
    let second = rollup.families(now: at(40))[0]
    #expect(second.kind == .counter)
    #expect(second.samples.map(\.value) == [2, 3])
  }

  @Test("a histogram stays whole, in its order, for each instance")
  func histograms() {
    var rollup = MetricRollup()
    for (instance, counts) in [("b", [1.0, 2, 3]), ("a", [0.0, 0, 9])] {
      rollup.received(service: "s", instance: instance, families: [histogram(counts)], now: at(0))
    }
    let joined = rollup.families(now: at(0))[0]
    #expect(joined.kind == .histogram)
    #expect(joined.samples.map(\.value) == [0, 0, 9, 2.5, 9, 1, 2, 3, 2.5, 3])
    #expect(
      joined.samples.map(\.suffix).prefix(5) == ["_bucket", "_bucket", "_bucket", "_sum", "_count"])
    #expect(joined.samples[1].labels.last == Attribute("le", "1"))
  }

  @Test("samples that Prometheus would refuse are left out and counted")
  func refused() {
    var rollup = MetricRollup()
    rollup.received(
      service: "s", instance: "s-1",
      families: [
        family("1bad", [sample(1)]), family("bad name", [sample(1)]), family("", [sample(1)]),
        family(
          "good", .gauge,
          [
            sample(1), sample(2, [("bad-label", "v")]), sample(3, [("le", "1")]),
            sample(4, suffix: "_bucket"), sample(5, [("k", "1"), ("k", "2")]), sample(6),
            sample(7, [("k", "any\n\"value\"")]),
          ]),
        family("good", .gauge, [sample(8)]),
      ], now: at(0))
    let families = rollup.families(now: at(0))
    #expect(families.map(\.name) == ["good"])
    #expect(families[0].samples.map(\.value) == [1, 7])
    #expect(rollup.leftOut == [.badName: 7, .duplicate: 2])
  }

  @Test("a process's own service and instance labels keep their values under other names")
  func labels() {
    var rollup = MetricRollup()
    rollup.received(
      service: "s", instance: "i",
      families: [family("a", .gauge, [sample(1, [("service", "x"), ("instance", "y")])])],
      now: at(0))
    #expect(
      rollup.families(now: at(0))[0].samples[0].labels == [
        Attribute("service", "s"), Attribute("instance", "i"), Attribute("exported_service", "x"),
        Attribute("exported_instance", "y"),
      ])
  }

  @Test("more instances or samples than allowed are counted, never kept")
  func limits() {
    var limits = MetricRollup.Limits()
    limits.instances = 2
    limits.samplesPerInstance = 3
    limits.samples = 4
    var rollup = MetricRollup(limits: limits)
    func samples(_ count: Int) -> [MetricFamily.Sample] {
      (0..<count).map { sample(Double($0), [("n", "\($0)")]) }
    }
    rollup.received(
      service: "s", instance: "a",
      families: [family("x", .gauge, samples(4)), family("y", .gauge, samples(3))], now: at(0))
    rollup.received(
      service: "s", instance: "b",
      families: [family("y", .gauge, samples(2)), family("z", .gauge, samples(1))], now: at(0))
    rollup.received(
      service: "s", instance: "c", families: [family("z", .gauge, samples(1))], now: at(0))
    let families = rollup.families(now: at(0))
    #expect(families.map(\.name) == ["y", "z"])
    #expect(rollup.leftOut == [.tooMany: 4 + 2 + 1])
    #expect(rollup.instances == ["a", "b"])
  }
}

@Suite("A trace")
struct TraceTreeTests {
  private func span(_ id: UInt64, under parent: UInt64, at start: UInt64) -> SpanRecord {
    SpanRecord(
      trace: TraceID(high: 1, low: 1), span: SpanID(id), parent: SpanID(parent), service: "s",
      name: "n\(id)", startUnixMicroseconds: start, durationMicroseconds: 1)
  }

  private func lines(_ spans: [SpanRecord]) -> [String] {
    TraceTree(spans).nodes.map {
      String(repeating: "-", count: $0.depth) + "\($0.span.span.value)" + ($0.orphan ? "?" : "")
    }
  }

  @Test("is read from the top: every span after its parent, siblings by their start")
  func order() {
    let spans = [
      span(4, under: 2, at: 5), span(3, under: 1, at: 4), span(2, under: 1, at: 9),
      span(1, under: 0, at: 1), span(5, under: 3, at: 2),
    ]
    #expect(lines(spans) == ["1", "-3", "--5", "-2", "--4"])
    #expect(lines([]) == [])
  }

  @Test("a span without its parent is at the top, and no span is listed twice")
  func orphans() {
    #expect(
      lines([span(2, under: 9, at: 2), span(3, under: 2, at: 3), span(2, under: 9, at: 2)])
        == ["2?", "-3"])
  }

  @Test("spans that are each other's ancestors are all shown once")
  func cycle() {
    #expect(
      lines([span(1, under: 2, at: 1), span(2, under: 1, at: 2), span(3, under: 3, at: 3)])
        == ["1?", "-2", "3?"])
  }

  @Test("a chain of ten thousand spans is no problem")
  func deep() {
    let spans = (1...10_000).map { span(UInt64($0), under: UInt64($0 - 1), at: UInt64($0)) }
    #expect(TraceTree(spans.reversed()).nodes.last?.depth == 9_999)
  }

  @Test("every span is there exactly once, whatever its parents", arguments: 1...30)
  func everyone(_ seed: UInt64) {
    var rng = SeededGenerator(seed: seed)
    let spans = (1...60).map {
      span(
        UInt64($0), under: UInt64.random(in: 0...70, using: &rng),
        at: UInt64.random(in: 0...20, using: &rng))
    }
    let nodes = TraceTree(spans).nodes
    #expect(nodes.map(\.span.span.value).sorted() == Array(1...60), "seed \(seed)")
    var depths: [SpanID: Int] = [:]
    for node in nodes {
      if node.depth > 0 {
        #expect(depths[node.span.parent] == node.depth - 1, "seed \(seed)")
      }
      depths[node.span.span] = node.depth
    }
  }
}

@Suite("Telemetry that waits to be written")
struct PendingTelemetryTests {
  private func batch(_ first: Int, _ count: Int) -> TelemetryBatch {
    TelemetryBatch(
      service: "s", instance: "s-1",
      logs: (first..<first + count).map {
        LogRecord(timeUnixMicroseconds: UInt64($0), level: "info", service: "s", message: "")
      })
  }

  private func times(_ batches: [TelemetryBatch]) -> [UInt64] {
    batches.flatMap(\.logs).map(\.timeUnixMicroseconds)
  }

  @Test("comes out in its order, in portions")
  func portions() {
    var pending = PendingTelemetry(capacity: 100)
    for first in stride(from: 0, to: 12, by: 4) { #expect(pending.append(batch(first, 4)) == 0) }
    #expect(times(pending.take(atMost: 9)) == Array(0..<8))
    #expect(times(pending.take(atMost: 1)) == Array(8..<12))
    #expect(pending.take(atMost: 5) == [])
    #expect(pending.isEmpty)
  }

  @Test("a batch of metrics only leaves nothing to write, and metrics are never kept")
  func metrics() {
    var pending = PendingTelemetry()
    let metric = MetricFamily(name: "m", help: "", kind: .gauge, samples: [])
    #expect(pending.append(TelemetryBatch(service: "s", instance: "s", metrics: [metric])) == 0)
    #expect(pending.isEmpty)
    var both = batch(0, 1)
    both.metrics = [metric]
    _ = pending.append(both)
    #expect(pending.take(atMost: 1).first?.metrics == [])
  }

  @Test("records that could not be written come before newer ones, and the oldest is dropped first")
  func putBack() {
    var pending = PendingTelemetry(capacity: 10)
    _ = pending.append(batch(0, 4))
    let taken = pending.take(atMost: 4)
    _ = pending.append(batch(4, 4))
    #expect(pending.putBack(taken) == 0)
    #expect(pending.append(batch(8, 4)) == 4)
    #expect(pending.records == 8)
    #expect(times(pending.take(atMost: 100)) == Array(4..<12))
  }

  @Test("one batch stays, however large")
  func large() {
    var pending = PendingTelemetry(capacity: 3)
    #expect(pending.append(batch(0, 2)) == 0)
    #expect(pending.append(batch(2, 9)) == 2)
    #expect(pending.records == 9)
  }

  @Test("counts what it has and what it dropped", arguments: 1...20)
  func sums(_ seed: UInt64) {
    var rng = SeededGenerator(seed: seed)
    var pending = PendingTelemetry(capacity: 50)
    var inside = 0
    var next = 0
    for _ in 0..<300 {
      if Bool.random(using: &rng) {
        let count = Int.random(in: 0...20, using: &rng)
        inside += count - pending.append(batch(next, count))
        next += count
      } else {
        let taken = pending.take(atMost: Int.random(in: 1...40, using: &rng))
        inside -= taken.reduce(0) { $0 + $1.records }
        if Bool.random(using: &rng) {
          inside += taken.reduce(0) { $0 + $1.records } - pending.putBack(taken)
        }
      }
      #expect(pending.records == inside, "seed \(seed)")
      #expect(pending.records <= 50, "seed \(seed)")
    }
  }
}

@Suite("The monitor's first page")
struct OverviewPageTests {
  private func page(hosts: [Host] = [], requests: [RequestRecord] = [], problem: String? = nil)
    -> String
  {
    OverviewPage(
      version: "9",
      peers: [
        Peer(
          id: PeerID(name: "gateway<1>", incarnation: 1), service: .other("<b>"), mailbox: "m",
          ttl: .seconds(1))
      ], hosts: hosts, requests: requests, problem: problem, nowUnixMicroseconds: 90_000_000
    ).html
  }

  @Test("text of outsiders is shown as text in every place")
  func escaped() {
    let evil = "<script>alert('\"&')</script>"
    let host = Host(
      id: HostID(evil), url: evil, state: .ready, reason: evil,
      models: [ModelOffer(id: ModelID(evil))])
    let request = RequestRecord(
      trace: TraceID(high: 1, low: 2), timeUnixMicroseconds: 1, endpoint: evil, model: evil,
      pattern: evil, stream: false, status: 500, errorCode: evil, host: evil, totalMilliseconds: 7)
    let html = page(hosts: [host], requests: [request], problem: evil)
    #expect(!html.contains("<script"))
    #expect(!html.contains("<b>"))
    #expect(!html.contains("gateway<1>"))
    #expect(
      html.contains("&lt;script&gt;alert(&#39;&quot;&amp;&#39;)&lt;/script&gt;"), "\(html)")
  }

  @Test("it shows the values and their age, and links to other pages")
  func content() {
    let models = (1...12).map { ModelOffer(id: ModelID("m\($0)")) }
    let hosts = (1...120).map { number in
      Host(
        id: HostID("h\(number)"), url: "http://h", state: number == 1 ? .unreachable : .ready,
        models: models)
    }
    let request = RequestRecord(
      trace: TraceID(high: 1, low: 2), timeUnixMicroseconds: 50_000_000, endpoint: "/v1",
      model: "tutti/fast", pattern: "direct", stream: true, status: 200, host: "h1",
      totalMilliseconds: 7)
    let html = page(hosts: hosts, requests: [request])
    for part in [
      "href=\"/metrics\"", "href=\"/logs", "href=\"/requests\"", "unreachable", "and 4 more",
      "And 20 more.", "40 s ago", "href=\"/traces/\(request.trace)\"", "tutti/fast",
    ] { #expect(html.contains(part), "\(part)") }
    #expect(page().contains("tutti hosts add"))
  }
}
