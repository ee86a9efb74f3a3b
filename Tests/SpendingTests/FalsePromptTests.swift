import ClusterModel
import InferenceCore
import Money
import Testing

@testable import GatewayCore

/// All prices are 1 micro-credit per token, so costs are numbers of tokens.
@Suite("The pay of hosts with false counts of prompt tokens")
struct FalsePromptTests {
  private static func price() throws -> RequestPrice {
    try Sample.requestPrice(["m": Sample.price(1_000_000, 1_000_000)])
  }

  private static func summary(_ prompt: Int, _ completion: Int) -> InferenceSummary {
    InferenceSummary(
      host: "h", model: "m",
      usage: Usage(promptTokens: prompt, cachedTokens: 3, completionTokens: completion),
      finishReason: "stop", firstToken: .zero, total: .seconds(1),
      attempts: [
        AttemptRecord(
          host: "h", model: "m", started: .zero, ended: .seconds(1), tokens: completion,
          outcome: .answered)
      ])
  }

  /// The bill of a request with one token of answer, whose hold expects the estimated prompt.
  private static func bill(reported prompt: Int) throws -> (bill: RequestBill, prompt: Int) {
    let bounds = try Sample.request(#""max_tokens":1,"#).bounds(
      models: ["m"], table: Sample.hosts(context: 8_192))
    let hold = bounds.cost(at: try Self.price().highest).worst
    #expect(hold == MicroCredits(Int64(bounds.prompt + 1)))
    let bill = RequestBill(
      bounds.credible(summary(prompt, 1), tokens: nil), price: try Self.price(), hold: hold,
      paidPrompt: bounds.paidPrompt)
    return (bill, bounds.prompt)
  }

  /// Earnings of each host, if hosts have the client's price.
  private static func pay(_ answers: [SettledAnswer]) throws -> (bill: Bill, total: Int64) {
    let price = try Self.price().highest
    let billed = try answers.map { answer in
      let attempts = try answer.attempts.map {
        try BilledAttempt(
          host: $0.host, price: price, usage: $0.usage, contributed: $0.contributed, role: $0.role)
      }
      return try BilledAnswer(usage: answer.usage, price: price, attempts: attempts)
    }
    let rule = try PayoutRule(
      reservationFee: .zero, progressFee: .zero, perMilleOfWinner: 100)
    let bill = try Bill(answers: billed, rule: rule)
    return (bill, bill.payouts.values.reduce(0) { $0 + $1.count })
  }

  @Test("a host with a false count earns at most twice the estimated prompt")
  func direct() throws {
    let (bill, prompt) = try Self.bill(reported: Usage.mostTokens)
    #expect(bill.billed == MicroCredits(Int64(prompt + 1)))
    #expect(try Self.pay(bill.answers).total == Int64(2 * prompt + 1))
  }

  @Test("a host whose prompt has more tokens than the estimate is paid for all of them")
  func honest() throws {
    let (_, prompt) = try Self.bill(reported: 1)
    for tokens in [prompt / 2, prompt, prompt + 7, 2 * prompt] {
      let (bill, _) = try Self.bill(reported: tokens)
      #expect(try Self.pay(bill.answers).total == Int64(tokens + 1))
      #expect(bill.answers[0].usage.cached == 3)
    }
  }

  @Test("a host is paid for a dense prompt that the client's hold pays")
  func covered() throws {
    let bounds = try Sample.request(#""max_tokens":1000,"#).bounds(
      models: ["m"], table: Sample.hosts(context: 8_192))
    let hold = bounds.cost(at: try Self.price().highest).worst
    let tokens = 3 * bounds.prompt
    let bill = RequestBill(
      bounds.credible(Self.summary(tokens, 1), tokens: nil), price: try Self.price(), hold: hold,
      paidPrompt: bounds.paidPrompt)
    #expect(bill.billed == MicroCredits(Int64(tokens + 1)))
    #expect(try Self.pay(bill.answers).total == Int64(tokens + 1))
  }

  @Test("false counts of a plan's tasks add up to at most twice the plan, at one host's expense")
  func plan() throws {
    let bounds = RequestBounds(plan: try Sample.request(""))
    let price = try Self.price()
    let (tasks, tokens, honest) = (16, 400, 20)
    let reports = (0..<tasks).map { index -> TaskReport in
      let host: HostID = index == 0 ? "honest" : "false"
      let prompt = index == 0 ? honest : Usage.mostTokens
      return PlanBillTests.report(
        host, [PlanBillTests.inference(prompt, 1, PlanBillTests.attempt(host, .delivered, 1))])
    }
    let trace = PlanBillTests.trace(reports)
    let bill = RequestBill(
      plan: trace, model: "tutti/ensemble", written: nil, price: price,
      hold: MicroCredits(Int64(tokens)), paidPrompt: bounds.paidPromptOfPlan(tokens: tokens)
    ) { bounds.credible($0, of: trace.plan, tokens: tokens) }
    #expect(bill.billed == MicroCredits(Int64(tokens)))
    let paid = try Self.pay(bill.answers)
    // Each answer has one token, and one limit for all prompts may exceed the sum by one per task.
    #expect((2 * tokens...2 * tokens + 2 * tasks).contains(Int(paid.total)), "\(paid.total)")
    #expect(paid.bill.payouts["honest"] == MicroCredits(Int64(honest + 1)))
  }

  @Test("the pay beyond the client's charge is at most the estimated prompt", arguments: 0..<100)
  func bounded(seed: Int) throws {
    var state = UInt64(seed &+ 1) &* 0x9E37_79B9_7F4A_7C15
    func next(_ bound: UInt64) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % bound)
    }
    let most = next(200) + 1
    let bounds = try Sample.request(#""max_tokens":\#(most),"#).bounds(
      models: ["m"], table: Sample.hosts(context: 8_192))
    let hold = bounds.cost(at: try Self.price().highest).worst
    let summary = bounds.credible(Self.summary(next(2_000), next(400)), tokens: nil)
    let bill = RequestBill(
      summary, price: try Self.price(), hold: hold, paidPrompt: bounds.paidPrompt)
    let paid = try Self.pay(bill.answers)
    #expect(paid.total <= bill.billed.count + Int64(bounds.prompt))
    // The registry bills at most the cost of the reported tokens.
    #expect(paid.bill.charge >= bill.billed)
  }
}
