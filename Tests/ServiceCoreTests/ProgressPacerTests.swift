import ClusterModel
import ClusterTesting
import GatewayCore
import Testing

private let plan = Plan.twoDrafts

@Suite("Pace of progress lines")
struct ProgressPacerTests {
  /// Feeds the same events to a plan's trace and its pacer.
  private struct Told {
    var trace = PlanTrace(plan)
    var pacer = ProgressPacer()

    mutating func happens(_ events: PlanEvent...) {
      for event in events {
        trace.record(event)
        pacer.note(event)
      }
    }

    mutating func line(_ now: Instant) -> String? {
      pacer.take(from: trace, now: now).map { String(decoding: $0, as: UTF8.self) }
    }

    mutating func rest() -> String? {
      pacer.rest(from: trace).map { String(decoding: $0, as: UTF8.self) }
    }
  }

  @Test("the plan is reported at once, with the inputs of each task")
  func planned() {
    var told = Told()
    told.pacer.plan()
    #expect(
      told.line(at(ms: 0))
        == #"tutti {"event":"planned","pattern":"tutti/ensemble","reason":"it was asked for","#
        + #""tasks":[{"task":"p1","role":"research","inputs":[]},"#
        + #"{"task":"p2","role":"creative","inputs":[]},"#
        + #"{"task":"s","role":"coordinator","inputs":["p1","p2"]}]}"#)
  }

  @Test("the first step is reported at once, the next one after 100 ms")
  func paced() {
    var told = Told()
    #expect(told.pacer.due == nil)
    told.happens(started("p1"))
    #expect(
      told.line(at(ms: 5))
        == #"tutti {"event":"task_started","task":"p1","role":"research","agent":"agent-research"}"#
    )
    #expect(told.pacer.due == nil && told.line(at(ms: 500)) == nil)
    told.happens(started("p2", .creative))
    #expect(told.pacer.due == at(ms: 105))
    #expect(told.line(at(ms: 104)) == nil)
    #expect(told.line(at(ms: 105))?.contains(#""task":"p2""#) == true)
  }

  @Test("later steps are reported together, each task in its latest state")
  func together() {
    var told = Told()
    told.happens(started("p1"))
    _ = told.line(at(ms: 0))
    told.happens(
      .firstToken(task: "p1", TaskBegan(host: "a", model: "m", firstTokenMilliseconds: 3)),
      started("p2", .creative), ended("p1", report: report("a", 5)), .delta(TaskDelta(text: "x")))
    #expect(
      told.line(at(ms: 100))
        == #"tutti [{"event":"task_ended","task":"p1","role":"research","agent":"agent-research","#
        + #""status":"done","host":"a","model":"m","first_token_ms":3,"tokens":5,"total_ms":9},"#
        + #"{"event":"task_started","task":"p2","role":"creative","agent":"agent-creative"}]"#)
  }

  @Test("the line of a first token sums what was read of documents that did not fit")
  func excerpt() {
    var told = Told()
    var began = TaskBegan(host: "a", model: "m", firstTokenMilliseconds: 3)
    began.excerpts = [
      DocumentExcerpt(document: "a.md", bytes: 90_000, readBytes: 24_000),
      DocumentExcerpt(document: "b.md", bytes: .max, readBytes: 0),
    ]
    told.happens(started("p1"), .firstToken(task: "p1", began))
    #expect(
      told.line(at(0))?.hasSuffix(
        #""excerpt":{"documents":2,"bytes":\#(Int.max),"read_bytes":24000}}"#) == true)
  }

  @Test("the last state is reported at the end, however soon that is")
  func last() {
    var told = Told()
    told.happens(started("p2", .creative))
    _ = told.line(at(ms: 0))
    told.happens(ended("p2", .creative, .skipped, reason: "lost\nit"))
    #expect(told.line(at(ms: 1)) == nil)
    #expect(
      told.rest()
        == #"tutti {"event":"task_ended","task":"p2","role":"creative","agent":"agent-creative","#
        + #""status":"skipped","reason":"lost\nit"}"#)
    #expect(told.rest() == nil)
  }

  @Test("an expansion is reported with the whole plan at that time")
  func expanded() {
    var told = Told()
    var expanding = plan
    expanding.tasks[0].expansion = "more"
    told.trace = PlanTrace(expanding)
    told.happens(
      .expanded(
        task: "p1",
        SubPlan(
          tasks: [
            PlanTask(
              id: "q1", role: .code, inputs: [Edge(from: "p1", name: "Brief")],
              merge: .synthesise)
          ], output: "q1")))
    let line = told.line(at(ms: 0)) ?? ""
    #expect(line.hasPrefix(#"tutti {"event":"expanded","task":"p1","added":1,"tasks":["#))
    #expect(line.contains(#"{"task":"s","role":"coordinator","inputs":["q1","p2"]}"#))
    #expect(line.contains(#"{"task":"q1","role":"code","inputs":["p1"]}"#))
  }

  @Test("a task that another agent takes over is reported without the first agent's host")
  func takenOver() {
    var told = Told()
    told.happens(
      started("p1"),
      .firstToken(task: "p1", TaskBegan(host: "a", model: "m", firstTokenMilliseconds: 3)),
      started("p1", attempt: 2))
    #expect(
      told.line(at(ms: 0))
        == #"tutti {"event":"task_started","task":"p1","role":"research","#
        + #""agent":"agent-research","attempt":2}"#)
  }

  @Test("with any order of events, lines keep their distance and report every task's last state")
  func random() {
    for seed in 0..<300 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      var told = Told()
      var now = 0
      var lines: [(at: Int, text: String)] = []
      for _ in 0..<60 {
        let task = ["p1", "p2", "s"].randomElement(using: &rng).map { TaskID($0) } ?? "s"
        if Bool.random(using: &rng) {
          told.happens(started(task))
        } else {
          told.happens(ended(task, .research, .skipped, reason: "\(now)"))
        }
        now += Int.random(in: 0...60, using: &rng)
        if let line = told.line(at(ms: now)) { lines.append((now, line)) }
      }
      for (left, right) in zip(lines, lines.dropFirst()) {
        #expect(right.at - left.at >= 100, "seed \(seed)")
      }
      let rest = told.rest() ?? ""
      for task in told.trace.tasks where task.status == .skipped {
        let last =
          rest.contains(#""task":"\#(task.id)""#)
          ? rest : lines.last { $0.text.contains(#""task":"\#(task.id)""#) }?.text ?? ""
        #expect(last.contains(#""reason":"\#(task.reason)""#), "seed \(seed): \(task.id)")
      }
    }
  }
}
