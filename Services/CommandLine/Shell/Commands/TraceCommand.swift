import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import Limits
import NIOHTTP1

struct TraceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Show how one request was answered: a tree of spans, and its tasks over time.",
    discussion: """
      The id is in the header x-tutti-trace of every answer, and below the table of `tutti ask \
      --trace`. Services send their spans about once in a second, so the command waits for spans that \
      are still arriving. Exit status 75: none has arrived.

        tutti trace 4bf92f3577b34da6a3ce929d0e0e4736
        tutti trace --json 4bf92f3577b34da6a3ce929d0e0e4736 | python3 -m json.tool

      For a plan, the chart shows when each task ran. A star marks the critical path: the tasks \
      that the answer had to wait for. Each of them is the input that the next one got last. A \
      shorter time of any other task would not have made the answer earlier. The table below the \
      chart has for each task the result at each host (a race has two hosts), the tokens read and \
      written, and the times. The last table has the tokens and the cost of each host and model, also \
      of hosts that lost a race; the cost is at the hosts' own prices.
      """)

  @OptionGroup var cluster: ClientOptions
  @Flag(help: "Print the monitor's answer as it is.") var json = false
  @Option(help: "Columns of the chart.") var width = 48
  @Option(help: "Maximum seconds to wait for spans that are still arriving; 0 reads once.")
  var wait = 3
  @Argument(help: "Trace id: 32 hexadecimal digits.") var id: String

  func validate() throws {
    guard TraceID(id) != nil else {
      throw ValidationError("“\(id)” is not a trace id; a trace id has 32 hexadecimal digits")
    }
    guard (10...1_000).contains(width) else {
      throw ValidationError("--width: \(width) is not in 10–1000")
    }
    guard (0...60).contains(wait) else {
      throw ValidationError("--wait: \(wait) is not in 0–60")
    }
  }

  struct Trace: Decodable {
    let spans: [SpanRecord]
    let requests: [RequestRecord]
  }

  func run() async throws {
    let client = try await cluster.client()
    let url = client.address.monitor + "/traces/" + id
    let (answer, trace, isComplete) = try await read(client, url)
    if json {
      Terminal.json(answer.body)
    } else {
      show(SpanTree(trace.spans))
      show(TaskTimeline(trace.spans))
      for record in trace.requests { show(record) }
    }
    if !isComplete {
      Terminal.progress(
        "still arriving: \(trace.spans.count) spans so far; run the command again in a moment")
    }
  }

  /// Reads the trace until it is complete, or until `wait` has passed.
  private func read(
    _ client: ClusterClient, _ url: String
  ) async throws -> (ClusterClient.Answer, Trace, isComplete: Bool) {
    let deadline = ContinuousClock.now.advanced(by: .seconds(wait))
    var arrival = TraceArrival()
    while true {
      let answer = try await client.request(.GET, url, token: client.clientKey?.revealed)
      let isLast = ContinuousClock.now >= deadline
      if answer.status == 404, Self.isUnknownTrace(answer) {
        guard !isLast else {
          var failure = client.clientFailure(status: 404, body: answer.body, url: url)
          failure.status = .tryLater
          throw failure
        }
      } else {
        guard answer.status == 200 else {
          throw client.clientFailure(status: answer.status, body: answer.body, url: url)
        }
        let trace = try answer.decoded(as: Trace.self, from: url)
        let isComplete = arrival.isComplete(
          spans: trace.spans.count, requests: trace.requests,
          now: UInt64(clamping: WallClock.milliseconds).multipliedCapped(by: 1_000))
        if isComplete || isLast { return (answer, trace, isComplete) }
      }
      // A person waits for the result, and services send their spans once a second.
      try await Task.sleep(for: .milliseconds(300))
    }
  }

  /// Whether the monitor has no record of the trace. Another server may send 404, too.
  private static func isUnknownTrace(_ answer: ClusterClient.Answer) -> Bool {
    String(decoding: answer.body, as: UTF8.self).contains("trace_not_found")
  }

  private func show(_ record: RequestRecord) {
    let lines = RequestRows.shares(record)
    guard !lines.isEmpty else { return }
    Terminal.line("")
    for line in lines { Terminal.line(line) }
  }

  private func show(_ tree: SpanTree) {
    var table = TextTable([
      ("span", .left), ("service", .left), ("at ms", .right), ("ms", .right), ("", .left),
    ])
    for line in tree.lines {
      let facts = line.facts.map { "\($0.key)=\($0.value)" }
      table.append([
        String(repeating: "  ", count: line.depth) + line.span.name, line.span.service,
        GanttChart.milliseconds(line.offsetMicroseconds),
        GanttChart.milliseconds(line.span.durationMicroseconds),
        ((line.span.failed ? ["failed"] : []) + facts).joined(separator: " "),
      ])
      for attempt in line.attempts {
        table.append([
          String(repeating: "  ", count: line.depth + 1) + attempt.key, "", "", "", attempt.value,
        ])
      }
    }
    for line in table.lines { Terminal.line(line) }
  }

  private func show(_ timeline: TaskTimeline) {
    guard !timeline.bars.isEmpty else { return }
    Terminal.line("")
    for line in GanttChart(timeline).lines(width: width) { Terminal.line(line) }
    Terminal.line(GanttChart.legend)
    var table = TextTable([
      ("task", .left), ("role", .left), ("model", .left), ("hosts", .left), ("read", .right),
      ("written", .right), ("first-token ms", .right), ("ms", .right), ("", .left),
    ])
    for bar in timeline.bars where bar.isTask {
      table.append([
        bar.name + (bar.attempt > 1 ? " (\(bar.attempt))" : ""), bar.role, bar.model ?? "-",
        bar.race.isEmpty ? bar.host ?? "-" : bar.race.joined(separator: ", "),
        bar.promptTokens.map(String.init) ?? "-", bar.completionTokens.map(String.init) ?? "-",
        bar.firstToken.map { GanttChart.milliseconds($0 - bar.start) } ?? "-",
        GanttChart.milliseconds(bar.end - bar.start), bar.error,
      ])
    }
    Terminal.line("")
    for line in table.lines { Terminal.line(line) }
    for departure in timeline.departures {
      Terminal.line("not as planned: \(departure)")
    }
  }
}
