import ClusterModel
import CommandLineCore
import Testing

@Suite("A trace's tasks in time")
struct GanttChartTests {
  private static let origin: UInt64 = 1_000_000

  /// A span with times in milliseconds since the request arrived.
  private func span(
    _ id: UInt64, _ phase: LifecyclePhase, parent: UInt64 = 1, _ start: UInt64, _ end: UInt64,
    failed: Bool = false, _ facts: KeyValuePairs<String, String> = [:]
  ) -> SpanRecord {
    SpanRecord(
      trace: TraceID(high: 1, low: 1), span: SpanID(id), parent: SpanID(parent), service: "s",
      name: phase.rawValue, startUnixMicroseconds: Self.origin + start * 1_000,
      durationMicroseconds: (end - start) * 1_000, failed: failed,
      attributes: facts.map { Attribute($0.key, $0.value) })
  }

  private func task(
    _ id: UInt64, _ name: String, _ start: UInt64, _ end: UInt64, firstToken: Int? = nil,
    attempt: Int = 1, failed: Bool = false
  ) -> SpanRecord {
    var span = span(
      id, .task, parent: 2, start, end, failed: failed,
      ["task": name, "role": "research", "attempt": "\(attempt)"])
    if let firstToken { span.attributes.append(Attribute("first_token_ms", "\(firstToken)")) }
    if failed { span.attributes.append(Attribute("error", "peer_lost")) }
    return span
  }

  private func dispatch(_ tasks: String, _ departures: String...) -> SpanRecord {
    var span = span(2, .dispatch, 0, 1_000, ["tasks 1": tasks])
    for (index, departure) in departures.enumerated() {
      span.attributes.append(Attribute("departures \(index + 1)", departure))
    }
    return span
  }

  private func critical(_ spans: [SpanRecord]) -> [String] {
    TaskTimeline(spans).bars.filter(\.isCritical).map(\.name)
  }

  @Test("the answer waited for the last of what it reads, and that for the last of its own")
  func criticalPath() {
    #expect(
      critical([
        dispatch("answer<a,b;a<c;b;c"), task(3, "c", 0, 100), task(4, "a", 100, 500),
        task(5, "b", 0, 700), task(6, "answer", 700, 1_000),
      ]) == ["b", "answer"])
    #expect(
      critical([
        dispatch("answer<a,b;a<c;b;c"), task(3, "c", 0, 100), task(4, "a", 100, 900),
        task(5, "b", 0, 700), task(6, "answer", 900, 1_000),
      ]) == ["c", "a", "answer"])
  }

  @Test("the path goes through tasks that the dispatcher itself computed")
  func throughMerges() {
    #expect(
      critical([
        dispatch("answer<vote;vote<a,b;a;b"), task(3, "a", 0, 300), task(4, "b", 0, 200),
        task(5, "answer", 300, 500),
      ]) == ["a", "answer"])
    // A mechanical sink has no bar of its own, so the path ends with the task that it waited for.
    #expect(
      critical([dispatch("vote<a,b;a;b"), task(3, "a", 0, 300), task(4, "b", 0, 200)]) == ["a"])
  }

  @Test("the path goes through the task whose output led to the next ones")
  func throughExpansions() {
    #expect(
      critical([
        dispatch("analysis;answer<repair;draft^analysis;review<draft^analysis;repair<draft^review"),
        task(3, "analysis", 0, 100), task(4, "draft", 100, 300), task(5, "review", 300, 500),
        task(6, "repair", 500, 600), task(7, "answer", 600, 900),
      ]) == ["analysis", "draft", "review", "repair", "answer"])
  }

  @Test("without the plan, the path goes to the task that ended last before")
  func withoutPlan() {
    #expect(
      critical([
        task(3, "a", 0, 300), task(4, "b", 0, 200), task(5, "answer", 350, 500),
      ]) == ["a", "answer"])
  }

  @Test("a plan that reads in circles has an end all the same")
  func circles() {
    #expect(
      !critical([dispatch("a<b;b<a"), task(3, "a", 0, 300), task(4, "b", 0, 200)]).isEmpty)
  }

  @Test("of a task that two agents had, both are drawn and marked")
  func twoAttempts() {
    let timeline = TaskTimeline([
      dispatch("a"), task(3, "a", 0, 300, failed: true), task(4, "a", 350, 500, attempt: 2),
    ])
    #expect(timeline.bars.map(\.attempt) == [1, 2])
    #expect(timeline.bars.map(\.isCritical) == [true, true])
    #expect(timeline.bars.map(\.error) == ["peer_lost", ""])
  }

  @Test("the chart has a line for each bar, to scale, with its first token and its host")
  func chart() {
    let work = span(
      9, .work, parent: 4, 0, 480,
      [
        "model": "m", "host": "h1", "prompt_tokens": "12", "completion_tokens": "5",
        "attempt 1": "host=h1;role=first;outcome=answered;tokens=5;started_ms=0;ended_ms=480",
        "attempt 2": "host=h 2;role=speculative;outcome=beaten;tokens=0;started_ms=0;ended_ms=90",
      ])
    let timeline = TaskTimeline([
      span(1, .request, parent: 0, 0, 1_000), dispatch("answer<a;a", "b skipped: lost"),
      span(3, .planning, 0, 1), task(4, "a", 0, 500, firstToken: 250), work,
      task(5, "answer", 500, 1_000, failed: true),
    ])
    #expect(timeline.length == 1_000_000)
    #expect(timeline.departures == [.init(task: "b", status: .skipped, reason: "lost")])
    #expect(timeline.bars[0].race == ["h1 answered", "h 2 beaten"])
    #expect(timeline.bars[0].promptTokens == 12 && timeline.bars[0].completionTokens == 5)
    #expect(timeline.bars[0].model == "m")
    #expect(
      GanttChart(timeline).lines(width: 20) == [
        "            0 ms       1000.0 ms",
        "* a        |-----=====          | 500.0 ms  h1",
        "  planning |=                   |   1.0 ms",
        "* answer   |          ---------x| 500.0 ms",
      ])
  }

  @Test("a request that was answered directly has no chart")
  func direct() {
    let timeline = TaskTimeline([span(1, .request, parent: 0, 0, 1_000)])
    #expect(timeline.bars.isEmpty && GanttChart(timeline).lines(width: 20).isEmpty)
    #expect(TaskTimeline([]).bars.isEmpty)
  }

  @Test("every line of a chart is as wide as the others, whatever the times are")
  func widths() {
    for seed in 0..<200 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      let spans = (0..<12).map { number -> SpanRecord in
        let start = UInt64.random(in: 0...900, using: &rng)
        let end = start + UInt64.random(in: 0...400, using: &rng)
        return task(
          10 + UInt64(number), "t\(number)", start, end,
          firstToken: Bool.random(using: &rng) ? Int.random(in: 0...2_000, using: &rng) : nil,
          failed: Bool.random(using: &rng))
      }
      let lines = GanttChart(TaskTimeline(spans)).lines(width: 30).dropFirst()
      #expect(lines.count == 12, "seed \(seed)")
      for line in lines {
        let chart = line.split(separator: "|", omittingEmptySubsequences: false)
        #expect(chart.count == 3 && chart[1].count == 30, "seed \(seed): \(line)")
        #expect(chart[1].contains { $0 != " " }, "seed \(seed): \(line)")
      }
    }
  }
}
