import ClusterModel
import Foundation
import Logging
import Synchronization
import Testing

@testable import Telemetry

@Suite("Telemetry recorder")
struct RecorderTests {
  private func limits(_ change: (inout TelemetryLimits) -> Void) -> TelemetryLimits {
    var limits = TelemetryLimits()
    change(&limits)
    return limits
  }

  private func log(_ message: String, _ attributes: [Attribute] = []) -> LogRecord {
    LogRecord(
      timeUnixMicroseconds: 1, level: "info", service: "gateway", message: message,
      attributes: attributes)
  }

  @Test("a full buffer drops its oldest and counts it")
  func dropsOldest() {
    let registry = PrometheusRegistry()
    let recorder = TelemetryRecorder(
      service: "gateway", instance: "g", limits: limits { $0.logs = 3 }, registry: registry)
    for index in 0..<5 { recorder.record(log("\(index)")) }
    let batches = recorder.drain()
    #expect(batches.count == 1)
    #expect(batches[0].logs.map(\.message) == ["2", "3", "4"])
    let dropped = registry.snapshot().first { $0.name == "tutti_telemetry_dropped_total" }
    #expect(dropped?.samples == [.init(labels: [Attribute("kind", "log")], value: 2)])
  }

  @Test("a drained recorder has nothing more, and is in order again after wrapping around")
  func drains() {
    let recorder = TelemetryRecorder(
      service: "s", instance: "i", limits: limits { $0.logs = 2 })
    for index in 0..<3 { recorder.record(log("\(index)")) }
    #expect(recorder.drain().flatMap(\.logs).map(\.message) == ["1", "2"])
    #expect(recorder.drain().isEmpty)
    recorder.record(log("a"))
    #expect(recorder.drain().flatMap(\.logs).map(\.message) == ["a"])
  }

  @Test("batches stay below the limit, lose nothing and keep the order")
  func splits() {
    let recorder = TelemetryRecorder(
      service: "s", instance: "i", limits: limits { $0.batchBytes = 10_000 })
    for index in 0..<100 {
      recorder.record(log("\(index) " + String(repeating: "x", count: 1_000)))
    }
    let batches = recorder.drain()
    #expect(batches.count == 12)
    #expect(batches.allSatisfy { $0.service == "s" && $0.instance == "i" })
    #expect(batches.allSatisfy { $0.logs.reduce(0) { $0 + $1.message.utf8.count } <= 10_000 })
    let numbers = batches.flatMap(\.logs).map { $0.message.prefix { $0 != " " } }
    #expect(numbers == (0..<100).map { "\($0)" })
  }

  @Test("the shares and the finish reason of a request count for the size of its batch")
  func splitsRequests() {
    let recorder = TelemetryRecorder(
      service: "s", instance: "i", limits: limits { $0.batchBytes = 20_000 })
    let name = String(repeating: "n", count: 250)
    let share = HostShare(
      host: HostID(name), model: ModelID(name), promptTokens: 1, completionTokens: 1)
    for index in 0..<10 {
      recorder.record(
        RequestRecord(
          trace: TraceID(high: 0, low: 1), timeUnixMicroseconds: 1, endpoint: "/v1/completions",
          model: "m", pattern: "direct", stream: true, status: 200,
          finishReason: String(repeating: "r", count: 1 << 20),
          shares: Array(repeating: share, count: 16), totalMilliseconds: index))
    }
    let batches = recorder.drain()
    // A record has some 11 KB: 16 shares of 548 bytes, and 2,048 bytes of the finish reason.
    #expect(batches.map(\.requests.count) == Array(repeating: 1, count: 10))
    let requests = batches.flatMap(\.requests)
    #expect(requests.map(\.totalMilliseconds) == Array(0..<10))
    #expect(
      requests.allSatisfy {
        $0.finishReason.utf8.count == TelemetryLimits.standard.attributeBytes
      })
  }

  @Test("one record cannot be larger than a batch: long texts and many attributes are cut")
  func cutsRecords() {
    let recorder = TelemetryRecorder(service: "s", instance: "i")
    let huge = String(repeating: "é", count: 1 << 20)
    recorder.record(log(huge, (0..<1_000).map { Attribute("\($0)", huge) }))
    let batches = recorder.drain()
    #expect(batches.count == 1)
    #expect(batches[0].logs[0].message.utf8.count <= TelemetryLimits.standard.messageBytes)
    #expect(batches[0].logs[0].attributes.count == TelemetryLimits.standard.attributes)
    #expect(
      batches[0].logs[0].attributes.allSatisfy {
        $0.value.utf8.count <= TelemetryLimits.standard.attributeBytes
      })
  }

  @Test("a snapshot goes whole into one batch; what makes it too large is left out and counted")
  func metricsBatch() {
    let registry = PrometheusRegistry()
    registry.addCollector {
      [
        MetricFamily(name: "small", help: "", kind: .gauge, samples: [.init(value: 1)]),
        MetricFamily(
          name: "large", help: String(repeating: "x", count: 20_000), kind: .gauge, samples: []),
      ]
    }
    let recorder = TelemetryRecorder(
      service: "s", instance: "i", limits: limits { $0.batchBytes = 10_000 }, registry: registry)
    let batches = recorder.drain(metrics: true)
    #expect(batches.map { $0.metrics.map(\.name) } == [["small"]])
    let dropped = registry.snapshot().first { $0.name == "tutti_telemetry_dropped_total" }
    #expect(dropped?.samples.first?.value == 1)
  }

  @Test("a span without a context begins a trace; its children hang on it")
  func spans() throws {
    let recorder = TelemetryRecorder(service: "s", instance: "i", clock: { 42 })
    let root = recorder.span(.request, in: nil)
    let child = recorder.span(.inference, in: root.context)
    child.set("host", "a")
    child.set("host", "b")
    child.end(failed: true)
    child.end()
    root.end()
    let spans = recorder.drain().flatMap(\.spans)
    try #require(spans.count == 2)
    #expect(spans[0].name == "inference")
    #expect(spans[0].parent == spans[1].span)
    #expect(spans[0].trace == spans[1].trace)
    #expect(spans[0].failed)
    #expect(spans[0].attributes == [Attribute("host", "b")])
    #expect(spans[1].parent == .none)
    #expect(!spans[1].failed)
    #expect(spans[1].startUnixMicroseconds == 42)
  }
}

@Suite("Log lines")
struct LogLineTests {
  private func capture(
    _ format: LogFormat, level: Logger.Level = .trace, _ body: (Logger) -> Void
  ) -> (lines: [String], records: [LogRecord]) {
    let lines = Lines()
    let recorder = TelemetryRecorder(service: "gateway", instance: "g")
    let sink = LogSink(
      service: "gateway", format: format, recorder: recorder,
      clock: { 1_769_862_896_789_012 }, write: { lines.add($0) })
    body(Logger(label: "x") { _ in TelemetryLogHandler(sink: sink, level: level) })
    return (lines.all, recorder.drain().flatMap(\.logs))
  }

  private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
  }

  @Test("a JSON line has the facts under their keys and the trace in its own field")
  func json() {
    let trace = TraceID(high: 1, low: 2)
    let (lines, records) = capture(.json) { logger in
      logger.info("peer lost", metadata: [LogKey.trace: "\(trace)", LogKey.peer: "p#1"])
    }
    #expect(
      lines == [
        """
        {"time":"2026-01-31T12:34:56.789012Z","level":"info","service":"gateway",\
        "message":"peer lost","trace_id":"\(trace)","peer":"p#1"}

        """
      ])
    #expect(records.count == 1)
    #expect(records[0].trace == trace)
    #expect(records[0].attributes == [Attribute("peer", "p#1")])
  }

  @Test("nothing in a message or a value can begin a second line, in either format")
  func oneLine() throws {
    let nasty = "a\nb\r\"c\"\u{1B}[31m\u{2028}\u{85}\\"
    for format in [LogFormat.json, .text] {
      let (lines, _) = capture(format) { $0.info("\(nasty)", metadata: ["k\n": "\(nasty)"]) }
      #expect(lines.count == 1)
      let inner = lines[0].dropLast().unicodeScalars
      #expect(!inner.contains { $0.value < 0x20 || $0 == "\u{2028}" || $0 == "\u{85}" })
      if format == .json {
        let object = try JSONSerialization.jsonObject(with: Data(lines[0].utf8))
        let members = try #require(object as? [String: String])
        #expect(members["message"] == nasty)
      }
    }
  }

  @Test("metadata cannot replace the fields of the line")
  func forgedKeys() throws {
    let (lines, _) = capture(.json) { $0.info("real", metadata: ["message": "forged"]) }
    let object = try JSONSerialization.jsonObject(with: Data(lines[0].utf8))
    let members = try #require(object as? [String: String])
    #expect(members["message"] == "real")
    #expect(members["_message"] == "forged")
  }

  @Test("below the level nothing is written; below info nothing is recorded")
  func levels() {
    let (lines, records) = capture(.text, level: .debug) { logger in
      logger.trace("a")
      logger.debug("b")
      logger.info("c")
      logger.error("d")
    }
    #expect(lines.count == 3)
    #expect(records.map(\.message) == ["c", "d"])
    #expect(lines[1] == "12:34:56.789 INFO    gateway: c\n")
  }

  @Test("a huge value is cut")
  func hugeValue() {
    let huge = String(repeating: "x", count: 1 << 20)
    let (lines, _) = capture(.json) { $0.info("\(huge)", metadata: ["k": "\(huge)"]) }
    #expect(lines[0].utf8.count < 20_000)
  }

  @Test("a line of a file is the JSON of the record that the monitor's API returns")
  func oneForm() throws {
    let trace = TraceID(high: 1, low: 2)
    let (lines, records) = capture(.json) { logger in
      logger.error(
        "real",
        metadata: [
          LogKey.trace: "\(trace)", "message": "forged", "_message": "twice", "time": "never",
          LogKey.host: "a\n\"b\"",
        ])
    }
    let line = try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: String]
    let record = try JSONSerialization.jsonObject(with: JSONEncoder().encode(records[0]))
    #expect(line == record as? [String: String])
    #expect(line?["time"] == "2026-01-31T12:34:56.789012Z")
    #expect(line?["_time"] == "never")
  }
}
