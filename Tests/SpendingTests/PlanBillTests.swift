import ClusterModel
import InferenceCore
import Limits
import Money
import Testing

@testable import GatewayCore

@Suite("The bill of a plan, inference by inference")
struct PlanBillTests {
  static let hold = MicroCredits(1_000_000_000)

  static func report(
    _ host: HostID, _ inferences: [TaskInference], usage: Usage? = nil
  ) -> TaskReport {
    TaskReport(
      host: host, model: "m", usage: usage ?? inferences.map(\.usage).reduce(.zero, +),
      firstTokenMilliseconds: 1, totalMilliseconds: 2, finishReason: "stop", output: "o",
      inferences: inferences)
  }

  /// A plan whose tasks have these reports.
  static func trace(_ reports: [TaskReport]) -> PlanTrace {
    let tasks = reports.indices.map { PlanTask(id: TaskID("t\($0)"), role: .research) }
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble", tasks: tasks,
        sink: TaskID("t\(reports.count - 1)"), seed: 1, deadline: .seconds(9)))
    for (task, report) in zip(tasks, reports) {
      trace.record(
        .ended(
          TaskEnded(task: task.id, role: .research, agent: "x", status: .done, report: report)))
    }
    return trace
  }

  static func inference(
    _ prompt: Int, _ completion: Int, model: ModelID = "m", _ attempts: PaidAttempt...
  ) -> TaskInference {
    TaskInference(
      model: model, usage: Usage(promptTokens: prompt, completionTokens: completion),
      attempts: attempts)
  }

  static func attempt(
    _ host: HostID, _ outcome: PaidAttempt.Outcome, _ tokens: Int, tier: HostTier = .community
  ) -> PaidAttempt {
    PaidAttempt(host: host, model: "m", tier: tier, tokens: tokens, outcome: outcome)
  }

  static func price() throws -> RequestPrice {
    try Sample.requestPrice(["m": Sample.price(1_000_000, 2_000_000)])
  }

  private static func bill(_ reports: TaskReport..., table: HostTable = .empty) throws
    -> RequestBill
  {
    RequestBill(
      plan: trace(reports), model: "tutti/ensemble", written: nil, price: try price(), hold: hold,
      table: table)
  }

  static func hosts(_ answer: SettledAnswer) -> [HostID] { answer.attempts.map(\.host) }

  @Test("the loser of a race within a task is paid, and the client pays for the answer alone")
  func race() throws {
    let bill = try Self.bill(
      Self.report(
        "winner",
        [
          Self.inference(
            10, 20, Self.attempt("loser", .beaten, 7), Self.attempt("winner", .delivered, 20))
        ]))
    #expect(bill.billed == MicroCredits(50) && bill.answers.count == 1)
    #expect(bill.answers[0].attempts.map(\.role) == [.loser, .winner])
    #expect(bill.answers[0].attempts.map(\.usage.completion) == [7, 20])
    #expect(bill.answers[0].attempts.map(\.contributed) == [0, 20])
  }

  @Test("hosts before a failover within a task are paid for their parts")
  func failover() throws {
    let bill = try Self.bill(
      Self.report(
        "c",
        [
          Self.inference(
            10, 20, Self.attempt("a", .failed, 5), Self.attempt("b", .failed, 6),
            Self.attempt("c", .delivered, 30, tier: .fallback))
        ]))
    #expect(bill.answers[0].attempts.map(\.role) == [.failed, .failed, .fallback])
    #expect(bill.answers[0].attempts.map(\.contributed) == [5, 6, 9])
  }

  @Test("the host of an answer and the host of its correction are each paid for their own prompt")
  func correction() throws {
    let bill = try Self.bill(
      Self.report(
        "b",
        [
          Self.inference(10, 20, Self.attempt("a", .delivered, 20)),
          Self.inference(40, 5, Self.attempt("b", .delivered, 5)),
        ]))
    #expect(bill.billed == MicroCredits(10 + 40 + 50))
    #expect(bill.answers.map(Self.hosts) == [["a"], ["b"]])
    #expect(bill.answers.flatMap(\.attempts).map(\.role) == [.winner, .winner])
    #expect(bill.answers.flatMap(\.attempts).map(\.usage.prompt) == [10, 40])
  }

  @Test(
    "an embedding costs the price of its model, or that of the task's model if its own has none",
    arguments: [([ModelID("embedder")], Int64(3)), ([], Int64(30))])
  func embedding(embedders: [ModelID], cost: Int64) throws {
    let trace = Self.trace([
      Self.report(
        "chat",
        [
          Self.inference(30, 0, model: "embedder", Self.attempt("embed", .delivered, 0)),
          Self.inference(10, 20, Self.attempt("chat", .delivered, 20)),
        ])
    ])
    let table = try Sample.table(
      .refuse,
      [
        "m": Sample.price(1_000_000, 2_000_000), "dear": Sample.price(9_000_000, 9_000_000),
        "embedder": Sample.price(100_000, 0),
      ])
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: nil,
      price: try RequestPrice(of: ["m", "dear"], embedders: embedders, in: table, at: 5),
      hold: Self.hold)
    #expect(bill.billed == MicroCredits(cost + 10 + 40))
    #expect(bill.answers.map(Self.hosts) == [["embed"], ["chat"]])
  }

  @Test("a host whose agent was lost is paid for its text, and the next host for the rest")
  func lostAgent() throws {
    // The second agent's inference counts the text of the first one as well.
    let bill = try Self.bill(
      Self.report(
        "b",
        [
          Self.inference(10, 8, Self.attempt("a", .delivered, 8)),
          Self.inference(10, 20, Self.attempt("b", .delivered, 12)),
        ], usage: Usage(promptTokens: 20, completionTokens: 20)))
    #expect(bill.billed == MicroCredits(20 + 40))
    #expect(bill.answers.map(Self.hosts) == [["a"], ["b"]])
    #expect(bill.answers.flatMap(\.attempts).map(\.contributed) == [8, 12])
  }

  @Test("the dispatcher knows the client's name of a model only, and the host has another one")
  func alias() throws {
    let table = HostTable(
      epoch: 1, revision: 1,
      hosts: [
        Host(
          id: "a", url: "http://a", state: .ready,
          models: [ModelOffer(id: "m", upstream: "real"), ModelOffer(id: "real")])
      ])
    let lost = Self.inference(10, 8, Self.attempt("a", .delivered, 8))
    var own = Self.attempt("a", .delivered, 12)
    own.model = "real"
    let bill = try Self.bill(
      Self.report("a", [lost, Self.inference(10, 12, own)]), table: table)
    #expect(bill.answers.flatMap(\.attempts).map(\.model) == ["real", "real"])
  }

  @Test("a report without inferences pays its host, as do tokens that no inference has")
  func earlierAgent() throws {
    let usage = Usage(promptTokens: 10, cachedTokens: 4, completionTokens: 20)
    let old = try Self.bill(Self.report("h", [], usage: usage))
    #expect(
      old.answers == [
        SettledAnswer(
          usage: try TokenUsage(prompt: 10, cached: 4, completion: 20),
          attempts: [
            SettledAttempt(
              host: "h", model: "m", usage: try TokenUsage(prompt: 10, cached: 4, completion: 20),
              contributed: 20, role: .winner)
          ], price: Sample.price(1_000_000, 2_000_000))
      ])
    let mixed = try Self.bill(
      Self.report("h", [Self.inference(3, 5, Self.attempt("a", .delivered, 5))], usage: usage))
    #expect(mixed.answers.map(Self.hosts) == [["a"], ["h"]])
    #expect(mixed.answers.map(\.usage.prompt) == [3, 7])
    #expect(mixed.answers.map(\.usage.completion) == [5, 15])
    #expect(mixed.answers.map(\.usage.cached) == [0, 4])
  }

  @Test("inferences have no more tokens than are credible of their task")
  func credible() throws {
    let trace = Self.trace([
      Self.report(
        "b",
        [
          Self.inference(3, 40, Self.attempt("a", .delivered, 40)),
          Self.inference(3, 40, Self.attempt("b", .delivered, 40)),
          Self.inference(3, 40, Self.attempt("c", .delivered, 40)),
        ])
    ])
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: nil, price: try Self.price(), hold: Self.hold
    ) { _ in Usage(promptTokens: 4, completionTokens: 50) }
    #expect(bill.answers.map(Self.hosts) == [["a"], ["b"]])
    #expect(bill.answers.map(\.usage.prompt) == [3, 1])
    #expect(bill.answers.flatMap(\.attempts).map(\.contributed) == [40, 10])
  }

  @Test("the host of a draft with an invented count does not get the pay of the correction's host")
  func inventedCount() throws {
    let bounds = RequestBounds(plan: try Sample.request(""))
    func answers(draft: Int) throws -> [SettledAnswer] {
      var trace = PlanTrace(
        Plan(
          id: PlanID("p"), pattern: "tutti/ensemble",
          tasks: [PlanTask(id: "t0", role: .research, maxTokens: 30)], sink: "t0", seed: 1,
          deadline: .seconds(9)))
      trace.record(.started(task: "t0", role: .research, agent: "x", attempt: 1))
      let report = Self.report(
        "b",
        [
          Self.inference(3, draft, Self.attempt("a", .delivered, draft)),
          Self.inference(3, 20, Self.attempt("b", .delivered, 20)),
        ])
      Self.end(report, in: &trace)
      return RequestBill(
        plan: trace, model: "tutti/ensemble", written: nil, price: try Self.price(), hold: Self.hold
      ) { bounds.credible($0, of: trace.plan, tokens: 1_000) }.answers
    }
    let honest = try answers(draft: 25)
    #expect(honest.map(Self.hosts) == [["a"], ["b"]])
    #expect(honest.map(\.usage.completion) == [25, 20])
    let invented = try answers(draft: 900_000)
    let byHost = Dictionary(
      grouping: invented.flatMap(\.attempts), by: \.host
    ).mapValues { $0.reduce(0) { $0 + $1.contributed } }
    #expect(byHost == ["a": 30, "b": 30])
  }

  /// Events of an attempt at the only task of a plan.
  static func write(_ bytes: Int, at host: HostID, attempt: Int, in trace: inout PlanTrace) {
    trace.record(.started(task: "t0", role: .research, agent: "x", attempt: attempt))
    trace.record(
      .firstToken(task: "t0", TaskBegan(host: host, model: "m", firstTokenMilliseconds: 1)))
    trace.record(.delta(TaskDelta(text: String(repeating: "x", count: bytes))))
  }

  static func end(_ report: TaskReport, in trace: inout PlanTrace) {
    trace.record(
      .ended(TaskEnded(task: "t0", role: .research, agent: "x", status: .done, report: report)))
  }

  @Test("the hosts of an answer are paid for their parts if its agent or its dispatcher is lost")
  func parts() throws {
    func answers(_ trace: PlanTrace, written: Int) throws -> [SettledAnswer] {
      RequestBill(
        plan: trace, model: "tutti/ensemble", written: written, price: try Self.price(),
        hold: Self.hold
      ).answers
    }
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble", tasks: [PlanTask(id: "t0", role: .research)],
        sink: "t0", seed: 1, deadline: .seconds(9)))
    trace.beginDispatch()
    Self.write(16, at: "a", attempt: 1, in: &trace)
    Self.write(12, at: "b", attempt: 2, in: &trace)
    // If the client leaves now, the last host gets the tokens that the estimates do not count.
    let left = try answers(trace, written: 9)
    #expect(left.map(Self.hosts) == [["a"], ["b"]])
    #expect(left.flatMap(\.attempts).map(\.contributed) == [4, 5])

    var reported = trace
    Self.end(
      Self.report(
        "b",
        [
          Self.inference(10, 4, Self.attempt("a", .delivered, 4)),
          Self.inference(10, 20, Self.attempt("b", .delivered, 16)),
        ], usage: Usage(promptTokens: 20, completionTokens: 20)), in: &reported)
    let ended = try answers(reported, written: 20)
    #expect(ended.map(Self.hosts) == [["a"], ["b"]])
    #expect(ended.map(\.usage.completion) == [4, 16])

    // The second dispatcher knows the text so far, but not its hosts.
    trace.beginDispatch()
    Self.write(8, at: "c", attempt: 1, in: &trace)
    Self.end(
      Self.report("c", [Self.inference(10, 20, Self.attempt("c", .delivered, 13))]), in: &trace)
    let resumed = try answers(trace, written: 20)
    #expect(resumed.map(Self.hosts) == [["a"], ["b"], ["c"]])
    #expect(resumed.map(\.usage.prompt) == [0, 0, 10])
    #expect(resumed.map(\.usage.completion) == [4, 3, 13])
  }

  @Test("after a lost dispatcher, a degraded answer pays its first host, and a substitute does not")
  func degradedParts() throws {
    func answers(output: String) throws -> [SettledAnswer] {
      var trace = PlanTrace(
        Plan(
          id: PlanID("p"), pattern: "tutti/ensemble", tasks: [PlanTask(id: "t0", role: .research)],
          sink: "t0", seed: 1, deadline: .seconds(9)))
      trace.beginDispatch()
      Self.write(16, at: "a", attempt: 1, in: &trace)
      trace.beginDispatch()
      Self.write(8, at: "c", attempt: 1, in: &trace)
      var report = Self.report("c", [Self.inference(10, 12, Self.attempt("c", .delivered, 8))])
      report.output = output
      trace.record(
        .ended(
          TaskEnded(
            task: "t0", role: .research, agent: "x", status: .degraded,
            reason: "it ran without t1", report: report)))
      return RequestBill(
        plan: trace, model: "tutti/ensemble", written: nil, price: try Self.price(), hold: Self.hold
      ).answers
    }
    let whole = try answers(output: String(repeating: "x", count: 24))
    #expect(whole.map(Self.hosts) == [["a"], ["c"]])
    #expect(whole.map(\.usage.completion) == [4, 8])
    #expect(try answers(output: "a draft").map(Self.hosts) == [["c"]])
  }

  @Test("if a plan fails within its answer, the host of the text that the client has is paid")
  func failedParts() throws {
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble", tasks: [PlanTask(id: "t0", role: .research)],
        sink: "t0", seed: 1, deadline: .seconds(9)))
    trace.beginDispatch()
    Self.write(16, at: "a", attempt: 1, in: &trace)
    // No host begins for the second dispatcher.
    trace.beginDispatch()
    trace.record(.started(task: "t0", role: .research, agent: "x", attempt: 1))
    trace.record(
      .ended(TaskEnded(task: "t0", role: .research, agent: "x", status: .failed, reason: "lost")))
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: 4, price: try Self.price(), hold: Self.hold)
    #expect(bill.billed == MicroCredits(8) && bill.answers.map(Self.hosts) == [["a"]])
  }

  @Test("a client that leaves a concatenated answer pays for its tasks, and not for its text again")
  func concatenated() throws {
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/decompose",
        tasks: [
          PlanTask(id: "t0", role: .research), PlanTask(id: "t1", role: .research),
          PlanTask(
            id: "sink", role: .coordinator,
            inputs: [Edge(from: "t0", name: "a"), Edge(from: "t1", name: "b")],
            merge: .concatenate),
        ], sink: "sink", seed: 1, deadline: .seconds(9)))
    Self.write(0, at: "a", attempt: 1, in: &trace)
    Self.end(Self.report("a", [Self.inference(3, 4, Self.attempt("a", .delivered, 4))]), in: &trace)
    trace.record(.delta(TaskDelta(text: String(repeating: "x", count: 16))))
    let bill = RequestBill(
      plan: trace, model: "tutti/decompose", written: 4, price: try Self.price(), hold: Self.hold)
    #expect(bill.billed == MicroCredits(3 + 8) && bill.answers.map(Self.hosts) == [["a"]])
    let bounds = RequestBounds(plan: try Sample.request(""))
    #expect(bounds.credible(trace, written: 4, tokens: nil).completionTokens == 4)
  }

  @Test("a plan with too many inferences pays the last ones to the hosts of their tasks")
  func tooMany() throws {
    let count = Limits.planTasks.value
    let each = Limits.taskInferences.value
    let reports = (0..<count).map { task in
      Self.report(
        HostID("h\(task)"),
        Array(
          repeating: Self.inference(1, 2, Self.attempt("a", .delivered, 2)), count: each))
    }
    let bill = RequestBill(
      plan: Self.trace(reports), model: "tutti/ensemble", written: nil, price: try Self.price(),
      hold: Self.hold)
    #expect(bill.answers.count <= Limits.billedAnswers.value)
    #expect(bill.answers.reduce(0) { $0 + $1.usage.prompt } == Int64(count * each))
    #expect(bill.answers.reduce(0) { $0 + $1.usage.completion } == Int64(2 * count * each))
    #expect(bill.answers.last.map(Self.hosts) == [HostID("h\(count - 1)")])
  }

  // MARK: - Properties

  @Test("a task of one inference is settled as a direct answer with the same attempts")
  func likeDirectAnswer() throws {
    for seed in 0..<500 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      let outcomes: [AttemptOutcome] = [
        .answered, .beaten, .failed(AttemptFailure(.stall, "it failed")),
        .failed(AttemptFailure(.consumerLeft, "it left")),
      ]
      let attempts = (0..<Int.random(in: 1...6, using: &rng)).map { index in
        AttemptRecord(
          host: HostID("h\(index)"), model: "m",
          tier: Bool.random(using: &rng) ? .community : .fallback,
          started: .zero, ended: .seconds(1), tokens: Int.random(in: 0...40, using: &rng),
          outcome: outcomes[Int.random(in: 0..<4, using: &rng)])
      }
      let prompt = Int.random(in: 1...50, using: &rng)
      let summary = InferenceSummary(
        host: "h", model: "m",
        usage: Usage(
          promptTokens: prompt, cachedTokens: Int.random(in: 0...prompt, using: &rng),
          completionTokens: Int.random(in: 0...90, using: &rng)), finishReason: "stop",
        firstToken: .zero, total: .seconds(1), attempts: attempts)
      let direct = RequestBill(summary, price: try Self.price(), hold: Self.hold)
      let plan = try Self.bill(Self.report("h", [TaskInference(summary)]))
      #expect(plan.billed == direct.billed, "seed \(seed)")
      #expect(plan.answers.map(\.usage) == direct.answers.map(\.usage), "seed \(seed)")
      // A failed attempt without tokens earns nothing and is not reported.
      let paid = direct.answers.flatMap(\.attempts).filter {
        $0.role != .failed || $0.usage.completion > 0
      }
      #expect(plan.answers.flatMap(\.attempts) == paid, "seed \(seed)")
    }
  }

  @Test("every plan's bill equals the pay of hosts plus the margin, for each of its inferences")
  func conservation() throws {
    let rule = try PayoutRule(
      reservationFee: MicroCredits(3), progressFee: MicroCredits(500_000), perMilleOfWinner: 150)
    let price = Sample.price(1_000_000, 2_000_000)
    for seed in 0..<500 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      let reports = (0..<Int.random(in: 1...12, using: &rng)).map { _ in Self.random(using: &rng) }
      let trace = Self.trace(reports)
      let bill = RequestBill(
        plan: trace, model: "tutti/ensemble", written: nil, price: try Self.price(),
        hold: Self.hold)
      let expected = try trace.tasks.reduce(TokenUsage.zero) { try $0.adding(TokenUsage($1.usage)) }
      let counted = try bill.answers.reduce(TokenUsage.zero) { try $0.adding($1.usage) }
      #expect(counted == expected, "seed \(seed)")
      var charged: Int64 = 0
      for answer in bill.answers {
        let line = try Self.registrysBill(of: answer, at: price, rule)
        charged += line.charge.count
        let pay = line.lines[0].pay
        #expect(
          line.charge.count == pay.reduce(0) { $0 + $1.count } + line.margin.count, "seed \(seed)")
        let paid = Array(zip(answer.attempts, pay))
        let delivered = paid.filter { [.winner, .continued, .fallback].contains($0.0.role) }
        // At equal prices, the hosts that delivered earn at most what the client pays.
        #expect(
          delivered.reduce(0) { $0 + $1.1.count } <= line.charge.count, "seed \(seed)")
        let winner =
          paid.first { $0.0.role == .winner }?.1 ?? delivered.map(\.1).max() ?? .zero
        for (attempt, amount) in paid where attempt.role == .loser || attempt.role == .failed {
          #expect(amount.count * 1_000 <= winner.count * 150, "seed \(seed)")
        }
      }
      #expect(bill.billed.count == charged, "seed \(seed)")
    }
  }

  /// The bill that the registry makes of one answer, at the same price for client and hosts.
  private static func registrysBill(
    of answer: SettledAnswer, at price: TokenPrice, _ rule: PayoutRule
  ) throws -> Bill {
    try Bill(
      answers: [
        BilledAnswer(
          usage: answer.usage, price: price,
          attempts: answer.attempts.map {
            try BilledAttempt(
              host: $0.host, price: price, usage: $0.usage, contributed: $0.contributed,
              role: $0.role)
          })
      ], rule: rule)
  }

  /// A report of random inferences, whose counts may differ from those of the task.
  private static func random(using rng: inout SplitMix64) -> TaskReport {
    let inferences = (0..<Int.random(in: 0...Limits.taskInferences.value, using: &rng)).map { _ in
      let prompt = Int.random(in: 0...60, using: &rng)
      return TaskInference(
        model: Bool.random(using: &rng) ? "m" : "other",
        usage: Usage(
          promptTokens: prompt, cachedTokens: Int.random(in: 0...prompt, using: &rng),
          completionTokens: Int.random(in: 0...80, using: &rng)),
        attempts: (0..<Int.random(in: 0...5, using: &rng)).map { index in
          attempt(
            HostID("h\(index % 3)"),
            PaidAttempt.Outcome.allCases.randomElement(using: &rng) ?? .failed,
            Int.random(in: 0...60, using: &rng),
            tier: Bool.random(using: &rng) ? .community : .fallback)
        })
    }
    guard Bool.random(using: &rng) else { return report("h", inferences) }
    let prompt = Int.random(in: 0...200, using: &rng)
    return report(
      "h", inferences,
      usage: Usage(
        promptTokens: prompt, cachedTokens: Int.random(in: 0...prompt, using: &rng),
        completionTokens: Int.random(in: 0...300, using: &rng)))
  }
}
