import ClusterModel
import DispatcherCore
import Testing

@Suite("Plans that grow")
struct DispatcherExpansionTests {
  static let request = PlanRequest(pattern: "test", query: "?", seed: 1, available: ["m"])

  /// An order for a plan of a task and a sink that reads it. One of the two expands.
  static func order(
    sinkExpands: Bool = false, request: PlanRequest? = request,
    finished: [TaskID: TaskReport] = [:],
    expansions: Int = 0
  ) -> PlanOrder {
    var plan = Plan.fan(1)
    plan.tasks[sinkExpands ? 1 : 0].expansion = "next"
    plan.expansions = expansions
    return PlanOrder(
      plan: plan, conversation: Conversation(messagesJSON: []), finished: finished,
      request: request)
  }

  /// A sub-plan of one task, which reads `task` and makes the sub-plan's output.
  static func following(_ task: TaskID, _ id: TaskID = "more", expansion: String? = nil) -> SubPlan
  {
    SubPlan(
      tasks: [
        PlanTask(
          id: id, role: .code, inputs: [Edge(from: task, name: "x")], merge: .summarise,
          expansion: expansion)
      ], output: id)
  }

  @Test("the planner is asked with what the task wrote and read, before anybody reads it")
  func asked() throws {
    var plan = try Rehearsal(order: Self.order())
    plan(.start)
    let asked = plan.finish("t0", output: "{garbage")
    #expect(asked.starts.isEmpty && asked.ended.isEmpty)
    let expand = try #require(asked.expands.first)
    #expect(expand.task == "t0")
    #expect(expand.output == "{garbage")
    #expect(expand.request == Self.request)
    #expect(asked.armed(.expansion("t0")) == Instant(sinceStart: .seconds(5)))
  }

  @Test("the sub-plan becomes part of the plan, and the gateway is notified")
  func spliced() throws {
    var plan = try Rehearsal(order: Self.order())
    plan(.start)
    plan.finish("t0", output: "brief")
    let sub = Self.following("t0")
    let grown = plan(.expanded("t0", sub))
    #expect(grown.ended.map(\.status) == [.done])
    #expect(grown.contains(.emit(.expanded(task: "t0", sub))))
    #expect(grown.starts.map(\.attempt.task) == ["more"])
    #expect(grown.starts.first?.order.inputs.map(\.text) == ["brief"])
    let sink = plan.finish("more", output: "more").starts.first
    #expect(sink?.order.inputs.map(\.text) == ["more"])
    #expect(plan.finish("sink").finished != nil)
    // A second reply to the same expansion is ignored.
    #expect(plan(.expanded("t0", sub)).isEmpty)
  }

  @Test(
    "a sink that expands sends nothing until its sub-plan is known, which may have another sink")
  func sink() throws {
    var plan = try Rehearsal(order: Self.order(sinkExpands: true))
    plan(.start)
    let start = try #require(plan.finish("t0").starts.first)
    #expect(!start.order.isSink)
    #expect(plan(.delta(Attempt("sink", 1), TaskDelta(text: "{"))).isEmpty)
    plan.finish("sink", output: "{}")
    let next = plan(.expanded("sink", Self.following("sink")))
    #expect(next.text == "")
    #expect(next.starts.map(\.order.isSink) == [true])
    #expect(plan(.delta(Attempt("more", 1), TaskDelta(text: "answer"))).text == "answer")
    #expect(plan.finish("more", output: "answer").finished != nil)
    // Without following tasks, the sink's own output is the answer.
    var alone = try Rehearsal(order: Self.order(sinkExpands: true))
    alone(.start)
    alone.finish("t0")
    alone.finish("sink", output: "all")
    let end = alone(.expanded("sink", .nothing(after: "sink")))
    #expect(end.text == "all")
    #expect(end.finished != nil)
  }

  @Test("without a planner the task's own output is kept, degraded, with the reason")
  func noPlanner() throws {
    for event in [
      PlanRunEvent.expansionFailed("t0", Failure(.peerLost, "the planner died")),
      .fired(.expansion("t0")),
    ] {
      var plan = try Rehearsal(order: Self.order())
      plan(.start)
      plan.finish("t0", output: "own")
      let end = plan(event)
      #expect(end.ended.map(\.status) == [.degraded])
      #expect(end.ended.first?.reason.contains("planner") == true)
      #expect(end.starts.first?.order.inputs.map(\.text) == ["own"])
      #expect(plan(.expanded("t0", Self.following("t0"))).isEmpty)
    }
    var orphan = try Rehearsal(order: Self.order(request: nil))
    orphan(.start)
    let end = orphan.finish("t0", output: "own")
    #expect(end.expands.isEmpty)
    #expect(end.ended.map(\.status) == [.degraded])
    #expect(end.starts.count == 1)
  }

  @Test("without a planner what was written for it is no answer: the request fails with the reason")
  func onlyForThePlanner() throws {
    var order = Self.order(sinkExpands: true)
    order.plan.tasks[1].contract = .json(schema: "{}")
    order.plan.tasks[1].onFailure = .fail
    var plan = try Rehearsal(order: order)
    plan(.start)
    plan.finish("t0", output: "own")
    plan.finish("sink", output: #"{"parts":[]}"#)
    let end = plan(.expansionFailed("sink", Failure(.noPeer, "no planner answers")))
    #expect(end.text.isEmpty && end.finished == nil)
    #expect(end.failure?.message.contains("no planner answers") == true)
  }

  @Test("without a planner a comparison is the first of what it compared, also for who reads it")
  func onlyCompared() throws {
    for isSink in [true, false] {
      var tasks = [
        PlanTask(id: "a", role: .research), PlanTask(id: "b", role: .research),
        PlanTask(
          id: "compared", role: .coordinator,
          inputs: [Edge(from: "a", name: "Answer 1"), Edge(from: "b", name: "Answer 2")],
          merge: .agree, expansion: "round"),
      ]
      if !isSink {
        tasks.append(
          PlanTask(
            id: "answer", role: .coordinator, inputs: [Edge(from: "compared", name: "Draft")],
            merge: .summarise))
      }
      var plan = try Rehearsal(
        order: PlanOrder(
          plan: Plan(
            id: "p", pattern: "test", tasks: tasks, sink: tasks.last?.id ?? "", seed: 1,
            deadline: .seconds(60)), conversation: Conversation(messagesJSON: []),
          request: Self.request))
      plan(.start)
      plan.finish("a", output: "One.")
      plan.finish("b", output: "Two.")
      let end = plan(.expansionFailed("compared", Failure(.noPeer, "no planner answers")))
      #expect(end.ended.first?.status == .degraded)
      if isSink {
        #expect(end.text == "One." && end.finished != nil)
      } else {
        #expect(end.starts.first?.order.inputs.map(\.text) == ["One."])
      }
    }
  }

  @Test("a sink's output before its expansion does not count as text that the client has")
  func notesOfSink() throws {
    var order = Self.order(sinkExpands: true)
    order.plan.tasks[1].onFailure = .degrade
    for sub in [SubPlan.nothing(after: "sink"), Self.following("sink")] {
      var plan = try Rehearsal(order: order)
      plan(.start)
      plan.finish("t0")
      #expect(plan(.delta(Attempt("sink", 1), TaskDelta(text: "notes"))).isEmpty)
      plan.finish("sink", output: "notes")
      let next = plan(.expanded("sink", sub))
      #expect(next.text == (sub.tasks.isEmpty ? "notes" : ""))
      #expect(next.starts.map(\.order.prefix) == (sub.tasks.isEmpty ? [] : [""]))
    }
  }

  @Test(
    "a comparison of an earlier dispatcher that cannot expand is an answer for its readers, too")
  func resumedComparison() throws {
    let shape = Plan(
      id: "p", pattern: "test",
      tasks: [
        PlanTask(id: "a", role: .research),
        PlanTask(
          id: "compared", role: .coordinator, inputs: [Edge(from: "a", name: "Answer 1")],
          merge: .agree, expansion: "round"),
        PlanTask(
          id: "answer", role: .coordinator, inputs: [Edge(from: "compared", name: "Draft")],
          merge: .summarise),
      ], sink: "answer", seed: 1, deadline: .seconds(60))
    var plan = try Rehearsal(
      order: PlanOrder(
        plan: shape, conversation: Conversation(messagesJSON: []),
        finished: ["a": report("One."), "compared": report("{}")], request: Self.request))
    #expect(plan(.start).expands.map(\.task) == ["compared"])
    let end = plan(.expansionFailed("compared", Failure(.noPeer, "no planner answers")))
    #expect(end.starts.first?.order.inputs.map(\.text) == ["One."])
  }

  @Test("a planner's invalid sub-plan is refused with a reason, and the plan continues")
  func garbage() throws {
    let cycle = SubPlan(
      tasks: [
        PlanTask(id: "a", role: .code, inputs: [Edge(from: "b", name: "x")], merge: .replace),
        PlanTask(id: "b", role: .code, inputs: [Edge(from: "a", name: "x")], merge: .replace),
      ], output: "a")
    let huge = SubPlan(
      tasks: (0..<10_000).map { PlanTask(id: TaskID("h\($0)"), role: .code) }, output: "h0")
    let backwards = SubPlan(
      tasks: [
        PlanTask(id: "a", role: .code, inputs: [Edge(from: "sink", name: "x")], merge: .replace)
      ], output: "a")
    for (sub, word) in [
      (cycle, "waits for itself"), (huge, "tasks; at most"), (backwards, "it reads the sink"),
      (SubPlan(tasks: [], output: "nobody"), "nobody"),
      (Self.following("t0", "sink"), "two tasks have this id"),
    ] {
      var plan = try Rehearsal(order: Self.order())
      plan(.start)
      plan.finish("t0", output: "own")
      let end = plan(.expanded("t0", sub))
      #expect(end.ended.map(\.status) == [.degraded])
      #expect(end.ended.first?.reason.contains(word) == true, "\(end.ended)")
      #expect(end.starts.map(\.attempt.task) == ["sink"])
    }
  }

  @Test("expansions of expansions come to an end")
  func nested() throws {
    var plan = try Rehearsal(order: Self.order())
    plan(.start)
    var task = TaskID("t0")
    var asked = 0
    while !plan.finish(task, output: "text").expands.isEmpty {
      asked += 1
      let next = TaskID("n\(asked)")
      guard
        let start = plan(.expanded(task, Self.following(task, next, expansion: "next"))).starts
          .first
      else { break }
      task = start.attempt.task
      #expect(asked <= PlanValidation.maximumExpansions)
    }
    #expect(task == "sink")
    #expect(plan.log.finished != nil)
    #expect((1...PlanValidation.maximumExpansions + 1).contains(asked))
    #expect(plan.log.ended.contains { $0.status == .degraded })
  }

  @Test("a task that failed may still expand, from what it has, if it degrades")
  func degraded() throws {
    var order = Self.order()
    order.plan.tasks[0].onFailure = .degrade
    var plan = try Rehearsal(order: order)
    plan(.start)
    let asked = plan(.failed(Attempt("t0", 1), Failure(.upstreamFailed, "no")))
    #expect(asked.expands.map(\.output) == [""])
    let grown = plan(.expanded("t0", Self.following("t0")))
    #expect(grown.ended.map(\.status) == [.degraded])
    #expect(grown.starts.map(\.attempt.task) == ["more"])
  }

  @Test("a contract that is not met is the expansion's to deal with")
  func contract() throws {
    var order = Self.order()
    order.plan.tasks[0].contract = .json(schema: "{}")
    var plan = try Rehearsal(order: order)
    plan(.start)
    var bad = report("garbage")
    bad.contractMet = false
    #expect(plan(.finished(Attempt("t0", 1), bad)).expands.map(\.output) == ["garbage"])
  }

  @Test(
    "a dispatcher that takes over a plan expands it again, unless a task has read the output")
  func resumed() throws {
    var plan = try Rehearsal(order: Self.order(finished: ["t0": report("own")]))
    let start = plan(.start)
    #expect(start.expands.map(\.task) == ["t0"])
    #expect(start.starts.isEmpty)
    let grown = plan(.expanded("t0", Self.following("t0")))
    // An earlier dispatcher has already reported the end of `t0`.
    #expect(grown.ended.isEmpty)
    #expect(grown.starts.map(\.attempt.task) == ["more"])
    var read = Self.order(finished: ["t0": report("own"), "late": report("read it")])
    read.plan.tasks.insert(
      PlanTask(id: "late", role: .code, inputs: [Edge(from: "t0", name: "x")], merge: .summarise),
      at: 1)
    read.plan.tasks[2].inputs.append(Edge(from: "late", name: "late"))
    var other = try Rehearsal(order: read)
    let directives = other(.start)
    #expect(directives.expands.isEmpty)
    #expect(directives.starts.map(\.attempt.task) == ["sink"])
  }

  @Test("cancelling takes the question back")
  func cancelled() throws {
    var plan = try Rehearsal(order: Self.order())
    plan(.start)
    plan.finish("t0")
    let end = plan(.cancelled)
    #expect(end.contains(.cancelExpansion("t0")))
    #expect(end.contains(.disarm(.expansion("t0"))))
    #expect(plan(.expanded("t0", Self.following("t0"))).isEmpty)
  }
}
