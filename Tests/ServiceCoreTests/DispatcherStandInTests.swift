import ClusterModel
import DispatcherCore
import Testing

/// Tests plans that run out of time, and answers from fewer drafts than requested.
@Suite("Drafts that stand in")
struct DispatcherStandInTests {
  /// Advances to the plan's deadline.
  private func end(_ plan: inout Rehearsal) -> [PlanRunDirective] {
    plan.now = Instant(sinceStart: .seconds(60))
    return plan(.fired(.plan))
  }

  /// A plan of drafts and an answer that may be replaced by a draft.
  private func ensemble(_ count: Int, quorum: Int? = 1) -> Plan {
    var plan = Plan.fan(count, quorum: quorum, onFailure: .skip)
    plan.tasks[count].onFailure = .degrade
    return plan
  }

  private func plan(_ tasks: [PlanTask]) -> Plan {
    Plan(
      id: "p", pattern: "test", tasks: tasks, sink: tasks.last?.id ?? "", seed: 1,
      deadline: .seconds(60))
  }

  /// Starts a run with the plan's request, which expansions need.
  private func rehearsal(_ plan: Plan, maxTokens: Int? = nil) throws -> Rehearsal {
    try Rehearsal(
      order: PlanOrder(
        plan: plan, conversation: Conversation(messagesJSON: Array("[]".utf8)),
        request: PlanRequest(
          pattern: "test", query: "?", seed: 1, maxTokens: maxTokens, available: ["m"])))
  }

  @Test("a stand-in draft keeps the client's limit, whether the answer failed or was late")
  func limited() throws {
    for isLate in [true, false] {
      for (limit, text, reason) in [(2, "Four wor", "length"), (3, "Four words.", "stop")] {
        var plan = try rehearsal(ensemble(1), maxTokens: limit)
        plan(.start)
        plan.finish("t0", output: "Four words.")
        let end =
          isLate
          ? end(&plan) : plan(.failed(Attempt("sink", 1), Failure(.upstreamFailed, "broken")))
        #expect(end.text == text && end.finished?.finishReason == reason, "\(limit)")
        #expect(end.ended.first { $0.task == "sink" }?.report?.output == text)
      }
    }
  }

  @Test("when the time is over before the answer has begun, a draft is the answer and is declared")
  func draft() throws {
    var plan = try Rehearsal(ensemble(3))
    plan(.start)
    plan.finish("t1", output: "The draft.")
    let end = end(&plan)
    #expect(end.text == "The draft.")
    #expect(end.finished != nil && end.failure == nil && plan.run.isOver)
    let sink = try #require(end.ended.first { $0.task == "sink" })
    #expect(sink.status == .degraded && sink.report?.output == "The draft.")
    #expect(
      sink.reason.contains("not done after 60000 ms; still open: t0, t2, sink"), "\(sink.reason)")
    #expect(sink.textOf == "t1" && sink.reason.contains("the text is t1's ("), "\(sink.reason)")
    #expect(Set(end.cancels) == [Attempt("t0", 1), Attempt("t2", 1)])
    #expect(plan(.finished(Attempt("t0", 1), report("late"))).isEmpty)
  }

  @Test("a draft also stands in while the answer's agent reasons, but not after its first word")
  func begun() throws {
    for beginning in ["", "It is"] {
      var plan = try Rehearsal(ensemble(2))
      plan(.start)
      plan.finish("t0", output: "The draft.")
      plan.finish("t1", output: "Another.")
      let sink = try #require(plan.log.starts.last).attempt
      if !beginning.isEmpty { plan(.delta(sink, TaskDelta(text: beginning))) }
      let end = end(&plan)
      #expect(end.cancels == [sink])
      #expect(end.failure?.code == (beginning.isEmpty ? nil : .deadlineExceeded))
      #expect(plan.log.text == (beginning.isEmpty ? "The draft." : beginning))
    }
    // The same holds if the text came from an earlier dispatcher, or if the client has only a tool
    // call.
    var resumed = try Rehearsal(
      order: PlanOrder(
        plan: ensemble(2), conversation: Conversation(messagesJSON: []),
        finished: ["t0": report("kept"), "t1": report("kept")], sinkPrefix: "It is"))
    resumed(.start)
    #expect(end(&resumed).failure?.code == .deadlineExceeded)
    var called = try Rehearsal(ensemble(1))
    called(.start)
    called.finish("t0")
    called(.delta(Attempt("sink", 1), TaskDelta(text: "", deltaJSON: Array("{}".utf8))))
    #expect(end(&called).failure?.code == .deadlineExceeded)
  }

  @Test(
    "a client that gets the answer in one piece gets a draft if the answer breaks off in the middle",
    arguments: [true, false])
  func brokenOff(isWhole: Bool) throws {
    var plan = try Rehearsal(
      order: PlanOrder(
        plan: ensemble(3), conversation: Conversation(messagesJSON: []), isWhole: isWhole))
    plan(.start)
    for draft in 0..<3 { plan.finish(TaskID("t\(draft)"), output: "Draft \(draft).") }
    let sink = try #require(plan.log.starts.last).attempt
    plan(.delta(sink, TaskDelta(text: "It")))
    let end = plan(.failed(sink, Failure(.upstreamFailed, "the answer broke off after 1 token")))
    guard isWhole else {
      #expect(end.failure?.code == .upstreamFailed && end.text.isEmpty)
      return
    }
    #expect(end.text == "Draft 0." && end.finished != nil && end.failure == nil)
    let ended = try #require(end.ended.first { $0.task == "sink" })
    #expect(ended.status == .degraded && ended.report?.output == "Draft 0.")
    #expect(
      ended.reason.contains("the answer broke off after 1 token; the text is t0's ("),
      "\(ended.reason)")
    #expect(ended.textOf == "t0")
  }

  @Test("a draft replaces an answer in one piece if the time is over, also a resumed one")
  func brokenOffByTime() throws {
    var plan = try Rehearsal(
      order: PlanOrder(
        plan: ensemble(2), conversation: Conversation(messagesJSON: []),
        finished: ["t0": report("kept"), "t1": report("other")], sinkPrefix: "It is",
        isWhole: true))
    plan(.start)
    let end = end(&plan)
    #expect(end.text == "kept" && end.failure == nil)
    #expect(end.ended.last?.report?.output == "kept")
  }

  @Test("without a draft, or where the plan wants none to stand in, the time's end is an error")
  func none() throws {
    var none = try Rehearsal(ensemble(2))
    none(.start)
    #expect(end(&none).failure?.code == .deadlineExceeded)
    var whole = try Rehearsal(.fan(2, quorum: 1, onFailure: .skip))
    whole(.start)
    whole.finish("t0")
    #expect(end(&whole).failure?.code == .deadlineExceeded)
    // Parts of an answer cannot replace it.
    var parts = try Rehearsal(
      DispatcherMergeTests.plan(2, .concatenate, isSink: true, onFailure: .fail))
    parts(.start)
    parts.finish("t1", output: "Two.")
    #expect(end(&parts).failure?.code == .deadlineExceeded)
  }

  @Test("an incomplete vote is counted as it is, and a draft stands in for its missing repair")
  func mechanical() throws {
    var vote = try Rehearsal(DispatcherMergeTests.plan(5, .vote, isSink: true, quorum: 1))
    vote(.start)
    for (task, output) in [("t0", "A"), ("t2", "B"), ("t4", "B")] {
      vote.finish(TaskID(task), output: output)
    }
    let voted = end(&vote)
    #expect(voted.text == "B" && voted.finished != nil)
    #expect(voted.ended.first { $0.task == "sink" }?.status == .degraded)

    var replace = try Rehearsal(DispatcherMergeTests.plan(2, .replace, isSink: true))
    replace(.start)
    replace.finish("t0", output: "The draft.")
    #expect(end(&replace).text == "The draft.")
  }

  @Test("a draft is found before an unfinished review, but notes for a draft do not count as one")
  func behindReview() throws {
    let tasks = [
      PlanTask(id: "notes", role: .research, onFailure: .skip),
      PlanTask(
        id: "draft", role: .coordinator, inputs: [Edge(from: "notes", name: "Notes 1")],
        merge: .synthesise, quorum: 1),
      PlanTask(
        id: "review", role: .critic, inputs: [Edge(from: "draft", name: "Reply")],
        merge: .synthesise, contract: .json(schema: "{}"), onFailure: .degrade,
        expansion: "review"),
      PlanTask(
        id: "sink", role: .coordinator, inputs: [Edge(from: "review", name: "Draft")],
        merge: .synthesise, onFailure: .degrade),
    ]
    for (isDrafted, isReviewed) in [(false, false), (true, false), (true, true)] {
      var plan = try rehearsal(plan(tasks))
      plan(.start)
      plan.finish("notes", output: "Notes.")
      if isDrafted { plan.finish("draft", output: "The draft.") }
      // The critic's output is for a program, so it is not part of the answer.
      plan(.delta(Attempt("review", 1), TaskDelta(text: #"{"verdict""#)))
      if isReviewed { plan.finish("review", output: #"{"verdict":"accept"}"#) }
      let end = end(&plan)
      #expect(end.text == (isDrafted ? "The draft." : ""))
      #expect((end.finished != nil) == isDrafted)
      if isReviewed {
        #expect(
          end.contains(.cancelExpansion("review")) && end.contains(.disarm(.expansion("review"))))
      }
    }
  }

  @Test("of a debate, the last positions count, and the comparison is never the answer")
  func debate() throws {
    func comparison(_ id: TaskID, _ inputs: [TaskID]) -> PlanTask {
      PlanTask(
        id: id, role: .coordinator, inputs: inputs.map { Edge(from: $0, name: $0.name) },
        merge: .agree, quorum: 1, expansion: "round")
    }
    let opening = plan(
      ["a", "b"].map { PlanTask(id: $0, role: .reasoning, onFailure: .skip) }
        + [comparison("agreement-0", ["a", "b"])])
    var early = try rehearsal(opening)
    early(.start)
    early.finish("b", output: "B says so.")
    #expect(end(&early).text == "B says so.")

    // The comparison is done, and the planner has been asked to expand it.
    var asking = try rehearsal(opening)
    asking(.start)
    asking.finish("a", output: "A says so.")
    asking.finish("b", output: "B says so.")
    let asked = end(&asking)
    #expect(asked.text == "A says so." && asked.finished != nil)
    #expect(asked.contains(.cancelExpansion("agreement-0")))

    for isImproved in [false, true] {
      var second = try rehearsal(opening)
      second(.start)
      second.finish("a", output: "A says so.")
      second.finish("b", output: "B says so.")
      let round = SubPlan(
        tasks: ["a2", "b2"].map {
          PlanTask(
            id: $0, role: .reasoning,
            inputs: [Edge(from: "a", name: "A"), Edge(from: "b", name: "B")],
            merge: .synthesise, onFailure: .skip)
        } + [comparison("agreement-1", ["a2", "b2", "a", "b"])], output: "agreement-1")
      second(.expanded("agreement-0", round))
      if isImproved { second.finish("b2", output: "B says more.") }
      let end = end(&second)
      #expect(end.text == (isImproved ? "B says more." : "A says so."))
      #expect(end.ended.first { $0.task == "agreement-1" }?.status == .degraded)
    }
  }

  @Test("a client that names a quorum gets no draft that fewer members support")
  func quorum() throws {
    for arrived in 1...2 {
      var late = try Rehearsal(ensemble(3, quorum: 2))
      late(.start)
      for index in 0..<arrived { late.finish(TaskID("t\(index)"), output: "The draft.") }
      #expect((end(&late).finished != nil) == (arrived == 2))
    }
    var failed = try Rehearsal(ensemble(3, quorum: 2))
    failed(.start)
    failed.finish("t0", output: "The draft.")
    for task in ["t1", "t2"] {
      failed(.failed(Attempt(TaskID(task), 1), Failure(.noEligibleHost, "no host")))
    }
    #expect(failed.log.failure?.code == .noEligibleHost)
    #expect(failed.log.failure?.message.contains("it needs 2") == true)
  }

  // MARK: - Required tool calls

  /// Starts a run whose client requires a tool call.
  private func calling(_ plan: Plan, _ choice: String = #""required""#) throws -> Rehearsal {
    var rehearsal = try Rehearsal(
      order: PlanOrder(
        plan: plan,
        conversation: Conversation(
          messagesJSON: Array("[]".utf8),
          parameters: [.init(name: "tool_choice", json: Array(choice.utf8))]), isWhole: true))
    rehearsal(.start)
    return rehearsal
  }

  @Test("no draft stands in for an answer that must call a tool, whether it failed or was late")
  func noProse() throws {
    for isLate in [true, false] {
      for choice in [#""required""#, #"{"type":"function","function":{"name":"f"}}"#] {
        var plan = try calling(ensemble(2), choice)
        plan.finish("t0", output: "The draft.")
        plan.finish("t1", output: "Another.")
        let end =
          isLate
          ? self.end(&plan) : plan(.failed(Attempt("sink", 1), Failure(.upstreamFailed, "prose")))
        #expect(end.failure?.code == (isLate ? .deadlineExceeded : .upstreamFailed))
        #expect(plan.log.text.isEmpty && end.finished == nil)
      }
      // A choice that leaves the call to the model permits prose.
      var free = try calling(ensemble(1), #""auto""#)
      free.finish("t0", output: "The draft.")
      let freeEnd =
        isLate
        ? self.end(&free) : free(.failed(Attempt("sink", 1), Failure(.upstreamFailed, "gone")))
      #expect(freeEnd.text == "The draft." && freeEnd.failure == nil)
    }
  }

  @Test("an answer without its tool call ends the plan, and its tokens count")
  func lacksCall() throws {
    var plan = try calling(ensemble(1))
    plan.finish("t0", output: "The draft.")
    plan(.assigned(Attempt("sink", 1), agent: PeerID(name: "a", incarnation: 1)))
    var answer = report("", tokens: 30)
    answer.contractMet = false
    let end = plan(.finished(Attempt("sink", 1), answer))
    #expect(end.failure?.code == .upstreamFailed && plan.log.text.isEmpty)
    #expect(end.failure?.message.contains("tool_choice") == true)
    let sink = try #require(end.ended.first { $0.task == "sink" })
    #expect(sink.status == .failed && sink.report?.usage.completionTokens == 30)
  }

  @Test("a call that an agent sends is the answer")
  func called() throws {
    var plan = try calling(ensemble(1))
    plan.finish("t0", output: "The draft.")
    let sink = Attempt("sink", 1)
    plan(.assigned(sink, agent: PeerID(name: "a", incarnation: 1)))
    let call = Array(#"{"tool_calls":[{"index":0,"function":{"name":"f"}}]}"#.utf8)
    plan(.delta(sink, TaskDelta(text: "", deltaJSON: call)))
    var answer = report("")
    answer.finishReason = "tool_calls"
    let end = plan(.finished(sink, answer))
    #expect(end.failure == nil && end.finished?.finishReason == "tool_calls")
  }

  @Test("outputs joined without a model are no answer that calls a tool")
  func joined() throws {
    for merge in [MergeRule.concatenate, .replace, .vote] {
      var plan = try calling(
        DispatcherMergeTests.plan(2, merge, isSink: true, onFailure: .fail))
      plan.finish("t0", output: "One.")
      plan.finish("t1", output: "Two.")
      #expect(plan.log.failure?.code == .upstreamFailed && plan.log.text.isEmpty, "\(merge)")
    }
  }
}
