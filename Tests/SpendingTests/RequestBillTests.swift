import ClusterModel
import InferenceCore
import Money
import Testing

@testable import GatewayCore

@Suite("The bill of a request")
struct RequestBillTests {
  private static let hold = MicroCredits(1_000_000)

  private static func attempt(
    _ host: HostID, _ outcome: AttemptOutcome, tokens: Int, role: AttemptRole = .first,
    tier: HostTier = .community
  ) -> AttemptRecord {
    AttemptRecord(
      host: host, model: "m", role: role, tier: tier, started: .zero, ended: .seconds(1),
      tokens: tokens, outcome: outcome)
  }

  private static func failed(_ kind: AttemptFailure.Kind) -> AttemptOutcome {
    .failed(AttemptFailure(kind, "it failed"))
  }

  private static func bill(
    _ attempts: [AttemptRecord], completion: Int, hold: MicroCredits = hold
  ) throws -> RequestBill {
    RequestBill(
      InferenceSummary(
        host: attempts.last?.host ?? "h", model: "m",
        usage: Usage(promptTokens: 10, completionTokens: completion), finishReason: "stop",
        firstToken: .zero, total: .seconds(1), attempts: attempts),
      price: try Sample.requestPrice(["m": Sample.price(1_000_000, 2_000_000)]), hold: hold)
  }

  /// The bill of an answer with 10 prompt tokens, at 10 micro-credits per token, or 1 if it was
  /// cached. A completion token costs 2.
  private static func bill(
    _ attempts: [AttemptRecord], cached: Int, completion: Int
  ) throws -> RequestBill {
    RequestBill(
      InferenceSummary(
        host: attempts.last?.host ?? "h", model: "m",
        usage: Usage(promptTokens: 10, cachedTokens: cached, completionTokens: completion),
        finishReason: "stop", firstToken: .zero, total: .seconds(1), attempts: attempts),
      price: try cachedPrice(), hold: hold)
  }

  private static func cachedPrice() throws -> RequestPrice {
    let price = try TokenPrice(
      input: MicroCredits(10_000_000), cachedInput: MicroCredits(1_000_000),
      output: MicroCredits(2_000_000))
    return try Sample.requestPrice(["m": price])
  }

  private static func roles(_ bill: RequestBill) -> [BilledAttempt.Role] {
    bill.answers.flatMap(\.attempts).map(\.role)
  }

  @Test("the client pays for the prompt once and for the answer, whatever raced")
  func race() throws {
    let bill = try Self.bill(
      [
        Self.attempt("loser", .beaten, tokens: 7, role: .speculative),
        Self.attempt("winner", .answered, tokens: 20),
      ], completion: 20)
    #expect(bill.billed == MicroCredits(50))
    #expect(Self.roles(bill) == [.loser, .winner])
    #expect(bill.answers[0].attempts.map(\.contributed) == [0, 20])
    #expect(bill.answers[0].attempts.map(\.usage.completion) == [7, 20])
  }

  @Test("cached prompt tokens have their own price, for the client and for the winner")
  func cached() throws {
    let bill = try Self.bill(
      [
        Self.attempt("loser", .beaten, tokens: 7, role: .speculative),
        Self.attempt("winner", .answered, tokens: 20),
      ], cached: 6, completion: 20)
    #expect(bill.billed == MicroCredits(4 * 10 + 6 * 1 + 20 * 2))
    #expect(bill.answers[0].usage == (try TokenUsage(prompt: 10, cached: 6, completion: 20)))
    #expect(bill.answers[0].attempts.map(\.usage.cached) == [0, 6])
  }

  @Test("a host that resumes an answer is not paid for the prompt, so it has no cached tokens")
  func cachedAfterFailover() throws {
    let bill = try Self.bill(
      [
        Self.attempt("a", Self.failed(.stall), tokens: 5),
        Self.attempt("b", .answered, tokens: 15, role: .resumption),
      ], cached: 6, completion: 20)
    #expect(bill.billed == MicroCredits(4 * 10 + 6 * 1 + 20 * 2))
    #expect(bill.answers[0].attempts.map(\.usage.cached) == [0, 0])
  }

  @Test("a client that left amid a body pays for the cached tokens that are known")
  func leftWithCached() throws {
    var delivered = DeliveredAnswer()
    delivered.begin(by: "h", "m", as: "real", tier: .community)
    delivered.wrote(3)
    let bill = RequestBill(
      delivered, of: "m", prompt: 10, cached: 6, price: try Self.cachedPrice(), hold: Self.hold)
    #expect(bill.billed == MicroCredits(4 * 10 + 6 * 1 + 3 * 2))
    #expect(bill.answers[0].attempts.map(\.usage.cached) == [6])
    // A host that resumed the answer is not paid for the prompt.
    delivered.begin(by: "i", "m", as: "real", tier: .community)
    delivered.wrote(5)
    let resumed = RequestBill(
      delivered, of: "m", prompt: 10, cached: 6, price: try Self.cachedPrice(), hold: Self.hold)
    #expect(resumed.answers[0].attempts.map(\.usage.cached) == [0, 0])
  }

  @Test("a host is paid for its own model, whatever name the client uses")
  func alias() throws {
    var attempt = Self.attempt("h", .answered, tokens: 20)
    attempt.hostModel = "real"
    let bill = try Self.bill([attempt], completion: 20)
    #expect(bill.model == "m" && bill.answers[0].attempts.map(\.model) == ["real"])
  }

  @Test("the first part of a body has its share of the tokens")
  func partOfBody() throws {
    let bill = try Self.bill([Self.attempt("h", .answered, tokens: 20)], completion: 20)
    #expect(bill.completion(inFirst: 25, of: 100) == 5)
    #expect(bill.completion(inFirst: 99, of: 100) == 19)
    #expect(bill.completion(inFirst: .max, of: 0) == Usage.mostTokens)
  }

  @Test("a host that broke off contributed its tokens, and the others resumed")
  func resumption() throws {
    let bill = try Self.bill(
      [
        Self.attempt("a", Self.failed(.stall), tokens: 5),
        Self.attempt("b", Self.failed(.lost), tokens: 6, role: .resumption),
        Self.attempt("c", .answered, tokens: 30, role: .resumption, tier: .fallback),
      ], completion: 20)
    #expect(Self.roles(bill) == [.failed, .failed, .fallback])
    // The last host repeated text, which does not count.
    #expect(bill.answers[0].attempts.map(\.contributed) == [5, 6, 9])
  }

  @Test("a fallback host that begins the answer is its winner")
  func fallback() throws {
    let bill = try Self.bill(
      [
        Self.attempt("a", Self.failed(.connect), tokens: 0),
        Self.attempt("b", .answered, tokens: 4, role: .retry, tier: .fallback),
      ], completion: 4)
    #expect(Self.roles(bill) == [.failed, .winner])
  }

  @Test("every outcome makes a settlement that the registry accepts", arguments: 0..<200)
  func valid(seed: Int) throws {
    var state = UInt64(seed &+ 1) &* 0x9E37_79B9_7F4A_7C15
    func next(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    let attempts = (0..<Int(next(6))).map { index in
      let outcomes: [AttemptOutcome] = [
        .answered, .beaten, Self.failed(.stall), Self.failed(.consumerLeft),
      ]
      return Self.attempt(
        HostID("h\(index)"), outcomes[Int(next(4))], tokens: Int(next(50)),
        tier: next(2) == 0 ? .community : .fallback)
    }
    let bill = try Self.bill(attempts, completion: Int(next(100)), hold: MicroCredits(100))
    #expect(bill.billed <= MicroCredits(100) && bill.billed >= .zero)
    let whole = try Self.bill(attempts, cached: Int(next(13)), completion: Int(next(100)))
    let price = try Self.cachedPrice().highest
    let rule = try PayoutRule(
      reservationFee: MicroCredits(1), progressFee: MicroCredits(500_000), perMilleOfWinner: 150)
    for answer in bill.answers + whole.answers {
      let billed = try answer.attempts.map {
        try BilledAttempt(
          host: $0.host, price: price, usage: $0.usage, contributed: $0.contributed, role: $0.role)
      }
      let made = try Bill(
        answers: [BilledAnswer(usage: answer.usage, price: price, attempts: billed)], rule: rule)
      let paid = made.payouts.values.reduce(0) { $0 + $1.count }
      #expect(made.charge.count == paid + made.margin.count)
      // At equal prices, the hosts that delivered earn at most what the client pays.
      let delivered = zip(answer.attempts, made.lines[0].pay)
        .filter { $0.0.role != .loser && $0.0.role != .failed }.reduce(0) { $0 + $1.1.count }
      #expect(delivered <= made.charge.count)
    }
    #expect(whole.billed.count == (try Self.charge(of: whole.answers, at: price)))
  }

  private static func charge(
    of answers: [SettledAnswer], at price: TokenPrice
  ) throws -> Int64 {
    try answers.reduce(0) { try $0 + price.cost(of: $1.usage).count }
  }

  @Test("a client that left pays for what was written, and nothing if that is nothing")
  func left() throws {
    let price = try Sample.requestPrice(["m": Sample.price(1_000_000, 2_000_000)])
    func bill(_ tokens: Int) -> RequestBill {
      var delivered = DeliveredAnswer()
      delivered.begin(by: "h", "m", as: "real", tier: .community)
      delivered.wrote(tokens)
      return RequestBill(delivered, of: "tutti/fast", prompt: 10, price: price, hold: Self.hold)
    }
    let some = bill(3)
    #expect(some.billed == MicroCredits(16) && Self.roles(some) == [.winner])
    #expect(some.model == "m" && some.answers[0].attempts.map(\.model) == ["real"])
    #expect(bill(0).billed == .zero && bill(0).answers.isEmpty)
    let unanswered = RequestBill(
      DeliveredAnswer(), of: "tutti/fast", prompt: 10, price: price, hold: Self.hold)
    #expect(unanswered.billed == .zero && unanswered.model == "tutti/fast")
  }

  @Test("a client that left pays every host whose text it received, the last one as its host")
  func leftAfterFailover() throws {
    let price = try Sample.requestPrice(["m": Sample.price(0, 1_000_000)])
    var delivered = DeliveredAnswer()
    func attempts() -> [SettledAttempt] {
      RequestBill(delivered, of: "m", prompt: 10, price: price, hold: Self.hold)
        .answers.flatMap(\.attempts)
    }
    delivered.begin(by: "a", "m", as: "m", tier: .community)
    delivered.begin(by: "b", "m", as: "m", tier: .community)
    // Host a sent no token that reached the client.
    delivered.wrote(4)
    #expect(attempts().map(\.host) == ["b"] && attempts().map(\.role) == [.winner])
    delivered.begin(by: "c", "m", as: "m", tier: .fallback)
    #expect(delivered.role == .fallback && delivered.tokensOfHost == 0)
    // Host c has not delivered a token either, so all text so far is host b's.
    #expect(attempts().map(\.host) == ["b"] && attempts().map(\.role) == [.winner])
    delivered.wrote(9)
    delivered.wrote(7)
    #expect(attempts().map(\.host) == ["b", "c"])
    #expect(attempts().map(\.role) == [.failed, .fallback])
    #expect(attempts().map(\.contributed) == [4, 5])
    delivered.begin(by: "b", "m", as: "m", tier: .community)
    delivered.wrote(10)
    #expect(delivered.tokensOfHost == 5 && delivered.tokens == 10)
    #expect(attempts().map(\.role) == [.failed, .failed, .continued])
    #expect(attempts().reduce(0) { $0 + $1.contributed } == 10)
  }

  @Test("no bill is above its hold")
  func hold() throws {
    let bill = try Self.bill(
      [Self.attempt("a", .answered, tokens: 20)], completion: 20, hold: MicroCredits(49))
    #expect(bill.billed == MicroCredits(49))
  }

  @Test("a plan costs the sum of its tasks, each at the price of its model")
  func plan() throws {
    let price = try Sample.requestPrice([
      "m": Sample.price(1_000_000, 1_000_000), "n": Sample.price(2_000_000, 2_000_000),
    ])
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble",
        tasks: [PlanTask(id: "a", role: .research), PlanTask(id: "b", role: .reasoning)], sink: "b",
        seed: 1, deadline: .seconds(9)))
    for (task, model) in [("a", ModelID("m")), ("b", "n")] as [(TaskID, ModelID)] {
      trace.record(
        .ended(
          TaskEnded(
            task: task, role: .research, agent: "x", status: .done,
            report: TaskReport(
              host: "h", model: model, usage: Usage(promptTokens: 3, completionTokens: 4),
              firstTokenMilliseconds: 1, totalMilliseconds: 2, finishReason: "stop", output: "o"))))
    }
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: 4, price: price, hold: Self.hold)
    #expect(bill.billed == MicroCredits(7 + 14))
    #expect(bill.answers.count == 2)
  }

  @Test("each task of a plan costs less for the cached tokens of its prompt")
  func cachedPlan() throws {
    var trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble",
        tasks: [PlanTask(id: "a", role: .research), PlanTask(id: "b", role: .reasoning)], sink: "b",
        seed: 1, deadline: .seconds(9)))
    for (task, cached) in [("a", 0), ("b", 8)] as [(TaskID, Int)] {
      let usage = Usage(promptTokens: 10, cachedTokens: cached, completionTokens: 4)
      trace.record(
        .ended(
          TaskEnded(
            task: task, role: .research, agent: "x", status: .done,
            report: TaskReport(
              host: "h", model: "m", usage: usage, firstTokenMilliseconds: 1,
              totalMilliseconds: 2, finishReason: "stop", output: "o"))))
    }
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: 4, price: try Self.cachedPrice(),
      hold: Self.hold)
    #expect(bill.billed == MicroCredits((10 * 10 + 4 * 2) + (2 * 10 + 8 * 1 + 4 * 2)))
    #expect(bill.answers.map(\.usage.cached) == [0, 8])
    #expect(bill.answers.flatMap(\.attempts).map(\.usage.cached) == [0, 8])
  }

  @Test("a plan that was left pays for the written part of its answer")
  func unfinishedPlan() throws {
    let price = try Sample.requestPrice(["m": Sample.price(1_000_000, 1_000_000)])
    let trace = PlanTrace(
      Plan(
        id: PlanID("p"), pattern: "tutti/ensemble", tasks: [PlanTask(id: "a", role: .research)],
        sink: "a", seed: 1, deadline: .seconds(9)))
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: 5, price: price, hold: Self.hold)
    #expect(bill.billed == MicroCredits(5))
  }
}
