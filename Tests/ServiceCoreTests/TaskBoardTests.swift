import ClusterModel
import Testing

@testable import DispatcherCore

@Suite("States of a plan's tasks")
struct TaskBoardTests {
  private let broken = Failure(.upstreamFailed, "the host refused")

  private func board(_ plan: Plan) -> TaskBoard { TaskBoard(plan, inputTokens: 16 * 1024) }

  private func plan(_ tasks: [PlanTask]) -> Plan {
    Plan(
      id: "p", pattern: "test", tasks: tasks, sink: tasks.last?.id ?? "", seed: 1,
      deadline: .seconds(60))
  }

  // MARK: - Decisions

  @Test("a task is ready when all its inputs are settled, and only until it starts")
  func ready() {
    var board = board(.fan(2))
    #expect(board.indices.map { board.isReady($0) } == [true, true, false])
    board.start(0)
    board.finish(1, report("one"))
    #expect(board.indices.map { board.isReady($0) } == [false, false, false])
    board.skip(0, broken)
    #expect(board.indices.map { board.isReady($0) } == [false, false, true])
    board.noteMissingInputs(of: 2)
    #expect(board.missingInputs(of: 2) == ["t0"])
  }

  @Test("a mechanical task is not ready for an agent; it is computed")
  func mechanical() throws {
    var board = board(DispatcherMergeTests.plan(2, .concatenate, isSink: true))
    board.finish(0, report("One."))
    #expect(board.firstComputable == nil && board.beginningOfAnswer == "One.")
    board.finish(1, report("Two."))
    #expect(!board.isReady(2))
    let computed = try #require(board.firstComputable)
    #expect(computed.index == 2 && computed.report.output == "One.\n\nTwo.")
    #expect(computed.report.usage == .zero && computed.report.finishReason == "stop")
  }

  @Test("after a skipped part, or in another merge, no part of the answer is certain")
  func uncertain() {
    var board = board(DispatcherMergeTests.plan(2, .concatenate, isSink: true))
    board.skip(0, broken)
    #expect(board.beginningOfAnswer == nil)
    var vote = self.board(DispatcherMergeTests.plan(2, .vote, isSink: true))
    vote.finish(0, report("One."))
    #expect(vote.beginningOfAnswer == nil)
  }

  @Test("a task is hopeless when its quorum can no longer be met, with the last loss as the reason")
  func hopeless() throws {
    var board = board(.fan(3, quorum: 2, onFailure: .skip))
    #expect(board.quorum(of: 3) == 2)
    board.skip(0, broken)
    #expect(board.firstHopeless == nil)
    board.skip(2, Failure(.noEligibleHost, "no host", retryAfter: .seconds(1)))
    let (index, failure) = try #require(board.firstHopeless)
    #expect(index == 3 && failure.code == .noEligibleHost && failure.retryAfter == .seconds(1))
    #expect(failure.message.contains("only 1 of its 3 inputs can still arrive and it needs 2"))
    #expect(failure.message.contains("\"t2\" is not among them because no host"))
  }

  @Test("a quorum counts inputs that succeeded, and a task without one has it")
  func quorum() {
    var board = board(.fan(2, quorum: 1, onFailure: .skip))
    #expect(board.hasQuorum(0) && !board.hasQuorum(2))
    board.skip(0, broken)
    #expect(!board.hasQuorum(2))
    board.finish(1, report("one"))
    #expect(board.hasQuorum(2))
  }

  @Test("tasks are unneeded when no path of unsettled tasks leads to the sink")
  func unneeded() {
    // Shape: a, b → m; c, m → sink.
    var board = board(
      plan([
        PlanTask(id: "a", role: .code), PlanTask(id: "b", role: .code),
        PlanTask(id: "c", role: .code),
        PlanTask(
          id: "m", role: .code,
          inputs: [Edge(from: "a", name: "a"), Edge(from: "b", name: "b")], merge: .synthesise,
          onFailure: .skip),
        PlanTask(
          id: "sink", role: .code,
          inputs: [Edge(from: "m", name: "m"), Edge(from: "c", name: "c")], merge: .synthesise,
          quorum: 1),
      ]))
    #expect(board.unneeded == [])
    board.start(1)
    board.skip(3, broken)
    #expect(board.unneeded == [0, 1])
    board.finish(4, report("answer"))
    #expect(board.unneeded == [0, 1, 2], "nothing is needed after the answer")
  }

  @Test("a task gets the shorter of its deadline and its share, otherwise no limit of its own")
  func time() {
    var tasks = [
      PlanTask(id: "a", role: .code, deadline: .seconds(7), deadlineShare: 1),
      PlanTask(
        id: "sink", role: .code, inputs: [Edge(from: "a", name: "a")], merge: .summarise,
        deadlineShare: 3),
    ]
    #expect(board(plan(tasks)).ownTime(of: 0, left: .seconds(40)) == .seconds(7))
    #expect(board(plan(tasks)).ownTime(of: 0, left: .seconds(20)) == .seconds(5))
    #expect(board(plan(tasks)).ownTime(of: 1, left: .seconds(20)) == nil)
    tasks[0].deadlineShare = nil
    #expect(board(plan(tasks)).ownTime(of: 0, left: .seconds(5)) == nil)
    // Less than a millisecond is zero on the wire.
    tasks[0].deadline = .microseconds(10)
    #expect(board(plan(tasks)).ownTime(of: 0, left: .seconds(5)) == .milliseconds(1))
  }

  @Test("an output is part of the answer if only mechanical tasks are between it and the sink")
  func parts() {
    #expect(board(DispatcherMergeTests.plan(1, .concatenate, isSink: true)).isPartOfAnswer(0))
    #expect(!board(DispatcherMergeTests.plan(1, .agree, isSink: true)).isPartOfAnswer(0))
    // A model writes the sink of this plan.
    #expect(!board(DispatcherMergeTests.plan(1, .concatenate)).isPartOfAnswer(0))
    #expect(!board(.fan(1)).isPartOfAnswer(1), "the sink is the answer itself")
  }

  // MARK: - Transitions

  @Test("an attempt has one agent, and its host is recorded only while it runs")
  func attempt() {
    var board = board(.fan(1))
    let agents = ["a", "b"].map { PeerID(name: $0, incarnation: 1) }
    let early = board.assign(0, to: agents[0])
    board.start(0)
    let first = board.assign(0, to: agents[0])
    let second = board.assign(0, to: agents[1])
    #expect(!early && first && !second)
    board.setHost("h", of: 0)
    #expect(board.phase(0) == .running(agent: agents[0], host: "h"))
    board.pause(0)
    board.setHost("late", of: 0)
    #expect(board.phase(0) == .pausing && board.phase(0).agent == nil)
  }

  @Test("only finished and skipped tasks are settled; an expanding one has a report, but no output")
  func settled() {
    var board = board(.fan(1))
    let edge = Edge(from: "t0", name: "t0")
    board.expand(0, report("brief"))
    #expect(!board.isSettled(edge) && board.output(of: edge) == nil)
    #expect(board.phase(0).report?.output == "brief")
    board.finish(0, report("brief"))
    #expect(board.isSettled(edge) && board.output(of: edge) == "brief")
    #expect(!board.isSettled(Edge(from: "missing", name: "?")))
  }

  @Test("a sink streams unless it expands, and the tasks of an expansion are appended")
  func adopt() throws {
    var shape = Plan.fan(1)
    shape.tasks[1].expansion = "next"
    var board = board(shape)
    #expect(!board.isStreaming(1))
    board.finish(0, report("kept"))
    let next = PlanTask(
      id: "next", role: .code, inputs: [Edge(from: "sink", name: "x")], merge: .summarise)
    board.adopt(try shape.splicing(SubPlan(tasks: [next], output: "next"), at: "sink"))
    #expect(board.indices == 0..<3 && board.sink == 2 && board.isStreaming(2))
    #expect(board.output(of: Edge(from: "t0", name: "t0")) == "kept")
    #expect(board.phase(2) == .waiting)

    var alone = self.board(shape)
    alone.dropExpansion(of: 1)
    #expect(alone.isStreaming(1) && alone.plan.tasks[1].expansion == nil)
  }

  // MARK: - Outputs

  @Test("an output is put into the forms that its readers need, when it is final")
  func forms() {
    var shape = Plan.fan(1)
    shape.tasks.insert(
      PlanTask(
        id: "vote", role: .code, inputs: [Edge(from: "t0", name: "x")], merge: .vote), at: 1)
    shape.tasks[2].inputs = [Edge(from: "vote", name: "vote")]
    var board = board(shape)
    let edge = Edge(from: "t0", name: "x")
    #expect(board.forms(of: edge) == nil)
    board.finish(0, report("<bos>yes"))
    #expect(board.forms(of: edge)?.prepared == "yes" && board.forms(of: edge)?.reading == nil)
    #expect(board.preparedOutput(of: edge) == "yes")
    // A task that ends a second time has the forms of its new output.
    board.expand(0, report("<bos>yes"))
    board.finish(0, report("no"))
    #expect(board.preparedOutput(of: edge) == "no")
  }

  @Test("a form is made once, however many readers request it")
  func once() {
    var forms = OutputForms()
    let vote = PlanTask(id: "v", role: .code, merge: .vote)
    let model = PlanTask(id: "m", role: .code, merge: .synthesise)
    forms.make(of: "<bos>yes", for: vote, toTokens: 100)
    #expect(forms.prepared == "yes" && forms.reading == nil)
    forms.make(of: "other", for: vote, toTokens: 100)
    #expect(forms.prepared == "yes")
    forms.make(of: "one", for: model, toTokens: 100)
    forms.make(of: "other", for: model, toTokens: 100)
    #expect(forms.reading == "one" && forms.bytes == 6)
    // The planner reads the inputs of a mechanical task that expands.
    var both = OutputForms()
    both.make(
      of: "text", for: PlanTask(id: "a", role: .code, merge: .agree, expansion: "round"),
      toTokens: 100)
    #expect(both.prepared == "text" && both.reading == "text")
  }

  @Test("all outputs count as memory, in each form, and computed ones too")
  func memory() {
    var board = board(DispatcherMergeTests.plan(1, .concatenate))
    let before = board.outputBytes
    board.finish(0, report(String(repeating: "y", count: 30_000)))
    #expect(board.outputBytes >= before + 60_000, "the output and the form for its reader")
    board.finish(1, .mechanical(String(repeating: "y", count: 30_000)))
    #expect(board.outputBytes >= before + 90_000)
  }

  @Test("inputs of a synthesis have weights from three on, and each fits its limit")
  func inputs() {
    var board = board(.fan(3))
    for (index, output) in ["yes", "yes", "no"].enumerated() {
      board.finish(index, report(output))
    }
    #expect(board.namedInputs(of: 3, toTokens: 100).map(\.name) == ["t0", "t1", "t2"])
    #expect(board.namedInputs(of: 3, toTokens: 100).allSatisfy { $0.weightMilli != nil })
    board.skip(2, broken)
    #expect(board.namedInputs(of: 3, toTokens: 100).map(\.weightMilli) == [nil, nil])
    board.finish(2, report((1...300).map { "word\($0)" }.joined(separator: " ")))
    let limited = board.namedInputs(of: 3, toTokens: 20)
    #expect(limited.count == 3 && limited.allSatisfy { $0.text.utf8.count <= 80 })
  }

  @Test("a heaviest path counts each task once, from the task to the sink")
  func heaviestPath() {
    let board = board(.chain(4))
    #expect(board.heaviestPath(from: 0) { $0 + 1 } == 10)
    #expect(board.heaviestPath(from: 3) { $0 + 1 } == 4)
  }
}

@Suite("Texts that stand in for an output")
struct StandInTests {
  private let broken = Failure(.upstreamFailed, "the host refused")

  private func board(_ plan: Plan) -> TaskBoard { TaskBoard(plan, inputTokens: 16 * 1024) }

  @Test("a failed task passes on what it wrote, otherwise its first input that is not empty")
  func output() {
    var board = board(.fan(3))
    #expect(StandIn.output(of: 3, partial: "half", on: board)?.text == "half")
    #expect(StandIn.output(of: 3, partial: "", on: board) == nil)
    board.finish(0, report(""))
    board.skip(1, broken)
    board.finish(2, report("Two."))
    #expect(
      StandIn.output(of: 3, partial: "", on: board)
        == StandIn.Substitute(text: "Two.", source: "t2"))
  }

  @Test("a quorum holds for a substitute, too, but not for what the task itself wrote")
  func quorum() {
    var board = board(.fan(3, quorum: 2, onFailure: .skip))
    board.finish(0, report("One."))
    #expect(StandIn.output(of: 3, partial: "", on: board) == nil)
    #expect(StandIn.output(of: 3, partial: "half", on: board)?.text == "half")
    board.finish(1, report("Two."))
    #expect(StandIn.output(of: 3, partial: "", on: board)?.text == "One.")
  }

  @Test("a task with an expansion passes on an empty output rather than none")
  func expansion() {
    var plan = Plan.fan(1)
    plan.tasks[1].expansion = "next"
    #expect(StandIn.output(of: 1, partial: "", on: board(plan))?.text == "")
    #expect(StandIn.output(of: 0, partial: "", on: board(plan)) == nil)
  }

  @Test("an agreement report is no substitute")
  func agreement() {
    var plan = DispatcherMergeTests.plan(2, .agree)
    plan.tasks[3].inputs.append(Edge(from: "t0", name: "draft"))
    var board = board(plan)
    board.finish(0, report("One."))
    board.finish(2, .mechanical("{}"))
    #expect(StandIn.output(of: 3, partial: "", on: board)?.text == "One.")
  }

  @Test("the answer without a task is a draft only if the task degrades or chooses")
  func answers() {
    for (merge, onFailure, answer) in [
      (MergeRule.synthesise, FailureRule.degrade, "One."), (.synthesise, .fail, nil),
      (.summarise, .degrade, "One."), (.replace, .fail, "Two."), (.agree, .fail, "One."),
      (.concatenate, .fail, nil), (.vote, .fail, "One."),
    ] as [(MergeRule, FailureRule, String?)] {
      var plan = Plan.fan(3)
      plan.tasks[3].merge = merge
      plan.tasks[3].onFailure = onFailure
      var board = board(plan)
      board.finish(0, report("One."))
      board.finish(1, report("Two."))
      let text = StandIn.answer(withoutWaitingFor: 3, on: board)
      #expect(text?.text == answer, "\(merge) \(onFailure)")
      #expect(text?.source == (answer.map { $0 == "One." ? "t0" : "t1" }), "\(merge)")
    }
  }

  @Test("an output for a program is no answer, but the draft that it was made from is")
  func programs() {
    var plan = Plan.fan(1)
    plan.tasks[1].contract = .json(schema: "{}")
    plan.tasks[1].onFailure = .degrade
    var board = board(plan)
    board.finish(0, report("One."))
    board.expand(1, report("{}"))
    #expect(StandIn.answer(withoutWaitingFor: 1, on: board)?.text == "One.")
    board.skip(0, broken)
    #expect(StandIn.answer(withoutWaitingFor: 1, on: board) == nil)
  }

  @Test("tasks that share inputs are each examined once")
  func shared() {
    // Fifteen layers of four tasks and a sink. Each later task reads all four of the layer before.
    var tasks: [PlanTask] = []
    for layer in 0..<15 {
      for place in 0..<4 {
        tasks.append(
          PlanTask(
            id: TaskID("t\(layer)-\(place)"), role: .code,
            inputs: layer == 0
              ? [] : (0..<4).map { Edge(from: TaskID("t\(layer - 1)-\($0)"), name: "n\($0)") },
            merge: layer == 0 ? .none : .replace))
      }
    }
    tasks.append(
      PlanTask(
        id: "sink", role: .code, inputs: (0..<4).map { Edge(from: TaskID("t14-\($0)"), name: "n") },
        merge: .replace))
    let board = board(
      Plan(
        id: "p", pattern: "test", tasks: tasks, sink: "sink", seed: 1, deadline: .seconds(60)))
    // A billion paths lead from the sink to the first tasks.
    #expect(StandIn.answer(withoutWaitingFor: 60, on: board) == nil)
  }
}
