import ClusterModel
import DispatcherCore
import Testing

@Suite("Time and tokens of a plan")
struct DispatcherBudgetTests {
  /// Limits without overhead per call, so that the sums are easy to follow.
  static var exact: PlanRunLimits {
    var limits = PlanRunLimits.standard
    limits.callTokens = 0
    limits.fenceTokens = 0
    limits.fencedTextTokens = 0
    return limits
  }

  private func rehearsal(_ order: PlanOrder) throws -> Rehearsal {
    try Rehearsal(order: order, limits: Self.exact)
  }

  /// - Parameter conversation: estimated tokens of the conversation.
  static func order(
    _ plan: Plan, budget: Int, conversation: Int = 10, finished: [TaskID: TaskReport] = [:]
  ) -> PlanOrder {
    PlanOrder(
      plan: plan,
      conversation: Conversation(messagesJSON: [UInt8](repeating: 32, count: 4 * conversation)),
      finished: finished,
      request: PlanRequest(
        pattern: "test", query: "?", seed: 1, available: ["m"], budgetTokens: budget))
  }

  /// Limits the answer of each task, so that the budget is enough for all of them at once.
  private static func short(_ plan: Plan) -> Plan {
    var plan = plan
    for index in plan.tasks.indices { plan.tasks[index].maxTokens = 100 }
    return plan
  }

  private func used(_ prompt: Int, _ completion: Int, _ output: String = "text") -> TaskReport {
    var report = report(output)
    report.usage = Usage(promptTokens: prompt, completionTokens: completion)
    return report
  }

  @Test("where the budget covers what all want, each gets what it wants")
  func plenty() throws {
    var shape = Plan.fan(2)
    for index in shape.tasks.indices { shape.tasks[index].maxTokens = 100 }
    var plan = try rehearsal(Self.order(shape, budget: 1_000))
    #expect(plan(.start).starts.map(\.order.task.maxTokens) == [100, 100])
    plan.finish("t0")
    #expect(plan.finish("t1").starts.first?.order.task.maxTokens == 100)
    var free = try Rehearsal(shape)
    #expect(free(.start).starts.map(\.order.task.maxTokens) == [100, 100])
  }

  @Test("where it does not, those that have not started share it, the sink included")
  func scarce() throws {
    var plan = try rehearsal(Self.order(.fan(2), budget: 330))
    // 330 minus three prompts of 10 leaves 300 for three tasks.
    #expect(plan(.start).starts.map(\.order.task.maxTokens) == [100, 100])
    plan(.finished(Attempt("t0", 1), used(10, 50)))
    let sink = try #require(plan(.finished(Attempt("t1", 1), used(10, 20))).starts.first)
    // The sink gets the savings: 330 − 90 used − 10 conversation − 2 for two inputs of one word.
    #expect(sink.order.task.maxTokens == 228)
  }

  @Test("a task that cannot be paid is skipped with the reason, and the sink has what is left")
  func skipped() throws {
    var shape = Plan.fan(2, quorum: 1, onFailure: .skip)
    shape.tasks[1].inputs = [Edge(from: "t0", name: "a")]
    shape.tasks[1].merge = .summarise
    var plan = try rehearsal(Self.order(shape, budget: 100))
    plan(.start)
    let directives = plan(.finished(Attempt("t0", 1), used(10, 60)))
    let skipped = try #require(directives.ended.last)
    #expect(skipped.task == "t1")
    #expect(skipped.status == .skipped)
    #expect(skipped.reason.contains("budget of 100 tokens"))
    #expect(skipped.reason.contains("70 of the budget"))
    let sink = try #require(directives.starts.first)
    #expect(sink.order.task.maxTokens == 19)
    #expect(plan(.finished(Attempt("sink", 1), used(11, 19))).finished?.usage.totalTokens == 100)
  }

  @Test("inputs that leave no room to answer are shortened")
  func shortened() throws {
    var plan = try rehearsal(Self.order(.fan(1), budget: 100))
    plan(.start)
    let words = (1...300).map { "word\($0)" }.joined(separator: " ")
    let sink = try #require(plan(.finished(Attempt("t0", 1), used(10, 20, words))).starts.first)
    let input = try #require(sink.order.inputs.first?.text)
    #expect(input.utf8.count <= 4 * 44)
    #expect(!input.isEmpty)
    #expect(try #require(sink.order.task.maxTokens) >= 16)
  }

  @Test("if no tokens are left for the answer, the plan says so")
  func exhausted() throws {
    var plan = try rehearsal(Self.order(.fan(1), budget: 100))
    plan(.start)
    let failure = try #require(plan(.finished(Attempt("t0", 1), used(10, 95))).failure)
    #expect(failure.code == .budgetExhausted, "the request was not at fault")
    #expect(failure.message.contains("nothing is left for the answer"))
    #expect(failure.message.contains("t0 wrote 95 tokens, but 40 were allowed"))
    #expect(failure.param == "tutti.budget.tokens")
  }

  @Test("if a host's overrun leaves no tokens for the answer, a draft stands in")
  func exhaustedDraft() throws {
    var shape = Plan.fan(1)
    shape.tasks[1].onFailure = .degrade
    var plan = try rehearsal(Self.order(shape, budget: 100))
    plan(.start)
    let end = plan(.finished(Attempt("t0", 1), used(10, 95, "The draft.")))
    #expect(end.text == "The draft." && end.finished != nil)
    let sink = try #require(end.ended.last)
    #expect(sink.status == .degraded && sink.reason.contains("t0 wrote 95"), "\(sink)")
  }

  @Test("a request that does not fit its budget from the start is the client's to change")
  func tooSmall() throws {
    var plan = try rehearsal(Self.order(.fan(1), budget: 20))
    let failure = try #require(plan(.start).failure)
    #expect(failure.code == .invalidRequest && failure.param == "tutti.budget.tokens")
  }

  @Test(
    "the estimate of a call includes more than its texts, and documents if it gets any")
  func calls() throws {
    func granted(_ documents: [Document]) throws -> Int? {
      var shape = Plan.fan(1)
      shape.tasks[0].documents = documents.isEmpty ? [] : [PlanTask.everyDocument]
      var order = Self.order(shape, budget: 8_000)
      order.documents = documents
      var plan = try Rehearsal(order: order)
      return plan(.start).starts.first?.order.task.maxTokens
    }
    // Reserved for the sink: 48 + 10 for its prompt, 48 for the fence around its input, and 16 to
    // write.
    #expect(try granted([]) == 8_000 - 58 - 122)
    let text = String(repeating: "word ", count: 800)
    #expect(try granted([Document(name: "a", text: text)]) == 8_000 - 58 - 48 - 122 - 1_000)
    let many = (0..<9).map { Document(name: "\($0)", text: text) }
    // The context is unknown and assumed to be 4,096. The documents get four fifths of the part
    // that is left after the prompt and the 512 expected tokens.
    #expect(try granted(many) == 8_000 - 58 - 48 - 122 - 2_783)
  }

  @Test("a task that reads a part of a document gets that part only")
  func documentPart() throws {
    var shape = Plan.fan(2)
    for index in 0..<2 {
      shape.tasks[index].documents = ["log"]
      shape.tasks[index].maxTokens = 512
      shape.tasks[index].documentPart = DocumentPart(number: index + 1, count: 2)
    }
    var order = Self.order(shape, budget: 8_000)
    let text = String(repeating: "word ", count: 800)
    order.documents = [Document(name: "log", text: text)]
    var plan = try rehearsal(order)
    let documents = plan(.start).starts.flatMap(\.order.documents)
    #expect(documents.map(\.name) == ["log (part 1 of 2)", "log (part 2 of 2)"])
    #expect(documents.map(\.text).joined() == text)
  }

  @Test("an output in JSON may be requested twice, and the budget has room for it")
  func corrected() throws {
    var shape = Plan.fan(1)
    shape.tasks[0].contract = .json(schema: "{}")
    var plan = try rehearsal(Self.order(shape, budget: 400))
    // The calls need two prompts of 10, a request for correction of 32, and the sink's prompt of
    // 10. The sink gets half of the rest. The other half pays for an output that is written, read
    // and written again.
    let granted = try #require(plan(.start).starts.first?.order.task.maxTokens)
    #expect(granted == (400 - 52 - 10) / 2 / 3)
    // The task needed only one call, so the rest is free again.
    let sink = try #require(plan(.finished(Attempt("t0", 1), used(10, 60, "{}"))).starts.first)
    #expect(sink.order.task.maxTokens == 400 - 70 - 10 - 1)
  }

  @Test(
    "a text of which hosts count more tokens than expected teaches what the next ones will have")
  func learned() throws {
    for counted in [5, 10, 20, 30, 90] {
      var plan = try rehearsal(Self.order(.fan(1), budget: 200))
      plan(.start)
      let text = String(repeating: "x", count: 80)
      let sink = try #require(
        plan(.finished(Attempt("t0", 1), used(counted, 11 - min(counted, 10), text))).starts.first)
      // 200 minus usage, minus 30 (10 conversation, 20 text) times the host's token ratio, 1 to 3.
      let times = min(max(Double(counted) / 10, 1), 3)
      let left = Double(200 - counted - 11 + min(counted, 10))
      #expect(sink.order.task.maxTokens == Int(left - 30 * times), "\(counted)")
    }
  }

  private func begin(_ plan: inout Rehearsal, _ task: TaskID, at host: HostID) {
    plan(.assigned(Attempt(task, 1), agent: PeerID(name: "a", incarnation: 1)))
    plan(
      .began(
        Attempt(task, 1), TaskBegan(host: host, model: "m", firstTokenMilliseconds: 1)))
  }

  @Test(
    "tokens of an attempt that was given up are not granted again, and its known usage is reported",
    arguments: [Failure(.upstreamFailed, "broke off"), Failure(.peerLost, "gone")])
  func unreported(_ failure: Failure) throws {
    var shape = Plan.fan(2, quorum: 1, onFailure: .skip)
    for index in shape.tasks.indices { shape.tasks[index].maxTokens = 100 }
    var limits = Self.exact
    limits.attempts = 1
    var plan = try Rehearsal(order: Self.order(shape, budget: 300), limits: limits)
    #expect(plan(.start).starts.map(\.order.task.maxTokens) == [90, 90])
    begin(&plan, "t0", at: "h0")
    plan(.delta(Attempt("t0", 1), TaskDelta(text: "Twelve bytes")))
    let skipped = try #require(plan(.failed(Attempt("t0", 1), failure)).ended.last)
    #expect(skipped.status == .skipped && skipped.report?.host == "h0")
    #expect(
      skipped.report?.usage == Usage(promptTokens: 10, completionTokens: 3, estimated: true))
    let sink = try #require(plan(.finished(Attempt("t1", 1), used(10, 50))).starts.first)
    // The sink's own limit is 100. More is left: 300 minus 100 of t0, 60 of t1, the sink's prompt
    // of 10, and an input of one word.
    #expect(sink.order.task.maxTokens == 100)
    let finished = plan(.finished(Attempt("sink", 1), used(11, 20))).finished
    #expect(finished?.usage.promptTokens == 31 && finished?.usage.completionTokens == 73)
    #expect(finished?.usage.estimated == true)
  }

  @Test("the text that an agent resumes is charged once")
  func resumedText() throws {
    var shape = Plan.fan(1)
    for index in shape.tasks.indices { shape.tasks[index].maxTokens = 100 }
    var plan = try rehearsal(Self.order(shape, budget: 1_000))
    plan(.start)
    plan(.finished(Attempt("t0", 1), used(10, 5)))
    begin(&plan, "sink", at: "h")
    plan(.delta(Attempt("sink", 1), TaskDelta(text: "Twelve bytes")))
    plan(.failed(Attempt("sink", 1), Failure(.peerLost, "gone")))
    #expect(plan(.fired(.retry("sink"))).starts.first?.order.prefix == "Twelve bytes")
    // The second agent's usage includes 3 tokens for the text that it got.
    let end = plan(.finished(Attempt("sink", 2), used(11, 20, "Twelve bytes, and more.")))
    // 5 of t0, 3 of the lost attempt and 17 of the second.
    #expect(end.finished?.usage.completionTokens == 25)
    // The host of the lost agent is known, too.
    let lost = try #require(end.ended.last?.report?.inferences.first)
    #expect(lost.model == "m" && lost.usage.completionTokens == 3)
    #expect(
      lost.attempts == [PaidAttempt(host: "h", model: "m", tokens: 3, outcome: .delivered)])
  }

  @Test("an answer whose agent is lost is resumed within the budget")
  func lostAnswer() throws {
    var plan = try rehearsal(Self.order(.fan(1), budget: 3_000))
    plan(.start)
    let first = try #require(plan(.finished(Attempt("t0", 1), used(10, 20))).starts.first)
    // 3,000 minus 30 used, twice the prompt of 11, and 512 for a second answer.
    #expect(first.order.task.maxTokens == 2_436)
    begin(&plan, "sink", at: "h")
    plan(.delta(Attempt("sink", 1), TaskDelta(text: "Twelve bytes")))
    plan(.failed(Attempt("sink", 1), Failure(.peerLost, "gone")))
    let second = try #require(plan(.fired(.retry("sink"))).starts.first)
    #expect(second.order.prefix == "Twelve bytes")
    // The lost attempt may have used its whole grant.
    #expect(second.order.task.maxTokens == 512)
  }

  @Test(
    "if a plan ends before its tasks, their hosts are reported with the tokens so far",
    arguments: [
      PlanRunEvent.cancelled, .stopped(Failure(.overloaded, "no memory")), .fired(.plan),
    ])
  func endOfPlan(_ event: PlanRunEvent) throws {
    var plan = try rehearsal(Self.order(Self.short(.fan(3)), budget: 3_000))
    plan(.start)
    plan(.finished(Attempt("t0", 1), used(10, 40)))
    begin(&plan, "t1", at: "h1")
    plan(.delta(Attempt("t1", 1), TaskDelta(text: "Twelve bytes")))
    // Task t2 has an agent, but no host has begun to answer.
    plan(.assigned(Attempt("t2", 1), agent: PeerID(name: "a", incarnation: 1)))
    plan.now = Instant(sinceStart: .seconds(60))
    let end = plan(event)
    #expect(end.ended.map(\.task) == ["t1"])
    let ended = try #require(end.ended.first)
    #expect(ended.status == .failed && ended.reason.hasPrefix("its plan ended: "))
    #expect(ended.report?.host == "h1" && ended.report?.output == "")
    let usage = Usage(promptTokens: 10, completionTokens: 3, estimated: true)
    #expect(ended.report?.usage == usage)
    #expect(
      ended.report?.inferences == [
        TaskInference(
          model: "m", usage: usage,
          attempts: [PaidAttempt(host: "h1", model: "m", tokens: 3, outcome: .delivered)])
      ])
    let failure = try #require(end.failure)
    #expect(end.last == .fail(failure))
    // A gateway that has cancelled the plan does not know how much of the end it has read.
    #expect(plan.run.costs.map(\.task) == ["t0", "t1"])
    #expect(plan.run.costs.map(\.report.usage.completionTokens) == [40, 3])
    #expect(plan.run.costs.allSatisfy { $0.report.output.isEmpty })
    #expect(Set(end.cancels) == [Attempt("t1", 1), Attempt("t2", 1)])
  }

  @Test("a fatal failure of a task reports the tokens of the tasks that run at the same time")
  func fatal() throws {
    var plan = try rehearsal(Self.order(Self.short(.fan(2)), budget: 3_000))
    plan(.start)
    begin(&plan, "t0", at: "h0")
    begin(&plan, "t1", at: "h1")
    plan(.delta(Attempt("t1", 1), TaskDelta(text: "Twelve bytes")))
    let end = plan(.failed(Attempt("t0", 1), Failure(.invalidRequest, "it is refused")))
    #expect(end.failure?.code == .invalidRequest)
    #expect(end.ended.map(\.task) == ["t0", "t1"])
    #expect(end.ended.map(\.status) == [.failed, .failed])
    #expect(end.ended.map(\.report?.usage.completionTokens) == [0, 3])
  }

  @Test("an attempt that no host had begun costs nothing")
  func nothingBegun() throws {
    var limits = Self.exact
    limits.attempts = 1
    var plan = try Rehearsal(
      order: Self.order(.fan(2, quorum: 1, onFailure: .skip), budget: 1_000), limits: limits)
    plan(.start)
    let skipped = try #require(
      plan(.failed(Attempt("t0", 1), Failure(.peerLost, "gone"))).ended.last)
    #expect(skipped.status == .skipped && skipped.report == nil)
    plan(.finished(Attempt("t1", 1), used(10, 50)))
    #expect(plan(.finished(Attempt("sink", 1), used(11, 20))).finished?.usage.totalTokens == 91)
  }

  @Test("a failed task has its host and its cost, also if a draft stands in for it")
  func useless() throws {
    var shape = Plan.fan(2, quorum: 1, onFailure: .skip)
    shape.tasks[2].onFailure = .degrade
    var plan = try rehearsal(Self.order(shape, budget: 1_000))
    plan(.start)
    plan(.finished(Attempt("t0", 1), used(10, 40, " ")))
    plan(.finished(Attempt("t1", 1), used(10, 30, "A draft.")))
    plan(.finished(Attempt("sink", 1), used(12, 20, "")))
    let ended = plan.log.ended
    #expect(ended.map(\.status) == [.skipped, .done, .degraded])
    #expect(ended.map(\.report?.host) == ["h", "h", "h"])
    #expect(ended.map(\.report?.usage.completionTokens) == [40, 30, 20])
    #expect(ended.map(\.report?.output) == ["", "A draft.", "A draft."])
    #expect(plan.log.finished?.usage.totalTokens == 122)
  }

  @Test("tokens that an earlier dispatcher spent count")
  func resumed() throws {
    var plan = try rehearsal(
      Self.order(.fan(1), budget: 100, finished: ["t0": used(10, 40)]))
    #expect(plan(.start).starts.first?.order.task.maxTokens == 39)
  }

  @Test("a share is the task's weight over the heaviest way that is left, of the time that is left")
  func shares() throws {
    // Shape, with deadline shares: a (1) → b (2) → sink (1), and c (1) → sink.
    let shape = Plan(
      id: "p", pattern: "test",
      tasks: [
        PlanTask(id: "a", role: .code, deadlineShare: 1),
        PlanTask(id: "c", role: .code, deadlineShare: 1),
        PlanTask(
          id: "b", role: .code, inputs: [Edge(from: "a", name: "a")], merge: .summarise,
          deadlineShare: 2),
        PlanTask(
          id: "sink", role: .code,
          inputs: [Edge(from: "b", name: "b"), Edge(from: "c", name: "c")],
          merge: .synthesise, deadlineShare: 1),
      ], sink: "sink", seed: 1, deadline: .seconds(40))
    var plan = try Rehearsal(shape)
    let start = plan(.start)
    #expect(start.armed(.deadline("a")) == Instant(sinceStart: .seconds(10)))
    #expect(start.armed(.deadline("c")) == Instant(sinceStart: .seconds(20)))
    #expect(start.starts.map(\.remaining) == [.seconds(10), .seconds(20)])
    // Task a ended early and saved time. So b and the sink share 36 s in the ratio 2 to 1.
    plan.now = Instant(sinceStart: .seconds(4))
    #expect(plan.finish("a").armed(.deadline("b")) == Instant(sinceStart: .seconds(28)))
    plan.finish("c")
    plan.now = Instant(sinceStart: .seconds(10))
    // The last task may use all the time that is left.
    let sink = plan.finish("b")
    #expect(sink.armed(.deadline("sink")) == nil)
    #expect(sink.starts.map(\.remaining) == [.seconds(30)])
  }

  @Test("a task whose share has passed fails by its rule, and says how long it had")
  func shareMissed() throws {
    var shape = Plan.fan(2, quorum: 1, onFailure: .skip)
    shape.tasks[0].deadlineShare = 1
    shape.tasks[2].deadlineShare = 2
    var plan = try Rehearsal(shape)
    let at = try #require(plan(.start).armed(.deadline("t0")))
    #expect(at == Instant(sinceStart: .seconds(20)))
    plan.now = at
    let late = plan(.fired(.deadline("t0")))
    #expect(late.cancels == [Attempt("t0", 1)])
    #expect(late.ended.first?.reason == "it was not done after 20000 ms")
  }

  @Test("an answer that another dispatcher began is continued, and its known facts are kept")
  func sinkPrefix() throws {
    var order = PlanOrder(
      plan: .fan(1), conversation: Conversation(messagesJSON: []),
      finished: ["t0": report("kept")], sinkPrefix: "It is ")
    var plan = try Rehearsal(order: order)
    #expect(plan(.start).starts.first?.order.prefix == "It is ")
    #expect(plan(.delta(Attempt("sink", 1), TaskDelta(text: "so."))).text == "so.")
    let end = plan(.finished(Attempt("sink", 1), report("so.")))
    #expect(end.text == "")
    #expect(end.ended.first?.report?.output == "It is so.")

    // The sink had ended, but the client had not received all of its output.
    order.finished["sink"] = report("It is so.")
    var ended = try Rehearsal(order: order)
    #expect(ended(.start).text == "so.")

    // A mechanical sink resumes at the client's position, or reports why it cannot.
    for (kept, rest) in [("It is so.", "so."), ("Other", nil)] {
      var shape = DispatcherMergeTests.plan(1, .replace, isSink: true)
      shape.tasks[0].onFailure = .fail
      var mechanical = try Rehearsal(
        order: PlanOrder(
          plan: shape, conversation: Conversation(messagesJSON: []),
          finished: ["t0": report(kept)], sinkPrefix: "It is "))
      let directives = mechanical(.start)
      #expect(directives.text == rest ?? "")
      #expect((directives.finished != nil) == (rest != nil))
      #expect((directives.failure?.code == .upstreamFailed) == (rest == nil))
    }
  }

  @Test("an attempt that has an agent is not given to a second one")
  func oneAgent() throws {
    var plan = try Rehearsal(.fan(1))
    plan(.start)
    let attempt = Attempt("t0", 1)
    #expect(plan(.assigned(attempt, agent: PeerID(name: "a", incarnation: 1))).count == 1)
    #expect(plan(.assigned(attempt, agent: PeerID(name: "b", incarnation: 1))) == [])
  }
}
