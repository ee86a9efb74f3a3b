import ClusterModel
import ClusterTesting
import DispatcherCore
import Testing

/// Drives a `PlanRun` by hand.
struct Rehearsal {
  var run: PlanRun
  var now = Instant.zero
  var log: [PlanRunDirective] = []

  init(
    _ plan: Plan, finished: [TaskID: TaskReport] = [:],
    terms: InferenceTerms = InferenceTerms(), limits: PlanRunLimits = .standard
  ) throws {
    run = try PlanRun(
      order: PlanOrder(
        plan: plan, conversation: Conversation(messagesJSON: Array("[]".utf8)),
        finished: finished, terms: terms), limits: limits)
  }

  init(order: PlanOrder, limits: PlanRunLimits = .standard) throws {
    run = try PlanRun(order: order, limits: limits)
  }

  @discardableResult
  mutating func callAsFunction(_ event: PlanRunEvent) -> [PlanRunDirective] {
    let directives = run.handle(event, now: now)
    log += directives
    return directives
  }

  /// Assigns the attempt to `agent` and finishes it with `output`.
  @discardableResult
  mutating func finish(
    _ task: TaskID, _ number: Int = 1, output: String = "text", agent: String = "a"
  ) -> [PlanRunDirective] {
    self(.assigned(Attempt(task, number), agent: PeerID(name: agent, incarnation: 1)))
    return self(.finished(Attempt(task, number), report(output)))
  }
}

func report(_ output: String, tokens: Int = 10) -> TaskReport {
  TaskReport(
    host: "h", model: "m", usage: Usage(promptTokens: 5, completionTokens: tokens),
    firstTokenMilliseconds: 1, totalMilliseconds: 2, finishReason: "stop", output: output)
}

extension [PlanRunDirective] {
  var starts: [TaskStart] {
    compactMap { if case .start(let start) = $0 { start } else { nil } }
  }
  var cancels: [Attempt] {
    compactMap { if case .cancel(let attempt) = $0 { attempt } else { nil } }
  }
  var ended: [TaskEnded] {
    compactMap { if case .emit(.ended(let ended)) = $0 { ended } else { nil } }
  }
  var failure: Failure? {
    lazy.compactMap { if case .fail(let failure) = $0 { failure } else { nil } }.first
  }
  var finished: PlanFinished? {
    lazy.compactMap { if case .finish(let finished) = $0 { finished } else { nil } }.first
  }
  var text: String {
    compactMap { if case .emit(.delta(let delta)) = $0 { delta.text } else { nil } }.joined()
  }
  var expands: [ExpandRequest] {
    compactMap { if case .expand(let request) = $0 { request } else { nil } }
  }
  func armed(_ timer: PlanTimer) -> Instant? {
    lazy.compactMap {
      if case .arm(timer, let at) = $0 { at } else { nil }
    }.first
  }
}

@Suite("Plan run")
struct PlanRunTests {
  let gone = Failure(.peerLost, "it is gone")
  let broken = Failure(.upstreamFailed, "the host said no")

  @Test("ready tasks start together, the sink when all of them are done")
  func order() throws {
    var plan = try Rehearsal(.fan(3))
    #expect(plan(.start).starts.map(\.attempt.task) == ["t0", "t1", "t2"])
    #expect(plan.finish("t1", output: "one").starts.isEmpty)
    #expect(plan.finish("t0", output: "zero").starts.isEmpty)
    let sink = try #require(plan.finish("t2", output: "two").starts.first)
    #expect(sink.attempt == Attempt("sink", 1))
    #expect(sink.order.isSink)
    #expect(sink.order.inputs.map(\.text) == ["zero", "one", "two"])
    let last = plan.finish("sink", output: "answer")
    #expect(last.finished?.usage == Usage(promptTokens: 20, completionTokens: 40))
    #expect(last.finished?.sinkUsage == Usage(promptTokens: 5, completionTokens: 10))
    #expect(last.finished?.finishReason == "stop")
    #expect(plan.run.isOver)
    #expect(plan.log.ended.map(\.status) == [.done, .done, .done, .done])
  }

  @Test("every task gets the inference options")
  func terms() throws {
    let terms = InferenceTerms(race: .single, interToken: .milliseconds(500))
    var plan = try Rehearsal(.fan(2), terms: terms)
    plan(.start)
    plan.finish("t0")
    plan.finish("t1")
    #expect(plan.log.starts.map(\.order.terms) == [terms, terms, terms])
  }

  @Test("parallel tasks ask a second host only if the first is late; the answer may race")
  func races() throws {
    var plan = try Rehearsal(.fan(2))
    plan(.start)
    plan.finish("t0")
    plan.finish("t1")
    #expect(plan.log.starts.map(\.order.terms.race) == [.hedged, .hedged, nil])
    var alone = try Rehearsal(
      Plan(
        id: "p", pattern: "test", tasks: [PlanTask(id: "only", role: .code)], sink: "only",
        seed: 1, deadline: .seconds(60)))
    #expect(alone(.start).starts.map(\.order.terms.race) == [nil])
  }

  @Test("only the sink's deltas go out, in their order, and before its end")
  func deltas() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    #expect(plan(.delta(Attempt("t0", 1), TaskDelta(text: "secret"))).isEmpty)
    plan.finish("t0")
    for word in ["a", "b"] {
      #expect(
        plan(.delta(Attempt("sink", 1), TaskDelta(text: word)))
          == [.emit(.delta(TaskDelta(text: word)))])
    }
    #expect(plan.finish("sink").finished != nil)
  }

  @Test("a lost agent's task is given to another, avoiding the lost one")
  func lostAgent() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    let first = PeerID(name: "a", incarnation: 1)
    plan(.assigned(Attempt("t0", 1), agent: first))
    let paused = plan(.failed(Attempt("t0", 1), gone))
    #expect(paused.starts.isEmpty)
    plan.now = try #require(paused.armed(.retry("t0")))
    let again = try #require(plan(.fired(.retry("t0"))).starts.first)
    #expect(again.attempt == Attempt("t0", 2))
    #expect(again.avoiding == [first])
    // Later messages of the lost attempt are ignored.
    #expect(plan(.finished(Attempt("t0", 1), report("late"))).isEmpty)
    #expect(plan.finish("t0", 2, output: "new").starts.first?.order.inputs.first?.text == "new")
  }

  @Test("three lost agents are enough")
  func bounded() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    for number in 1...2 {
      plan(.failed(Attempt("t0", number), gone))
      #expect(plan(.fired(.retry("t0"))).starts.count == 1)
    }
    let end = plan(.failed(Attempt("t0", 3), gone))
    #expect(end.failure?.code == .peerLost)
    #expect(end.failure?.message.contains("3 agents") == true)
    #expect(end.ended.map(\.status) == [.failed])
  }

  @Test("an overloaded agent's word for how long to wait is taken, within bounds")
  func overloaded() throws {
    for (asked, waits) in [
      (Duration.milliseconds(700), Duration.milliseconds(700)), (.seconds(60), .seconds(2)),
      (.seconds(-1), .zero),
    ] {
      var plan = try Rehearsal(.fan(1))
      plan(.start)
      let directives = plan(
        .failed(Attempt("t0", 1), Failure(.overloaded, "busy", retryAfter: asked)))
      #expect(directives.armed(.retry("t0")) == Instant(sinceStart: waits))
    }
  }

  @Test(
    "busy hosts are not taken for an overloaded agent: it may try again, and the hosts are blamed",
    arguments: [Failure.Code.hostsBusy, .rateLimited])
  func busyHosts(_ code: Failure.Code) throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    for number in 1...2 {
      let agent = PeerID(name: "a", incarnation: 1)
      plan(.assigned(Attempt("t0", number), agent: agent))
      let wait = Duration.milliseconds(300)
      let paused = plan(.failed(Attempt("t0", number), Failure(code, "busy", retryAfter: wait)))
      plan.now = try #require(paused.armed(.retry("t0")))
      let again = try #require(plan(.fired(.retry("t0"))).starts.first)
      #expect(again.avoiding.isEmpty)
    }
    let end = plan(.failed(Attempt("t0", 3), Failure(code, "busy")))
    #expect(end.failure?.code == code)
    #expect(end.failure?.message.contains("agents were tried") == false)
  }

  @Test("a task that the hosts could not do does not go to another agent")
  func noSecondTry() throws {
    for code in [
      Failure.Code.upstreamFailed, .noEligibleHost, .invalidRequest, .deadlineExceeded,
      .modelNotFound, .internalError,
    ] {
      var plan = try Rehearsal(.fan(2))
      plan(.start)
      let directives = plan(.failed(Attempt("t0", 1), Failure(code, "why")))
      #expect(directives.failure?.code == code)
      #expect(directives.failure?.message.contains("why") == true)
      #expect(directives.failure?.message.contains("\"t0\"") == true)
      #expect(directives.cancels == [Attempt("t1", 1)])
    }
  }

  @Test("a sink that has spoken is continued by another agent from what the client has")
  func sinkLost() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    plan.finish("t0")
    plan(.failed(Attempt("sink", 1), gone))
    #expect(plan(.fired(.retry("sink"))).starts.map(\.order.prefix) == [""])
    plan(.delta(Attempt("sink", 2), TaskDelta(text: "half an ans")))
    plan(.failed(Attempt("sink", 2), gone))
    // Later messages of the lost attempt are ignored.
    #expect(plan(.delta(Attempt("sink", 2), TaskDelta(text: "late"))).isEmpty)
    let third = try #require(plan(.fired(.retry("sink"))).starts.first)
    #expect(third.order.prefix == "half an ans")
    #expect(
      plan(.delta(Attempt("sink", 3), TaskDelta(text: "wer")))
        == [.emit(.delta(TaskDelta(text: "wer")))])
    // The agent may report only its own part, or the whole text.
    let end = plan(.finished(Attempt("sink", 3), report("wer")))
    #expect(end.ended.first?.report?.output == "half an answer")
    #expect(end.finished != nil)
  }

  @Test("an answer of more than text is not continued, and neither is one that three agents lost")
  func sinkLostForGood() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    plan.finish("t0")
    plan(.delta(Attempt("sink", 1), TaskDelta(text: "half", deltaJSON: Array("{}".utf8))))
    let end = plan(.failed(Attempt("sink", 1), gone))
    #expect(end.failure?.code == .upstreamFailed)
    #expect(end.failure?.message.contains("4 bytes") == true)
    var other = try Rehearsal(.fan(1))
    other(.start)
    other.finish("t0")
    for number in 1...2 {
      other(.delta(Attempt("sink", number), TaskDelta(text: "word ")))
      other(.failed(Attempt("sink", number), gone))
      #expect(other(.fired(.retry("sink"))).starts.count == 1)
    }
    #expect(other(.failed(Attempt("sink", 3), gone)).failure?.code == .peerLost)
  }

  @Test("a skipped task leaves the others a quorum, and tasks that run without it report that")
  func degraded() throws {
    var plan = try Rehearsal(.fan(3, quorum: 2, onFailure: .skip))
    plan(.start)
    let skipped = plan(.failed(Attempt("t1", 1), broken))
    #expect(skipped.ended.map(\.status) == [.skipped])
    #expect(skipped.ended.map(\.reason) == ["the host said no"])
    #expect(skipped.failure == nil)
    plan.finish("t0")
    let sink = try #require(plan.finish("t2").starts.first)
    #expect(sink.order.inputs.map(\.name) == ["t0", "t2"])
    let end = plan.finish("sink").ended
    #expect(end.map(\.status) == [.degraded])
    #expect(end.first?.reason.contains("t1") == true)
    #expect(end.first?.report != nil)
  }

  @Test("a quorum that cannot be met fails at once and stops the rest")
  func quorumLost() throws {
    var plan = try Rehearsal(.fan(4, quorum: 3, onFailure: .skip))
    plan(.start)
    plan(.failed(Attempt("t0", 1), broken))
    let end = plan(.failed(Attempt("t1", 1), Failure(.noEligibleHost, "no host")))
    #expect(end.failure?.code == .noEligibleHost)
    #expect(end.failure?.message.contains("only 2 of its 4") == true)
    #expect(end.failure?.message.contains("no host") == true)
    #expect(Set(end.cancels) == [Attempt("t2", 1), Attempt("t3", 1)])
    #expect(plan(.finished(Attempt("t2", 1), report("late"))).isEmpty)
  }

  @Test("tasks that are no longer needed are stopped, the rest continues")
  func unneeded() throws {
    // Shape: t0, t1 → t2 (skip, needs both); c, t2 → sink (needs 1).
    var shape = Plan.fan(3, quorum: 1, onFailure: .skip)
    shape.tasks[2].inputs = [Edge(from: "t0", name: "a"), Edge(from: "t1", name: "b")]
    shape.tasks[2].merge = .synthesise
    shape.tasks.insert(PlanTask(id: "c", role: .code, onFailure: .skip), at: 0)
    shape.tasks[4].inputs = [Edge(from: "t2", name: "m"), Edge(from: "c", name: "c")]
    var plan = try Rehearsal(shape)
    #expect(plan(.start).starts.count == 3)
    let lost = plan(.failed(Attempt("t0", 1), broken))
    #expect(lost.cancels == [Attempt("t1", 1)])
    #expect(lost.ended.map(\.task) == ["t0", "t2", "t1"])
    #expect(lost.failure == nil)
    #expect(plan.finish("c").starts.map(\.attempt.task) == ["sink"])
    #expect(plan.finish("sink").finished != nil)
  }

  @Test("a task's own deadline skips it, the plan's ends the plan")
  func deadlines() throws {
    var shape = Plan.fan(2, quorum: 1, onFailure: .skip)
    shape.tasks[0].deadline = .seconds(5)
    var plan = try Rehearsal(shape)
    let start = plan(.start)
    #expect(start.armed(.deadline("t0")) == Instant(sinceStart: .seconds(5)))
    #expect(start.armed(.plan) == Instant(sinceStart: .seconds(60)))
    #expect(start.starts.map(\.remaining) == [.seconds(5), .seconds(60)])
    plan.now = Instant(sinceStart: .seconds(5))
    let late = plan(.fired(.deadline("t0")))
    #expect(late.cancels == [Attempt("t0", 1)])
    #expect(late.ended.map(\.status) == [.skipped])
    plan.now = Instant(sinceStart: .seconds(60))
    let end = plan(.fired(.plan))
    #expect(end.failure?.code == .deadlineExceeded)
    #expect(end.failure?.message.contains("t1") == true)
    #expect(end.cancels == [Attempt("t1", 1)])
  }

  @Test("a task without an agent waits a limited time for one")
  func noAgent() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    var looks = 0
    while true {
      let directives = plan(.noAgent(Attempt("t0", 1)))
      if let failure = directives.failure {
        #expect(failure.code == .noPeer)
        #expect(failure.message.contains("tutti-agent-research") == true)
        break
      }
      looks += 1
      plan.now = try #require(directives.armed(.retry("t0")))
      #expect(plan(.fired(.retry("t0"))).starts.map(\.attempt) == [Attempt("t0", 1)])
    }
    #expect(plan.now == Instant(sinceStart: .seconds(10)))
    #expect(looks == 50)
  }

  @Test("outputs of an earlier dispatcher are used and their tasks not run")
  func resumed() throws {
    var plan = try Rehearsal(.fan(2), finished: ["t0": report("kept", tokens: 7)])
    #expect(plan(.start).starts.map(\.attempt.task) == ["t1"])
    let sink = try #require(plan.finish("t1", output: "new").starts.first)
    #expect(sink.order.inputs.map(\.text) == ["kept", "new"])
    #expect(plan.finish("sink").finished?.usage.completionTokens == 27)

    var whole = try Rehearsal(.fan(2), finished: ["sink": report("answer")])
    let directives = whole(.start)
    #expect(directives.starts.isEmpty)
    #expect(directives.finished != nil)

    #expect(throws: InvalidPlan.self) {
      try Rehearsal(.fan(2), finished: ["nobody": report("?")])
    }
  }

  @Test("tasks that an earlier dispatcher gave up are not run, and their cost counts")
  func resumedWithout() throws {
    let shape = Plan.fan(3, quorum: 2, onFailure: .skip)
    var plan = try Rehearsal(
      order: PlanOrder(
        plan: shape, conversation: Conversation(messagesJSON: Array("[]".utf8)),
        finished: ["t0": report("kept"), "t2": report("too")],
        skipped: [
          "t1": .init(reason: "too late", usage: Usage(promptTokens: 3, completionTokens: 0))
        ], sinkPrefix: "It is"))
    let sink = try #require(plan(.start).starts.first)
    #expect(sink.attempt.task == "sink" && sink.order.prefix == "It is")
    #expect(sink.order.inputs.map(\.name) == ["t0", "t2"])
    let finished = plan.finish("sink", output: "It is so.").finished
    #expect(finished?.usage.promptTokens == 18)
    #expect(plan.log.ended.map(\.status) == [.degraded])
    #expect(plan.log.text == " so.")
  }

  @Test("an input loses its middle, on whole characters")
  func inputBound() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    let text = "x" + String(repeating: "é", count: 40_000)
    let input = try #require(
      plan.finish("t0", output: text).starts.first?.order.inputs.first?.text)
    #expect((60_000...65_536).contains(input.utf8.count))
    let parts = input.split(separator: " […] ")
    #expect(parts.count == 2)
    #expect(text.hasPrefix(parts.first ?? "?") && text.hasSuffix(parts.last ?? "?"))
  }

  @Test("an input reaches its reader without control tokens, reasoning and repetitions")
  func inputCompressed() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    let output = "<think>Hm.</think>\n- One thing to say.\n- One thing to say.\n- Two.<|im_end|>"
    let input = try #require(
      plan.finish("t0", output: output).starts.first?.order.inputs.first?.text)
    #expect(input == "- One thing to say.\n- Two.")
  }

  @Test("cancelling before the start or in the middle ends everything once")
  func cancel() throws {
    var early = try Rehearsal(.fan(2))
    #expect(early(.cancelled) == [.fail(Failure(.cancelled, "The request was cancelled."))])
    #expect(early(.cancelled).isEmpty)
    var plan = try Rehearsal(.fan(2))
    plan(.start)
    let end = plan(.cancelled)
    #expect(Set(end.cancels) == [Attempt("t0", 1), Attempt("t1", 1)])
    #expect(end.contains(.disarm(.plan)))
    #expect(end.last == .fail(Failure(.cancelled, "The request was cancelled.")))
    #expect(plan(.fired(.plan)).isEmpty)
  }

  @Test("hosts that siblings use are passed on to be avoided")
  func avoidHosts() throws {
    var shape = Plan.fan(2)
    shape.tasks.insert(
      PlanTask(
        id: "late", role: .critic, inputs: [Edge(from: "t0", name: "a")], merge: .synthesise),
      at: 2)
    shape.tasks[3].inputs.append(Edge(from: "late", name: "late"))
    var plan = try Rehearsal(shape)
    plan(.start)
    plan(.assigned(Attempt("t1", 1), agent: PeerID(name: "b", incarnation: 1)))
    plan(.began(Attempt("t1", 1), TaskBegan(host: "busy", model: "m", firstTokenMilliseconds: 1)))
    #expect(plan.finish("t0").starts.first?.order.avoidHosts == ["busy"])
  }

  @Test("work goes to the idle, equals take turns, the lost are the last resort")
  func agentChoice() {
    let peers = (1...3).map { PeerID(name: "a\($0)", incarnation: 1) }
    let load = [peers[0]: 2, peers[1]: 0, peers[2]: 0]
    func pick(_ live: [PeerID], _ avoiding: [PeerID], _ turn: Int) -> PeerID? {
      AgentChoice.pick(from: live, avoiding: avoiding, load: { load[$0] ?? 0 }, turn: turn)
    }
    #expect(pick(peers, [], 0) == peers[1])
    #expect(pick(peers, [], 1) == peers[2])
    #expect(pick(peers, [peers[1], peers[2]], 0) == peers[0])
    #expect(pick([peers[1]], [peers[1]], 0) == peers[1])
    #expect(pick([], [], 0) == nil)
    #expect(pick(peers, [], .min) != nil)
  }
}
