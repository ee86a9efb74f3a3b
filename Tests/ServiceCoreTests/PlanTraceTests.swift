import ClusterModel
import GatewayCore
import Limits
import Testing
import Text

private let plan = Plan.twoDrafts

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
