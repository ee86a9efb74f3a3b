import ClusterModel
import Limits
import Testing

@testable import DispatcherCore

@Suite("Token budget of a plan")
struct PlanBudgetTests {
  private let sink = TaskDemand(prompt: 10)

  private func granted(_ grant: PlanBudget.Grant) -> Int? {
    guard case .tokens(let tokens, _) = grant else { return nil }
    return tokens
  }

  private func refused(_ grant: PlanBudget.Grant) -> Failure? {
    guard case .refused(let failure) = grant else { return nil }
    return failure
  }

  private func used(_ prompt: Int, _ completion: Int) -> TaskReport {
    var report = report("text")
    report.usage = Usage(promptTokens: prompt, completionTokens: completion)
    return report
  }

  // MARK: - Grants

  @Test("without a budget every task gets its own limit, and inputs stay whole")
  func unlimited() {
    var budget = PlanBudget(tokens: nil)
    #expect(!budget.isLimited)
    #expect(
      budget.grant(
        to: 0, TaskDemand(prompt: 9, maxTokens: 7), inputs: [1 << 40], reservingFor: sink)
        == .tokens(7, inputTokens: nil))
    #expect(
      budget.grant(to: 1, sink, reservingFor: nil) == .tokens(.max, inputTokens: nil))
  }

  @Test("tasks that run at the same time share the budget evenly, in any order")
  func atTheSameTime() {
    var budget = PlanBudget(tokens: 330)
    let member = TaskDemand(prompt: 10)
    // Three prompts of 10 leave 300 for two members and the sink.
    #expect(
      granted(budget.grant(to: 1, member, reservingFor: sink, waiting: [member, sink])) == 100)
    #expect(granted(budget.grant(to: 0, member, reservingFor: sink, waiting: [sink])) == 100)
    #expect(granted(budget.grant(to: 2, sink, reservingFor: nil)) == 100)
  }

  @Test("a grant is not given twice while its task runs, and its unused part is free afterwards")
  func released() {
    var budget = PlanBudget(tokens: 200)
    #expect(
      granted(budget.grant(to: 0, TaskDemand(prompt: 10, maxTokens: 50), reservingFor: sink)) == 50)
    // 200 minus 60 of the running task and 10 for the sink's prompt.
    #expect(granted(budget.grant(to: 1, sink, reservingFor: nil)) == 130)
    budget.release(1)
    _ = budget.charge(used(10, 20), to: 0, hasKnownPrompt: false)
    #expect(granted(budget.grant(to: 1, sink, reservingFor: nil)) == 160)
  }

  @Test("a second grant replaces the first one of the same task")
  func again() {
    var budget = PlanBudget(tokens: 100)
    for _ in 0..<3 {
      #expect(granted(budget.grant(to: 0, sink, reservingFor: nil)) == 90)
    }
  }

  @Test("the budget's last tokens go to the sink; another task needs at least 16 of its own")
  func edges() {
    for (tokens, member) in [(51, nil), (52, 16), (53, 16)] as [(Int, Int?)] {
      var budget = PlanBudget(tokens: tokens)
      // 52 tokens cover a prompt of 10 and 16 tokens to write, for the member and for the sink.
      let grant = budget.grant(
        to: 0, TaskDemand(prompt: 10), reservingFor: sink, waiting: [sink])
      #expect(granted(grant) == member, "\(tokens)")
    }
    for (tokens, answer) in [(10, nil), (11, 1), (12, 2)] as [(Int, Int?)] {
      var budget = PlanBudget(tokens: tokens)
      #expect(granted(budget.grant(to: 0, sink, reservingFor: nil)) == answer, "\(tokens)")
    }
  }

  @Test("a long answer leaves a second prompt and an expected answer; an expected one nothing")
  func retry() {
    for (tokens, answer) in [
      (500, 490), (522, 512), (800, 512), (1_044, 512), (1_045, 513), (2_000, 1_468),
    ] {
      var budget = PlanBudget(tokens: tokens)
      #expect(granted(budget.grant(to: 0, sink, reservingFor: nil)) == answer, "\(tokens)")
    }
  }

  @Test("budgets that nothing fits are refused without a trap", arguments: [0, -1, Int.min / 2, 1])
  func tooSmall(tokens: Int) throws {
    var budget = PlanBudget(tokens: tokens)
    let failure = try #require(refused(budget.grant(to: 0, sink, reservingFor: nil)))
    #expect(failure.code == .invalidRequest && failure.param == "tutti.budget.tokens")
    #expect(failure.message.contains("nothing is left for the answer"))
  }

  @Test("inputs that leave no room to answer are shortened to what the budget pays for")
  func shortened() {
    var budget = PlanBudget(tokens: 100)
    // 100 minus the prompt and 16 tokens to write leaves 74 for two inputs.
    #expect(
      budget.grant(to: 0, sink, inputs: [500, 500], reservingFor: nil)
        == .tokens(16, inputTokens: 37))
    #expect(
      budget.grant(to: 0, sink, inputs: [30, 30], reservingFor: nil)
        == .tokens(30, inputTokens: nil))
  }

  @Test("a task that cannot read one token of its inputs is refused; the sink may still answer")
  func noInputFits() throws {
    var budget = PlanBudget(tokens: 52)
    let failure = try #require(
      refused(
        budget.grant(to: 0, TaskDemand(prompt: 10), inputs: [500], reservingFor: sink)))
    #expect(failure.message.contains("the rest cannot pay for it"))
    #expect(
      budget.grant(to: 1, TaskDemand(prompt: 40), inputs: [500], reservingFor: nil)
        == .tokens(12, inputTokens: 0))
  }

  @Test("an output for a program may be written, read and written again within its grant")
  func corrected() {
    var budget = PlanBudget(tokens: 400)
    let demand = TaskDemand.corrected(prompt: 10, correction: 32)
    #expect(demand.prompts == 52)
    #expect(
      granted(budget.grant(to: 0, demand, reservingFor: sink, waiting: [sink]))
        == (400 - 52 - 10) / 2 / 3)
    _ = budget.charge(used(10, 60), to: 0, hasKnownPrompt: false)
    #expect(granted(budget.grant(to: 1, sink, reservingFor: nil)) == 400 - 70 - 10)
  }

  @Test("a refusal names the tasks that wrote more than they were granted")
  func overruns() throws {
    var budget = PlanBudget(tokens: 100)
    #expect(granted(budget.grant(to: 0, sink, reservingFor: sink, waiting: [sink])) == 40)
    let report = budget.charge(used(10, 95), to: 0, hasKnownPrompt: false)
    budget.recordEnd(of: 0, named: "t0", report.usage)
    let failure = try #require(refused(budget.grant(to: 1, sink, reservingFor: nil)))
    #expect(failure.code == .budgetExhausted, "the request was not at fault")
    #expect(failure.message.contains("t0 wrote 95 tokens, but 40 were allowed"))
    #expect(failure.message.contains("105 of the budget of 100 tokens are used"))
    #expect(failure.message.contains("and 0 are free"))
  }

  @Test("a task that was asked twice may write its grant twice")
  func twice() throws {
    var budget = PlanBudget(tokens: 300)
    let demand = TaskDemand.corrected(prompt: 10, maxTokens: 20, correction: 0)
    #expect(granted(budget.grant(to: 0, demand, reservingFor: sink)) == 20)
    let report = budget.charge(used(250, 40), to: 0, hasKnownPrompt: false)
    budget.recordEnd(of: 0, named: "t0", report.usage)
    let failure = try #require(refused(budget.grant(to: 1, sink, reservingFor: nil)))
    #expect(!failure.message.contains("were allowed"))
  }

  @Test("a host that counts more tokens than estimated makes later prompts more expensive")
  func learned() {
    for (counted, isKnown, expected) in [(20, true, 150), (20, false, 160), (5, true, 175)] {
      var budget = PlanBudget(tokens: 200)
      _ = budget.grant(to: 0, TaskDemand(prompt: 10, maxTokens: 16), reservingFor: sink)
      _ = budget.charge(used(counted, 10), to: 0, hasKnownPrompt: isKnown)
      #expect(granted(budget.grant(to: 1, sink, reservingFor: nil)) == expected, "\(counted)")
    }
  }

  // MARK: - Cost

  @Test("an attempt without a usage report costs its whole grant, and its known part is reported")
  func unreported() {
    var budget = PlanBudget(tokens: 300)
    #expect(
      granted(budget.grant(to: 0, TaskDemand(prompt: 10, maxTokens: 90), reservingFor: sink)) == 90)
    budget.beginAttempt(of: 0)
    budget.chargeUnreported(0, host: "h0", model: "m", prompt: 99, writtenBytes: 12)
    let known = Usage(promptTokens: 10, completionTokens: 3, estimated: true)
    #expect(budget.spent == known)
    #expect(budget.cost(of: 0)?.host == "h0" && budget.cost(of: 0)?.usage == known)
    #expect(budget.cost(of: 0)?.inferences == [Self.lost("h0", known)])
    // 300 minus 100 for the lost attempt and 10 for the sink's prompt.
    #expect(granted(budget.grant(to: 1, sink, reservingFor: nil)) == 190)
  }

  @Test("an attempt is charged once: after its report, nothing is unreported")
  func chargedOnce() {
    var budget = PlanBudget(tokens: 300)
    budget.beginAttempt(of: 0)
    _ = budget.charge(used(10, 20), to: 0, hasKnownPrompt: false)
    budget.chargeUnreported(0, host: "h", model: "m", prompt: 10, writtenBytes: 80)
    #expect(budget.spent == Usage(promptTokens: 10, completionTokens: 20))
  }

  @Test("a task's cost includes the attempts that were given up, with or without a budget")
  func cost() {
    for tokens in [nil, 1_000] as [Int?] {
      var budget = PlanBudget(tokens: tokens)
      #expect(budget.cost(of: 0) == nil)
      budget.beginAttempt(of: 0)
      budget.chargeUnreported(0, host: "h0", model: "m", prompt: 10, writtenBytes: 4)
      budget.beginAttempt(of: 0)
      // The second attempt ended before a host began.
      #expect(budget.cost(of: 0)?.host == "" && budget.cost(of: 0)?.usage.totalTokens == 11)
      let whole = budget.charge(used(10, 20), to: 0, hasKnownPrompt: false)
      #expect(whole.output == "text" && whole.usage.totalTokens == 41)
      #expect(budget.cost(of: 0)?.output == "" && budget.cost(of: 0)?.usage == whole.usage)
      #expect(budget.spent == whole.usage)
    }
  }

  /// The inference of an attempt that was given up at a host.
  private static func lost(_ host: HostID, _ usage: Usage) -> TaskInference {
    TaskInference(
      model: "m", usage: usage,
      attempts: [
        PaidAttempt(host: host, model: "m", tokens: usage.completionTokens, outcome: .delivered)
      ])
  }

  @Test("a task's cost names the hosts of attempts that were given up, before those of its report")
  func lostHosts() {
    var budget = PlanBudget(tokens: nil)
    var expected: [TaskInference] = []
    for host in ["h0", "h1"] as [HostID] {
      budget.beginAttempt(of: 0)
      budget.chargeUnreported(0, host: host, model: "m", prompt: 10, writtenBytes: 8)
      expected.append(
        Self.lost(host, Usage(promptTokens: 10, completionTokens: 2, estimated: true)))
    }
    budget.beginAttempt(of: 0)
    #expect(budget.cost(of: 0)?.inferences == expected)
    var report = used(10, 20)
    report.inferences = [
      TaskInference(
        model: "n", usage: report.usage,
        attempts: [
          PaidAttempt(host: "loser", model: "n", tokens: 4, outcome: .beaten),
          PaidAttempt(host: "h2", model: "n", tokens: 20, outcome: .delivered),
        ])
    ]
    expected += report.inferences
    let whole = budget.charge(report, to: 0, hasKnownPrompt: false)
    #expect(whole.inferences == expected && budget.cost(of: 0)?.inferences == expected)
    #expect(whole.usage == expected.map(\.usage).reduce(.zero, +))
  }

  @Test("a task has a limited number of inferences")
  func manyInferences() {
    var budget = PlanBudget(tokens: nil)
    budget.beginAttempt(of: 0)
    budget.chargeUnreported(0, host: "h0", model: "m", prompt: 10, writtenBytes: 8)
    budget.beginAttempt(of: 0)
    var report = used(10, 20)
    let most = Limits.taskInferences.value
    report.inferences = Array(
      repeating: TaskInference(model: "n", usage: .zero, attempts: []), count: most)
    let whole = budget.charge(report, to: 0, hasKnownPrompt: false)
    #expect(whole.inferences.map(\.model) == ["m"] + Array(repeating: "n", count: most - 1))
  }

  @Test("the cost of an earlier dispatcher counts")
  func earlier() {
    var budget = PlanBudget(tokens: 100)
    budget.recordEarlier(used(10, 40), of: 0)
    budget.recordEarlier(Usage(promptTokens: 5, completionTokens: 5))
    #expect(budget.spent.totalTokens == 60)
    #expect(granted(budget.grant(to: 1, sink, reservingFor: nil)) == 30)
  }
}

@Suite("Expected tokens of a task")
struct TaskDemandTests {
  private func demand(
    _ task: PlanTask, isAnswer: Bool = false, documents: [Document] = [],
    contexts: [ModelID: Int] = [:]
  ) -> TaskDemand {
    TaskDemand(
      task, isAnswer: isAnswer,
      order: PlanOrder(
        plan: .fan(1), conversation: Conversation(messagesJSON: [UInt8](repeating: 32, count: 41)),
        request: PlanRequest(
          pattern: "tutti/decompose", query: "?", seed: 1, available: ["m"],
          hosts: [HostFacts(id: "h", models: ["m"], contextTokens: contexts)]),
        documents: documents), limits: DispatcherBudgetTests.exact)
  }

  @Test("a task that reads the conversation is charged for it, rounded up")
  func conversation() {
    #expect(demand(PlanTask(id: "t", role: .code)).prompt == 11)
    #expect(demand(PlanTask(id: "t", role: .code, readsConversation: false)).prompt == 0)
  }

  @Test("only a task whose output is for a program may be asked twice")
  func contracts() {
    let json = PlanTask(
      id: "t", role: .code, contract: .json(schema: String(repeating: "x", count: 30)),
      readsConversation: false)
    #expect(demand(json).prompt == 10)
    #expect(demand(json).prompts == 2 * 10 + 10 + 32)
    #expect(demand(json).readings == 2 && demand(json).writings == 3)
    // The answer's format was chosen by the client, so the output is not corrected.
    #expect(demand(json, isAnswer: true) == TaskDemand(prompt: 0))
  }

  @Test("a task is charged for the documents that it reads, up to the room in its context")
  func documents() {
    let documents = [
      Document(name: "a", text: String(repeating: "x", count: 399)),
      Document(name: "b", text: String(repeating: "x", count: 100_000)),
    ]
    func prompt(_ names: [String], contexts: [ModelID: Int] = [:]) -> Int {
      demand(
        PlanTask(
          id: "t", role: .code, model: "m", maxTokens: 96, readsConversation: false,
          documents: names),
        documents: documents, contexts: contexts
      ).prompt
    }
    #expect(prompt([]) == 0 && prompt(["a"]) == 100 && prompt(["missing"]) == 0)
    let all = [PlanTask.everyDocument]
    #expect(prompt(all) == 3_200)
    #expect(prompt(all, contexts: ["m": 2_096]) == 1_600)
    #expect(prompt(all, contexts: ["m": 128_000]) == Limits.documentTokens.value)
    #expect(prompt(all, contexts: ["other": 128_000]) == 3_200)
    var part = PlanTask(id: "t", role: .code, readsConversation: false, documents: ["a"])
    part.documentPart = DocumentPart(number: 1, count: 4)
    #expect(demand(part, documents: documents).prompt == 25)
  }
}
