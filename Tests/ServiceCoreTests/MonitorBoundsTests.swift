import ClusterModel
import Limits
import MonitorCore
import Testing

@Suite("Bounds on what the monitor is told")
struct MonitorBoundsTests {
  private let now = Instant.zero
  private let long = "a" + String(repeating: "\u{301}", count: 100_000)

  private func family(_ name: String, labels: [Attribute]) -> MetricFamily {
    MetricFamily(
      name: name, help: long, kind: .gauge,
      samples: [MetricFamily.Sample(labels: labels, value: 1)])
  }

  @Test("labels of many bytes or in great number are left out and counted")
  func labels() {
    var rollup = MetricRollup()
    let many = (0..<17).map { Attribute("k\($0)", "v") }
    rollup.received(
      service: "s", instance: "a",
      families: [
        family("x", labels: [Attribute("k", long)]), family("y", labels: [Attribute(long, "v")]),
        family("z", labels: many), family("good", labels: [Attribute("k", "v")]),
      ], now: now)
    #expect(rollup.leftOut == [.badName: 3])
    let families = rollup.families(now: now)
    #expect(families.map(\.name).contains("good"))
    #expect(families.allSatisfy { $0.help.utf8.count <= Limits.telemetryAttributeBytes.value })
  }

  @Test("one process cannot take the room of the others, nor fill the memory with names")
  func bytes() {
    var limits = MetricRollup.Limits()
    limits.bytesPerInstance = 10_000
    limits.bytes = 15_000
    limits.familiesPerInstance = 10
    var rollup = MetricRollup(limits: limits)
    func series(_ count: Int) -> MetricFamily {
      MetricFamily(
        name: "x", help: "", kind: .gauge,
        samples: (0..<count).map {
          MetricFamily.Sample(labels: [Attribute("n", "\($0)")], value: 1)
        })
    }
    rollup.received(service: "s", instance: "a", families: [series(1_000)], now: now)
    #expect(rollup.leftOut == [.tooMany: 1_000])
    rollup.received(service: "s", instance: "b", families: [series(50)], now: now)
    #expect(rollup.families(now: now).first { $0.name == "x" }?.samples.count == 50)
    for round in 0..<1_000 {
      rollup.received(
        service: "s", instance: "a",
        families: (0..<20).map {
          MetricFamily(name: "f\(round)_\($0)", help: "", kind: .gauge, samples: [.init(value: 1)])
        }, now: now)
    }
    #expect(rollup.families(now: now).count <= 12)
  }

  @Test("records are cut before they are kept, and a process reports only for itself")
  func records() throws {
    let attributes = (0..<100).map { Attribute("\($0)" + long, long) }
    let trace = TraceID(high: 1, low: 1)
    let batch = TelemetryIntake.bounded(
      TelemetryBatch(
        service: long, instance: "somebody else",
        logs: [
          LogRecord(
            timeUnixMicroseconds: 1, level: long, service: long, message: long,
            attributes: attributes)
        ],
        spans: [
          SpanRecord(
            trace: trace, span: SpanID(1), parent: .none, service: long, name: long,
            startUnixMicroseconds: 1, durationMicroseconds: 1, attributes: attributes)
        ],
        requests: [
          RequestRecord(
            trace: trace, timeUnixMicroseconds: 1, endpoint: long, model: long, pattern: long,
            stream: false, status: 200, errorCode: long, host: long, finishReason: long,
            shares: [
              HostShare(
                host: HostID(long), model: ModelID(long), promptTokens: 1, completionTokens: 2,
                cost: .zero)
            ], totalMilliseconds: 1)
        ]), from: "agent-1")
    #expect(batch.instance == "agent-1")
    let label = Limits.telemetryLabelBytes.value
    let log = try #require(batch.logs.first)
    #expect([batch.service, log.level, log.service].allSatisfy { $0.utf8.count <= label })
    #expect(log.message.utf8.count <= Limits.telemetryMessageBytes.value)
    for kept in [log.attributes, batch.spans.first?.attributes ?? []] {
      #expect(kept.count == Limits.telemetryAttributes.value)
      #expect(kept.allSatisfy { $0.key.utf8.count <= label })
      #expect(kept.allSatisfy { $0.value.utf8.count <= Limits.telemetryAttributeBytes.value })
    }
    let request = try #require(batch.requests.first)
    #expect(
      [
        request.endpoint, request.model, request.pattern, request.errorCode, request.host,
        request.finishReason,
      ].allSatisfy { $0.utf8.count <= label })
    let share = try #require(request.shares.first)
    #expect(share.host.name.utf8.count <= label && share.model.name.utf8.count <= label)
    #expect(share.totalTokens == 3 && share.cost == .zero)
  }

  @Test("telemetry that waits for the store is bounded in bytes, too")
  func pending() {
    var pending = PendingTelemetry(bytes: 100_000)
    var dropped = 0
    for number in 0..<100 {
      dropped += pending.append(
        TelemetryBatch(
          service: "s", instance: "s",
          logs: [
            LogRecord(
              timeUnixMicroseconds: UInt64(number), level: "info", service: "s",
              message: String(repeating: "x", count: 8_000))
          ]))
    }
    #expect(pending.bytes <= 100_000 && pending.records + dropped == 100)
    #expect(pending.records == 12)
    let taken = pending.take(atMost: 1_000)
    #expect(pending.bytes == 0)
    #expect(pending.putBack(taken) == 0 && pending.records == 12)
  }

  @Test("the shares of requests that wait for the store count, too")
  func pendingShares() {
    var pending = PendingTelemetry(bytes: 100_000)
    let name = String(repeating: "n", count: 200)
    let share = HostShare(
      host: HostID(name), model: ModelID(name), promptTokens: 1, completionTokens: 1)
    for number in 0..<100 {
      _ = pending.append(
        TelemetryBatch(
          service: "s", instance: "s",
          requests: [
            RequestRecord(
              trace: TraceID(high: 1, low: 1), timeUnixMicroseconds: UInt64(number),
              endpoint: "/v1/completions", model: "m", pattern: "direct", stream: false,
              status: 200, shares: Array(repeating: share, count: 16), totalMilliseconds: 1)
          ]))
    }
    // A record has 256 bytes, and 464 for each of its 16 shares.
    #expect(pending.bytes <= 100_000 && pending.records == 13)
  }
}
