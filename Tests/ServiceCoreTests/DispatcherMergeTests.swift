import ClusterModel
import DispatcherCore
import Testing
import Text

@Suite("Merge rules")
struct DispatcherMergeTests {
  let broken = Failure(.upstreamFailed, "the host said no")

  /// A plan of `count` tasks and a merge of their outputs. The merge is the sink, or a sink reads
  /// it.
  static func plan(
    _ count: Int, _ rule: MergeRule, isSink: Bool = false, quorum: Int? = nil,
    onFailure: FailureRule = .skip
  ) -> Plan {
    var plan = Plan.fan(count, quorum: quorum, onFailure: onFailure)
    plan.tasks[count].merge = rule
    guard !isSink else { return plan }
    plan.tasks[count].id = "merge"
    plan.tasks.append(
      PlanTask(
        id: "sink", role: .coordinator, inputs: [Edge(from: "merge", name: "merged")],
        merge: .summarise))
    return plan
  }

  /// The text that the reader of a merge receives for these outputs.
  private func merged(_ rule: MergeRule, _ outputs: [String]) throws -> String? {
    var plan = try Rehearsal(Self.plan(outputs.count, rule, onFailure: .fail))
    plan(.start)
    for (index, output) in outputs.enumerated() {
      plan.finish(TaskID("t\(index)"), output: output)
    }
    #expect(!plan.log.starts.contains { $0.attempt.task == "merge" }, "it needs no agent")
    return plan.log.starts.last?.order.inputs.first?.text
  }

  @Test("none: the conversation is enough, there are no inputs")
  func none() throws {
    var plan = try Rehearsal(.fan(1))
    let start = try #require(plan(.start).starts.first)
    #expect(start.order.inputs.isEmpty)
  }

  @Test("concatenate: one after the other in the order of the inputs, seams and tokens out")
  func concatenate() throws {
    #expect(try merged(.concatenate, ["One.<|im_end|>", "", "Two.\n"]) == "One.\n\nTwo.")
  }

  @Test("replace: the last successful input replaces all others")
  func replace() throws {
    #expect(try merged(.replace, ["draft", "better draft"]) == "better draft")
    var plan = try Rehearsal(Self.plan(2, .replace, quorum: 1))
    plan(.start)
    plan.finish("t0", output: "draft")
    let next = plan(.failed(Attempt("t1", 1), broken))
    #expect(next.starts.first?.order.inputs.first?.text == "draft")
    let end = try #require(next.ended.first { $0.task == "merge" })
    #expect(end.status == .degraded)
    #expect(end.reason == "it ran without t1")
  }

  @Test("vote: what most of them answer, in the words of the first that did")
  func vote() throws {
    #expect(try merged(.vote, ["C", "The answer is 42.", "42"]) == "The answer is 42.")
  }

  @Test("vote: the report has every vote, and names the outvoted inputs")
  func voters() throws {
    var plan = try Rehearsal(Self.plan(4, .vote, isSink: true, quorum: 3))
    plan(.start)
    for (index, said) in ["The answer is 42.", "41", "42", "**42**."].enumerated() {
      plan.finish(TaskID("t\(index)"), output: said)
    }
    let facts = plan.run.mergeFacts(of: "sink")
    #expect(facts.map(\.key) == ["votes", "dissent"])
    #expect(facts.map(\.value) == ["42: t0, t2, t3; 41: t1", "t1 (t1)"])
    #expect(plan.run.mergeFacts(of: "t0").isEmpty)
    var agreed = try Rehearsal(Self.plan(2, .vote, isSink: true))
    agreed(.start)
    for task in ["t0", "t1"] { agreed.finish(TaskID(task), output: "yes") }
    #expect(agreed.run.mergeFacts(of: "sink").map(\.value) == ["yes: t0, t1"])
  }

  @Test("agree: no text, because the planner compares the inputs")
  func agree() throws {
    #expect(try merged(.agree, ["yes", "no", "Yes."]) == "")
  }

  @Test("summarise: a model is given the texts, without weights")
  func summarise() throws {
    var plan = try Rehearsal(Self.plan(3, .summarise, isSink: true))
    plan(.start)
    for task in ["t0", "t1"] { plan.finish(TaskID(task), output: "yes") }
    let sink = try #require(plan.finish("t2", output: "no").starts.first)
    #expect(sink.order.inputs.map(\.text) == ["yes", "yes", "no"])
    #expect(sink.order.inputs.map(\.weightMilli) == [nil, nil, nil])
  }

  @Test("synthesise: from three texts on, each has the weight of its agreement, dissent too")
  func synthesise() throws {
    var plan = try Rehearsal(Self.plan(3, .synthesise, isSink: true))
    plan(.start)
    for task in ["t0", "t1"] { plan.finish(TaskID(task), output: "yes") }
    let sink = try #require(plan.finish("t2", output: "no").starts.first)
    #expect(sink.order.inputs.map(\.text) == ["yes", "yes", "no"])
    #expect(sink.order.inputs.map(\.weightMilli) == [500, 500, Agreement.leastWeightMilli])
    var two = try Rehearsal(Self.plan(2, .synthesise, isSink: true))
    two(.start)
    two.finish("t0")
    #expect(two.finish("t1").starts.first?.order.inputs.map(\.weightMilli) == [nil, nil])
  }

  @Test("only agents of a plan with a budget are told to spare tokens")
  func spares() throws {
    var free = try Rehearsal(Self.plan(3, .synthesise, isSink: true))
    #expect(free(.start).starts.map(\.order.sparesTokens) == [false, false, false])
    let order = DispatcherBudgetTests.order(
      Self.plan(3, .synthesise, isSink: true), budget: 100_000)
    var bounded = try Rehearsal(order: order)
    let starts = bounded(.start).starts
    #expect(!starts.isEmpty && starts.allSatisfy(\.order.sparesTokens))
  }

  @Test("a vote ends as soon as the majority cannot change, and the stragglers are cancelled")
  func earlyVote() throws {
    var plan = try Rehearsal(Self.plan(5, .vote, isSink: true, quorum: 3))
    plan(.start)
    #expect(plan.finish("t0", output: "(B)").finished == nil)
    #expect(plan.finish("t1", output: "C").finished == nil)
    #expect(plan.finish("t3", output: "b.").finished == nil)
    let end = plan.finish("t4", output: "Answer: B")
    #expect(end.text == "(B)")
    #expect(end.cancels == [Attempt("t2", 1)])
    #expect(end.ended.map(\.task) == ["t4", "sink", "t2"])
    #expect(end.ended.map(\.status) == [.done, .done, .skipped])
    #expect(end.finished?.sinkUsage == .zero)
  }

  @Test("an undecided vote continues")
  func openVote() throws {
    var plan = try Rehearsal(Self.plan(4, .vote, isSink: true, quorum: 1))
    plan(.start)
    plan.finish("t0", output: "B")
    #expect(plan.finish("t1", output: "B").finished == nil)
    #expect(plan(.failed(Attempt("t2", 1), broken)).finished != nil)
  }

  @Test("a quorum is waited for, however clear the majority is")
  func voteQuorum() throws {
    var plan = try Rehearsal(Self.plan(3, .vote, isSink: true, quorum: 3))
    plan(.start)
    plan.finish("t0", output: "B")
    #expect(plan.finish("t1", output: "B").finished == nil)
    #expect(plan.finish("t2", output: "C").text == "B")
  }

  @Test("a sink that concatenates sends each part as soon as all earlier parts are complete")
  func streamedConcatenation() throws {
    var plan = try Rehearsal(Self.plan(3, .concatenate, isSink: true, onFailure: .fail))
    plan(.start)
    #expect(plan.finish("t1", output: "Two.").text == "")
    #expect(plan.finish("t0", output: "One.").text == "One.\n\nTwo.")
    let end = plan.finish("t2", output: "Three.")
    #expect(end.text == "\n\nThree.")
    #expect(end.ended.last?.report?.output == "One.\n\nTwo.\n\nThree.")
    #expect(end.finished != nil)
  }

  @Test("an answer of parts that a limit cut off was cut off")
  func cutParts() throws {
    for reason in ["stop", "length"] {
      var plan = try Rehearsal(Self.plan(2, .concatenate, isSink: true, onFailure: .fail))
      plan(.start)
      var first = report("One")
      first.finishReason = reason
      plan(.finished(Attempt("t0", 1), first))
      #expect(plan.finish("t1", output: "Two.").finished?.finishReason == reason)
    }
  }

  @Test("an agent is told if the answer contains its output word for word")
  func parts() throws {
    for (merge, isPart) in [
      (MergeRule.concatenate, true), (.vote, true), (.synthesise, false), (.agree, false),
    ] {
      var plan = try Rehearsal(Self.plan(2, merge, isSink: true))
      #expect(plan(.start).starts.map(\.order.isPart) == [isPart, isPart], "\(merge)")
    }
    // The output of a task is not part of the answer if its reader writes a new text.
    var plan = try Rehearsal(Self.plan(2, .concatenate))
    #expect(plan(.start).starts.allSatisfy { !$0.order.isPart })
  }

  @Test("a large mechanical answer goes out in pieces of whole characters")
  func pieces() throws {
    var plan = try Rehearsal(Self.plan(1, .replace, isSink: true))
    plan(.start)
    let text = "x" + String(repeating: "é", count: 20_000)
    let end = plan.finish("t0", output: text)
    #expect(end.text == text)
    #expect(end.count { if case .emit(.delta) = $0 { true } else { false } } == 3)
  }

  @Test("a killed critic degrades the plan: its readers get the unreviewed draft, with a reason")
  func killedCritic() throws {
    let shape = Plan(
      id: "p", pattern: "test",
      tasks: [
        PlanTask(id: "draft", role: .code),
        PlanTask(
          id: "review", role: .critic, inputs: [Edge(from: "draft", name: "draft")],
          merge: .summarise, onFailure: .degrade),
        PlanTask(
          id: "sink", role: .coordinator, inputs: [Edge(from: "review", name: "review")],
          merge: .synthesise),
      ], sink: "sink", seed: 1, deadline: .seconds(60))
    var plan = try Rehearsal(shape)
    plan(.start)
    plan.finish("draft", output: "the draft")
    for number in 1...2 {
      plan(.failed(Attempt("review", number), Failure(.peerLost, "it was killed")))
      plan(.fired(.retry("review")))
    }
    let lost = plan(.failed(Attempt("review", 3), Failure(.peerLost, "it was killed")))
    let end = try #require(lost.ended.first)
    #expect(end.status == .degraded)
    #expect(end.reason.contains("it was killed"))
    #expect(end.report?.output == "the draft")
    #expect(lost.starts.first?.order.inputs.map(\.text) == ["the draft"])
    // The review's partial output is preferred to the draft.
    var other = try Rehearsal(shape)
    other(.start)
    other.finish("draft", output: "the draft")
    other(.delta(Attempt("review", 1), TaskDelta(text: "half a review")))
    let cut = other(.failed(Attempt("review", 1), broken))
    #expect(cut.starts.first?.order.inputs.map(\.text) == ["half a review"])
  }

  @Test("an output that breaks its contract counts as a failure, by the task's rule")
  func contract() throws {
    var bad = report("not JSON")
    bad.contractMet = false
    for (rule, status) in [
      (FailureRule.fail, TaskStatus.failed), (.skip, .skipped), (.degrade, .degraded),
    ] {
      var shape = Plan.fan(2, quorum: 1, onFailure: rule)
      shape.tasks[0].contract = .json(schema: "{}")
      var plan = try Rehearsal(shape)
      plan(.start)
      let end = plan(.finished(Attempt("t0", 1), bad))
      #expect(end.ended.first?.status == status)
      #expect(end.ended.first?.reason.contains("contract") == true)
      #expect((end.failure != nil) == (rule == .fail))
    }
  }

  @Test("a task's prompt goes nowhere wider than the plan's, and it gets the documents it reads")
  func policyAndDocuments() throws {
    var shape = Plan.fan(3)
    shape.tasks[0].dataPolicy = .local
    shape.tasks[1].dataPolicy = .any
    shape.tasks[1].documents = ["b"]
    shape.tasks[2].documents = [PlanTask.everyDocument]
    let documents = ["a", "b"].map { Document(name: $0, text: $0) }
    var plan = try Rehearsal(
      order: PlanOrder(
        plan: shape, conversation: Conversation(messagesJSON: []), dataPolicy: .trusted,
        pools: HostPools(["gpu"]), models: AllowedModels(["m"]), documents: documents))
    let orders = plan(.start).starts.map(\.order)
    #expect(orders.map(\.dataPolicy) == [.local, .trusted, .trusted])
    #expect(orders.allSatisfy { $0.pools == HostPools(["gpu"]) })
    #expect(orders.allSatisfy { $0.models == AllowedModels(["m"]) })
    #expect(orders.map { $0.documents.map(\.name) } == [[], ["b"], ["a", "b"]])
  }

  @Test("if a model returns its inputs instead of a merge, the answer is kept and declared")
  func echo() throws {
    let drafts = [
      "Wood stores carbon, and a house made of it is warm and built within weeks.",
      "A wooden house is renewable, light on its foundations, and easily changed.",
    ]
    func end(_ answer: String) throws -> TaskEnded {
      var plan = try Rehearsal(.fan(2))
      plan(.start)
      for (index, draft) in drafts.enumerated() { plan.finish(TaskID("t\(index)"), output: draft) }
      plan.finish("sink", output: answer)
      return try #require(plan.log.ended.last { $0.task == "sink" })
    }
    let name = try #require(Plan.fan(2).tasks.last?.inputs.first?.name)
    for echo in [drafts.joined(separator: "\n\n"), "\(name):\n\(drafts[0])"] {
      let ended = try end(echo)
      #expect(ended.status == .degraded && ended.reason.contains("instead of merging"), "\(ended)")
      #expect(ended.report?.output == echo)
    }
    // A copy of the best draft is a valid answer.
    for answer in [drafts[0], "It is renewable, warm, and stores carbon."] {
      #expect(try end(answer).status == .done)
    }
  }

  @Test("an empty draft does not count, and a draft replaces an empty answer")
  func empty() throws {
    var fan = Plan.fan(2, quorum: 1, onFailure: .skip)
    fan.tasks[2].onFailure = .degrade
    var plan = try Rehearsal(fan)
    plan(.start)
    plan.finish("t0", output: " \n")
    #expect(plan.log.ended.last { $0.task == "t0" }?.status == .skipped)
    plan.finish("t1", output: "The one draft.")
    plan.finish("sink", output: "")
    let ended = try #require(plan.log.ended.last { $0.task == "sink" })
    #expect(ended.status == .degraded && ended.reason.contains("wrote nothing"), "\(ended)")
    #expect(plan.log.finished != nil && plan.log.text == "The one draft.")
  }

  @Test(
    "an answer that fails before its first word is a draft; one that has begun is not mended so")
  func standIn() throws {
    for beginning in ["", "Half of"] {
      var fan = Plan.fan(2)
      fan.tasks[2].onFailure = .degrade
      var plan = try Rehearsal(fan)
      plan(.start)
      plan.finish("t0", output: "A draft.")
      plan.finish("t1", output: "Another.")
      let sink = try #require(plan.log.starts.last).attempt
      if !beginning.isEmpty { plan(.delta(sink, TaskDelta(text: beginning))) }
      plan(.failed(sink, broken))
      #expect((plan.log.failure == nil) == beginning.isEmpty)
      #expect(plan.log.text == (beginning.isEmpty ? "A draft." : beginning))
    }
  }
}
