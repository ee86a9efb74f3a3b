import ClusterModel
import ClusterTesting
import GatewayCore
import Limits
import Testing
import Text

private func report(_ host: String, _ tokens: Int, output: String = "x") -> TaskReport {
  TaskReport(
    host: HostID(host), model: "m", usage: Usage(promptTokens: 10, completionTokens: tokens),
    firstTokenMilliseconds: 3, totalMilliseconds: 9, finishReason: "stop", output: output)
}

/// Two drafts and an answer that reads both.
private let plan = Plan(
  id: "plan-1", pattern: "tutti/ensemble",
  tasks: [
    PlanTask(id: "p1", role: .research), PlanTask(id: "p2", role: .creative, onFailure: .skip),
    PlanTask(
      id: "s", role: .coordinator,
      inputs: [Edge(from: "p1", name: "Draft 1"), Edge(from: "p2", name: "Draft 2")],
      merge: .synthesise, quorum: 1),
  ], sink: "s", seed: 7, deadline: .seconds(60), reason: "it was asked for")

private func ended(
  _ task: TaskID, _ role: AgentRole = .research, _ status: TaskStatus = .done,
  reason: String = "", report: TaskReport? = nil
) -> PlanEvent {
  .ended(
    TaskEnded(
      task: task, role: role, agent: "agent-\(role.rawValue)", status: status, reason: reason,
      report: report))
}

private func started(_ task: TaskID, _ role: AgentRole = .research, attempt: Int = 1) -> PlanEvent {
  .started(task: task, role: role, agent: "agent-\(role.rawValue)", attempt: attempt)
}

@Suite("The tokens that a plan is expected to take")
struct PlanTokensTests {
  private static func request(_ members: String = "") throws -> ClientRequest {
    let text = String(repeating: "word ", count: 400)
    return try ClientRequest(
      parsing: Array(
        #"{"model":"tutti/ensemble",\#(members)"messages":[{"role":"user","content":"\#(text)"}]}"#
          .utf8), endpoint: .chatCompletions)
  }

  @Test("each task counts the conversation, its inputs and its answer, and the budget caps the sum")
  func tasks() throws {
    let request = try Self.request()
    let whole = request.expectedTokens(of: plan, within: nil)
    // The conversation has 500 tokens and is read three times. Three answers are written, and two of
    // them are read.
    let least = 3 * 500 + 5 * 512
    let most = 3 * 700 + 5 * 512
    #expect(whole >= least && whole <= most)
    #expect(request.expectedTokens(of: plan, within: 900) == 900)
    var short = plan
    for index in short.tasks.indices { short.tasks[index].maxTokens = 10 }
    #expect(whole - request.expectedTokens(of: short, within: nil) == 5 * (512 - 10))
  }

  @Test("documents count up to the room of a prompt, and mechanical merges count nothing")
  func documents() throws {
    let text = String(repeating: "x", count: 400_000)
    let request = try Self.request(#""tutti":{"documents":[{"name":"a","text":"\#(text)"}]},"#)
    let before = request.expectedTokens(of: plan, within: nil)
    var reading = plan
    reading.tasks[0].documents = [PlanTask.everyDocument]
    #expect(
      request.expectedTokens(of: reading, within: nil) == before + Limits.documentTokens.value)
    reading.tasks[0].documents = ["a"]
    reading.tasks[0].documentPart = DocumentPart(number: 1, count: 100)
    #expect(request.expectedTokens(of: reading, within: nil) == before + 1_000)
    var vote = plan
    vote.tasks[2].merge = .vote
    #expect(request.expectedTokens(of: vote, within: nil) < before - 3 * 512)
  }
}

@Suite("The gateway's trace of a running plan")
struct PlanTraceTests {
  @Test("the trace has every task, host and sum, and outputs for a second dispatcher")
  func whole() throws {
    var trace = PlanTrace(plan)
    trace.record(started("p1"))
    trace.record(started("p2", .creative))
    trace.record(
      .firstToken(task: "p1", TaskBegan(host: "a", model: "m", firstTokenMilliseconds: 3)))
    trace.record(ended("p1", report: report("a", 5)))
    trace.record(ended("p2", .creative, .skipped, reason: "lost"))
    #expect(trace.finished.keys.map(\.name) == ["p1"])
    #expect(trace.skipped == ["p2": .init(reason: "lost")])
    #expect(trace.answer.isEmpty && trace.obstacle == nil)
    trace.record(started("s", .coordinator))
    trace.record(.delta(TaskDelta(text: "Hel")))
    trace.record(.delta(TaskDelta(text: "lo")))
    trace.record(ended("s", .coordinator, .degraded, reason: "one input", report: report("b", 7)))
    trace.record(
      .finished(
        PlanFinished(
          finishReason: "stop", usage: Usage(promptTokens: 10, completionTokens: 7),
          sinkUsage: Usage(promptTokens: 10, completionTokens: 7))))
    #expect(trace.answer == "Hello")
    #expect(trace.usage == Usage(promptTokens: 20, completionTokens: 12))
    #expect(trace.hosts == ["a", "b"])
    let unknown = HostCosts(plan: trace, model: "m", table: .empty)
    #expect(unknown.shares.map(\.host) == ["b", "a"] && unknown.total == nil)
    let costs = HostCosts(
      plan: trace, model: "m",
      table: HostTable(
        epoch: 1, revision: 1,
        hosts: (["a", "b"] as [HostID]).map {
          Host(
            id: $0, url: "http://\($0)",
            price: HostPrice(input: 2_000_000, output: 3_000_000))
        }))
    // The tokens of the shares are those of the tasks: twice 10 read, 5 and 7 written.
    #expect(costs.shares.map(\.totalTokens).reduce(0, +) == trace.usage.totalTokens)
    #expect(costs.total?.description == "0.000076")
    let json = text(
      TraceExtension.json(
        TraceID(high: 0, low: 1), trace,
        .init(firstProgress: .milliseconds(4), firstToken: .milliseconds(40)), costs: costs
      ).encoded)
    for part in [
      #""trace_id":"00000000000000000000000000000001""#, #""pattern":"tutti/ensemble""#,
      #""reason":"it was asked for""#,
      #""id":"p1","role":"research","agent":"agent-research","host":"a","model":"m","#
        + #""status":"done","first_token_ms":3,"total_ms":9,"tokens":5"#,
      #""status":"skipped""#, #""reason":"lost""#, #""hosts":["a","b"]"#,
      #""a":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#,
      #""usage_by_model":{"m":{"prompt_tokens":20,"completion_tokens":12,"total_tokens":32}}"#,
      #""cost_by_host":{"b":"0.000041","a":"0.000035"}"#, #""cost_by_model":{"m":"0.000076"}"#,
      #""cost_by_model":{"m":"0.000076"},"host_cost":"0.000076""#, #""finish_reason":"stop""#,
      #""sink_usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17}"#,
      #""seed":"7""#, #""inputs":["p1","p2"]"#, #""expansions":[]"#,
      #""first_progress_ms":4,"first_token_ms":40"#,
    ] {
      #expect(json.contains(part), "\(part) in \(json)")
    }
  }

  @Test("the trace lists the documents that a task read in part, until another agent takes over")
  func excerpts() {
    var trace = PlanTrace(plan)
    var began = TaskBegan(host: "a", model: "m", firstTokenMilliseconds: 3)
    began.excerpts = [DocumentExcerpt(document: "a \"b\".md", bytes: 90_000, readBytes: 24_000)]
    func json() -> String {
      text(TraceExtension.json(TraceID(high: 0, low: 1), trace, .init()).encoded)
    }
    trace.record(started("p1"))
    trace.record(.firstToken(task: "p1", began))
    #expect(
      json().contains(
        #""excerpts":[{"document":"a \"b\".md","bytes":90000,"read_bytes":24000}]"#))
    trace.record(started("p1", attempt: 2))
    #expect(!json().contains("excerpts"))
  }

  @Test("a full trace has the output of each finished task but the sink, and a plain one has none")
  func outputs() {
    var trace = PlanTrace(plan)
    trace.record(ended("p1", report: report("a", 5, output: "An \"apple\".")))
    trace.record(
      ended("p2", .creative, .skipped, reason: "lost", report: report("b", 1, output: "half")))
    trace.record(ended("s", .coordinator, report: report("b", 7, output: "The answer.")))
    func json(_ hasOutputs: Bool) -> String {
      text(
        TraceExtension.json(
          TraceID(high: 0, low: 1), trace, .init(), hasOutputs: hasOutputs
        ).encoded)
    }
    #expect(json(true).ranges(of: #""output":"#).count == 1)
    #expect(json(true).contains(#""output":"An \"apple\".""#))
    #expect(!json(true).contains(#""output_bytes""#) && !json(false).contains(#""output""#))
  }

  @Test("long outputs are cut alike, between characters, and short ones are whole")
  func cutOutputs() {
    var trace = PlanTrace(plan)
    trace.record(ended("p1", report: report("a", 5, output: "short")))
    trace.record(
      ended("p2", .creative, report: report("b", 5, output: String(repeating: "é", count: 50))))
    #expect(
      trace.outputs(within: 20) == [
        "p1": .init(text: "short", bytes: 5),
        "p2": .init(text: String(repeating: "é", count: 7), bytes: 100),
      ])
    #expect(trace.outputs(within: 4)["p1"] == .init(text: "sh", bytes: 5))
    #expect(trace.outputs(within: 0).values.allSatisfy { $0.text.isEmpty })
    trace.record(
      ended("p1", report: report("a", 5, output: String(repeating: "x", count: 1 << 20))))
    let whole = trace.outputs(within: Limits.tracedOutputBytes.value)
    #expect(whole.values.reduce(0) { $0 + $1.text.utf8.count } <= Limits.tracedOutputBytes.value)
    #expect(whole["p2"]?.text.utf8.count == 100)
  }

  @Test("text that a client received counts for its host, until the host's own count is known")
  func written() {
    var trace = PlanTrace(plan)
    trace.record(started("s", .coordinator))
    trace.record(
      .firstToken(task: "s", TaskBegan(host: "a", model: "m", firstTokenMilliseconds: 3)))
    func tokens() -> [Int] {
      HostCosts(plan: trace, model: "m", written: 6, table: .empty).shares
        .map(\.completionTokens)
    }
    #expect(tokens() == [6])
    trace.record(ended("s", .coordinator, .failed, reason: "lost", report: report("a", 9)))
    #expect(tokens() == [9])
  }

  @Test("a skipped task has its cost in the trace, and does not count as finished")
  func costOfNothing() {
    var trace = PlanTrace(plan)
    trace.record(started("p1"))
    trace.record(ended("p1", .research, .skipped, reason: "empty", report: report("a", 5)))
    #expect(trace.finished.isEmpty)
    #expect(trace.usage.completionTokens == 5 && trace.hosts == ["a"])
    #expect(trace.skipped["p1"]?.usage.completionTokens == 5)
    func cost(_ price: HostPrice?) -> CreditAmount? {
      let host = Host(id: "a", url: "http://a", price: price)
      return HostCosts(
        plan: trace, model: "m", table: HostTable(epoch: 1, revision: 1, hosts: [host])
      ).total
    }
    #expect(cost(HostPrice(input: 1_000_000, output: 1_000_000))?.description == "0.000015")
    // Without a credential and a price, the host is the owner's and free.
    #expect(cost(nil) == .zero)
  }

  @Test("tasks that never ran stand in the trace too, as unfinished")
  func unfinished() {
    let json = text(
      TraceExtension.json(TraceID(high: 0, low: 1), PlanTrace(plan), .init()).encoded)
    #expect(json.ranges(of: #""status":"unfinished""#).count == 3)
    #expect(json.contains(#""first_progress_ms":null"#))
  }

  /// A sub-plan of two stages that replaces `p1`.
  private let sub = SubPlan(
    tasks: [
      PlanTask(
        id: "q1", role: .code, inputs: [Edge(from: "p1", name: "Brief")], merge: .synthesise),
      PlanTask(
        id: "q2", role: .critic, inputs: [Edge(from: "q1", name: "Draft")], merge: .synthesise),
    ], output: "q2")

  @Test("an expansion is spliced into the gateway's own plan, so that another dispatcher can go on")
  func expansion() throws {
    var expanding = plan
    expanding.tasks[0].expansion = "more"
    var trace = PlanTrace(expanding)
    trace.record(started("p1"))
    trace.record(ended("p1", report: report("a", 5)))
    trace.record(.expanded(task: "p1", sub))
    #expect(trace.plan == (try expanding.splicing(sub, at: "p1")))
    #expect(trace.obstacle == nil)
    #expect(trace.expansions == [.init(task: "p1", tasks: ["q1", "q2"])])
    let added = trace.spanFacts.dependencies.filter { $0.origin == "p1" }
    #expect(added.map(\.task) == ["q1", "q2"])
    #expect(trace.tasks.map(\.id) == ["p1", "p2", "s", "q1", "q2"])
    #expect(trace.task("s")?.inputs == ["q2", "p2"])
    #expect(trace.task("p1")?.status == .done)
    #expect(trace.finished["p1"] != nil)
  }

  @Test("a sink that expands hands its place to another task")
  func newSink() throws {
    var expanding = plan
    expanding.tasks[2].expansion = "more"
    var trace = PlanTrace(expanding)
    trace.record(
      .expanded(
        task: "s",
        SubPlan(
          tasks: [
            PlanTask(
              id: "t", role: .critic, inputs: [Edge(from: "s", name: "Draft")], merge: .synthesise)
          ], output: "t")))
    #expect(trace.plan.sink == "t")
  }

  @Test("an expansion that does not fit changes nothing, and no other dispatcher can continue")
  func badExpansion() {
    var trace = PlanTrace(plan)
    trace.record(.expanded(task: "nobody", sub))
    #expect(trace.plan == plan && trace.expansions.isEmpty)
    #expect(trace.obstacle?.contains("expansion") == true)
  }

  @Test("no dispatcher continues within a tool call; reasoning and text do not prevent it")
  func toolCalls() {
    var trace = PlanTrace(plan)
    trace.record(
      .delta(TaskDelta(text: "", deltaJSON: Array(#"{"reasoning_content":"hm"}"#.utf8))))
    trace.record(
      .delta(TaskDelta(text: "a", deltaJSON: Array(#"{"content":"a","tool_calls":null}"#.utf8))))
    #expect(trace.obstacle == nil)
    trace.record(.delta(TaskDelta(text: "", deltaJSON: Array(#"{"tool_calls":[{}]}"#.utf8))))
    #expect(trace.obstacle?.contains("tool call") == true)
  }

  @Test("the facts for a span name the inputs of each task, and tasks that were skipped")
  func spanFacts() {
    var trace = PlanTrace(plan)
    #expect(
      trace.spanFacts.dependencies == [
        .init(task: "p1"), .init(task: "p2"), .init(task: "s", inputs: ["p1", "p2"]),
      ])
    #expect(trace.spanFacts.departures.isEmpty)
    trace.record(ended("p1", report: report("a", 5)))
    trace.record(ended("p2", .creative, .skipped, reason: "its agent was lost"))
    #expect(
      trace.spanFacts.departures == [
        .init(task: "p2", status: .skipped, reason: "its agent was lost")
      ])
  }
}

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

@Suite("A plan that is shown and not run")
struct PlanPreviewTests {
  @Test("it has every task with what makes it this task, and the three pictures")
  func whole() throws {
    var shown = plan
    shown.tasks[2].contract = .choice(["yes", "no"])
    shown.tasks[1].documents = [PlanTask.everyDocument]
    shown.tasks[0].model = "m"
    shown.tasks[0].instruction = "Say \"hi\"."
    let request = try parse(#"{"model":"tutti/ensemble",\#(hello)}"#)
    let figures = PlanFigures(of: shown, for: request, hosts: [], price: nil)
    let json = text(PlanPreview.json(shown, figures).encoded)
    for part in [
      #""pattern":"tutti/ensemble""#, #""sink":"s""#, #""seed":"7""#, #""deadline_ms":60000"#,
      #""inputs":[{"from":"p1","name":"Draft 1"},{"from":"p2","name":"Draft 2"}]"#,
      #""contract":{"kind":"choice","words":["yes","no"]}"#, #""documents":["*"]"#,
      #""model":"m""#, #""instruction":"Say \"hi\".""#, #""on_failure":"skip""#,
    ] {
      #expect(json.contains(part), "\(part) in \(json)")
    }
    let document = try JSONObjectScanner(Array(json.utf8))
    #expect(document.members.map(\.name) == ["plan", "figures", "text", "mermaid", "graphviz"])
    let shownText = document["text"].flatMap(document.document.string)
    #expect(shownText?.hasPrefix("\(shown.text)costs: ") == true)
    #expect(document["mermaid"].flatMap(document.document.string) == shown.mermaid)
    #expect(document["graphviz"].flatMap(document.document.string) == shown.graphviz)
  }

  @Test("an absent estimate has a reason")
  func none() throws {
    let request = try parse(#"{"model":"tutti/auto",\#(hello)}"#)
    let figures = PlanFigures(directlyFor: request, model: nil, hosts: [], price: nil)
    let json = text(PlanPreview.direct(reason: "the question is short", figures).encoded)
    #expect(json.hasPrefix(#"{"plan":null,"reason":"the question is short""#))
    #expect(json.contains("direct: the question is short\\ncosts: 1 call, about "))
  }
}
