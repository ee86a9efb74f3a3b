import ClusterModel
import CommandLineCore
import Foundation
import Testing

@Suite("Recorded requests in the command line")
struct RequestRowsTests {
  private func record(
    status: Int = 200, at time: UInt64 = 1_000_000, took milliseconds: Int = 2_000,
    shares: [HostShare] = []
  ) -> RequestRecord {
    RequestRecord(
      trace: TraceID(high: 0, low: 0xA1), timeUnixMicroseconds: time,
      endpoint: "/v1/chat/completions", model: "tutti/fast", pattern: "direct", stream: true,
      status: status, errorCode: status == 200 ? "" : "upstream_failed", host: "a",
      usage: Usage(promptTokens: 3, completionTokens: 5), finishReason: "length",
      cost: CreditAmount(millionths: 20), hostCost: CreditAmount(millionths: 13), shares: shares,
      totalMilliseconds: milliseconds)
  }

  private let shares = [
    HostShare(
      host: "a", model: "m", promptTokens: 3, completionTokens: 5,
      cost: CreditAmount(millionths: 13)),
    HostShare(host: "b", model: "m", promptTokens: 3, completionTokens: 1),
  ]

  @Test("a request has its tokens, both costs, and how it ended")
  func table() throws {
    let row = try #require(RequestRows.table([record(shares: shares)]).lines.last)
    for part in ["1970-01-01T00:00:01", "200", "a and 1 more", "0.00002", "0.000013", "cut"] {
      #expect(row.contains(part), "\(part) in \(row)")
    }
    #expect(RequestRows.line(record(status: 502)).hasSuffix("upstream_failed"))
  }

  @Test("the shares of a request have a sum, and an unknown cost is no zero")
  func shareTable() {
    let lines = RequestRows.shares(record(shares: shares))
    #expect(lines[2].split(separator: " ") == ["b", "m", "3", "1", "4", "-"], "\(lines)")
    #expect(lines[3].split(separator: " ") == ["total", "6", "6", "12", "0.000013"], "\(lines)")
    #expect(lines.suffix(2) == ["cost 0.00002 credits", "the answer was cut after 5 tokens"])
  }

  @Test("a filter takes one status or all of a kind")
  func statuses() {
    #expect(StatusFilter("5xx")?.permits(record(status: 502)) == true)
    #expect(StatusFilter("5xx")?.permits(record(status: 499)) == false)
    #expect(StatusFilter("499")?.permits(record(status: 499)) == true)
    for text in ["", "5", "6xx", "0xx", "xxx", "4 4", "4x9", "5000"] {
      #expect(StatusFilter(text) == nil, "\(text)")
    }
  }

  @Test("a trace is complete when its request has ended and no more spans arrive")
  func arrival() {
    let record = record()
    func areComplete(
      _ reads: [(spans: Int, requests: [RequestRecord], now: UInt64)]
    ) -> [Bool] {
      var arrival = TraceArrival()
      return reads.map {
        arrival.isComplete(spans: $0.spans, requests: $0.requests, now: $0.now)
      }
    }
    // The request ended at 3 s.
    #expect(
      areComplete([
        (0, [], 3_100_000), (4, [record], 3_400_000), (6, [record], 4_500_000),
        (6, [record], 5_000_000), (6, [record], 5_700_000),
      ]) == [false, false, false, false, true])
    // An old trace needs one read.
    #expect(areComplete([(6, [record], 8_000_000)]) == [true])
    let running = (4...19).map { (spans: 6, requests: [RequestRecord](), now: $0 * 1_000_000) }
    #expect(!areComplete(running.map { ($0.spans, $0.requests, UInt64($0.now)) }).contains(true))
  }
}

@Suite("The end of an answer in the command line")
struct AnswerEndingTests {
  private func step(_ json: String) throws -> ProgressStep {
    try JSONDecoder().decode(ProgressStep.self, from: Data(json.utf8))
  }

  @Test("only the last task's substitute is reported, and only if it stands in")
  func substitute() throws {
    var ending = AnswerEnding()
    ending.record(
      try step(
        #"{"event":"planned","tasks":[{"task":"draft","inputs":[]},"#
          + #"{"task":"answer","inputs":["draft"]}]}"#))
    ending.record(
      try step(#"{"event":"task_ended","task":"draft","status":"degraded","text_of":"x"}"#))
    #expect(ending.lines(maxTokens: nil) == [])
    ending.record(
      try step(
        #"{"event":"task_ended","task":"answer","status":"degraded","reason":"lost","#
          + #""text_of":"draft"}"#))
    #expect(ending.lines(maxTokens: nil) == ["the answer is draft's text: lost"])
    ending.record(try step(#"{"event":"task_ended","task":"answer","status":"done"}"#))
    #expect(ending.lines(maxTokens: nil) == [])
  }

  @Test("a cut names the limit of the client, or another one")
  func cut() {
    var ending = AnswerEnding()
    ending.finishReason = "stop"
    #expect(ending.lines(maxTokens: 5) == [])
    ending.finishReason = "length"
    ending.completionTokens = 5
    #expect(
      ending.lines(maxTokens: 5).map { $0.hasPrefix("cut at 5 tokens (max_tokens)") } == [true])
    #expect(ending.lines(maxTokens: 9).map { $0.hasPrefix("cut after 5 tokens at") } == [true])
    #expect(ending.lines(maxTokens: nil).map { $0.hasPrefix("cut after 5 tokens at") } == [true])
    ending.hasRepetition = true
    #expect(ending.lines(maxTokens: 5) == ["cut because the host repeated itself"])
  }

  @Test("the table of tasks has tokens and credits, a sum, and why there is this plan")
  func report() throws {
    let json =
      #"{"trace_id":"t","pattern":"tutti/ensemble","reason":"it was asked for","tasks":["#
      + #"{"id":"draft","host":"a","model":"m","status":"done","host_cost":"0.5","#
      + #""usage":{"prompt_tokens":3,"completion_tokens":5,"total_tokens":8}},"#
      + #"{"id":"answer","host":"b","model":"m","status":"done","host_cost":null,"#
      + #""usage":{"prompt_tokens":4,"completion_tokens":6,"total_tokens":10}}],"#
      + #""attempts":[{"ending":"repetition"}],"host_cost":null,"cost":"0.0123"}"#
    let report = try JSONDecoder().decode(ExecutionReport.self, from: Data(json.utf8))
    let lines = report.lines(traceID: nil)
    let words = lines.map { $0.split(separator: " ").joined(separator: " ") }
    #expect(words[1] == "draft - a m - 3 5 8 0.5 - done")
    #expect(words[3] == "total 7 11 18 -")
    #expect(
      lines.suffix(3) == [
        "why: it was asked for", "cost 0.0123 credits", "pattern tutti/ensemble, trace t",
      ])
    #expect(report.hasRepetition)
  }
}
