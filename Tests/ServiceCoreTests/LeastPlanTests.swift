import ClusterModel
import Money
import PlannerCore
import Testing

@testable import GatewayCore

@Suite("The smallest plan that a key must be able to pay")
struct LeastPlanTests {
  private static func request(
    _ model: String, _ tutti: String = "", text: String = "Compare tea and coffee for me."
  ) throws -> ClientRequest {
    let messages = #"[{"role":"user","content":"\#(text)"}]"#
    return try ClientRequest(
      parsing: Array(
        #"{"model":"\#(model)","tutti":{\#(tutti)},"messages":\#(messages)}"#.utf8),
      endpoint: .chatCompletions)
  }

  private static let texts = [
    "Compare tea and coffee for me.", "Is Paris the capital of France? Answer yes or no.",
    String(repeating: "A long story about tea. ", count: 2_000),
  ]

  @Test(
    "the planner never needs less",
    arguments: [
      "tutti/auto", "tutti/decompose", "tutti/ensemble", "tutti/debate", "tutti/maestro",
    ],
    ["", #""members":1"#, #""members":16"#, #""members":["a","b"],"rounds":8"#])
  func bound(pattern: String, tutti: String) throws {
    for text in Self.texts {
      let request = try Self.request(pattern, tutti, text: text)
      let plan = PlanRequest(
        request, pattern: pattern, budget: TokenBudget(tokens: request.leastPlanTokens - 1),
        seed: 1, available: ["a", "b"], hosts: [])
      let failure = #expect(throws: Failure.self) { _ = try makePlan(plan, id: "p") }
      #expect(failure?.param == "tutti.budget.tokens")
    }
  }

  @Test("a hold pays for the smallest plan at least, but not for more than the client's own budget")
  func hold() throws {
    let price = try TokenPrice(
      input: MicroCredits(1_000_000), cachedInput: MicroCredits(1_000_000),
      output: MicroCredits(1_000_000))
    let request = try Self.request("tutti/maestro")
    let cost = RequestBounds(plan: request).planCost(at: price)
    #expect(cost.minimum.count == Int64(request.leastPlanTokens))
    #expect(cost.worst > cost.minimum)
    let limited = try Self.request("tutti/maestro", #""budget":{"tokens":100}"#)
    #expect(RequestBounds(plan: limited).planCost(at: price).worst.count == 100)
  }

  @Test("a large debate may spend what it needs, if the client states no budget")
  func largeDebate() throws {
    let request = try Self.request(
      "tutti/debate", #""members":16"#, text: String(repeating: "tea ", count: 40_000))
    let bounds = RequestBounds(plan: request)
    #expect(bounds.prompt + bounds.answer >= 2 * request.leastPlanTokens)
  }
}

@Suite("Refusals of plans near the end of a budget")
struct PlanShortageTests {
  private static let key = "abcdefghijkl"

  private static func report(balance: Int64? = nil) -> SpendingReport {
    func budget(_ owner: SpendingReport.Budget.Owner, _ id: String, spent: Int64)
      -> SpendingReport.Budget
    {
      SpendingReport.Budget(
        owner: owner, id: id, window: BudgetWindow(.calendar, .day),
        amount: MicroCredits(2_000_000), spent: MicroCredits(spent), resetsAt: 86_400_000)
    }
    return SpendingReport(
      key: .key(key),
      budgets: [
        budget(.organisation, "acme", spent: 0), budget(.team, "acme/lab", spent: 500_000),
        budget(.key, key, spent: 100_000),
      ],
      balance: balance.map {
        SpendingReport.Balance(
          organisation: "acme", available: MicroCredits($0), held: MicroCredits(1_000))
      }, rows: [], firstDay: 0)
  }

  @Test("the error names the ceiling with the least money, its rest and its reset")
  func budget() throws {
    let failure = try #require(
      Self.report().shortage(hold: MicroCredits(1_500_000), at: 86_340_000))
    #expect(failure.code == .budgetExhausted && failure.retryAfter == .seconds(60))
    #expect(failure.message.contains("team/acme/lab/day-calendar"))
    #expect(failure.message.contains("1.5 credits"))
  }

  @Test("a balance counts with the credits that gateways hold, and does not reset")
  func balance() throws {
    let failure = try #require(
      Self.report(balance: 9_000).shortage(hold: MicroCredits(10_000), at: 0))
    #expect(failure.code == .insufficientBalance && failure.retryAfter == nil)
    #expect(failure.message.contains("organisation acme"))
  }

  @Test("if other requests hold a part of the money, the wait is short")
  func temporary() throws {
    let failure = try #require(Self.report().shortage(hold: MicroCredits(1_000), at: 0))
    #expect(failure.code == .budgetHeld && failure.retryAfter == .seconds(5))
  }

  @Test("only a plan that has used no tokens is refused with an error that clients retry")
  func retried() {
    let budget = TokenBudget(tokens: 100, isFromKeyBudget: true)
    let held = Self.report().shortage(hold: MicroCredits(1_000), at: 0)
    let cases: [(Failure.Code, Failure.Code)] = [
      (.invalidRequest, .budgetHeld), (.budgetExhausted, .budgetExhausted),
    ]
    for (code, expected) in cases {
      let refusal = Failure(code, "no.", param: "tutti.budget.tokens")
      let failure = budget.explained(refusal, shortage: held)
      #expect(failure.code == expected && failure.param == nil)
      #expect(failure.message.contains("running requests hold"))
    }
  }

  @Test("errors of planner and dispatcher about tokens become errors about the key's money")
  func explained() throws {
    let refusal = Failure(.invalidRequest, "3 members need 246.", param: "tutti.budget.tokens")
    let budget = TokenBudget(tokens: 100, isFromKeyBudget: true)
    let shortage = Self.report().shortage(hold: MicroCredits(1_500_000), at: 86_340_000)
    let failure = budget.explained(refusal, shortage: shortage)
    #expect(failure.code == .budgetExhausted && failure.param == nil)
    #expect(failure.retryAfter == .seconds(60))
    #expect(failure.message.contains("day-calendar") && failure.message.contains("100 tokens"))
    #expect(failure.message.hasSuffix(refusal.message))
    #expect(budget.isAboutMoney(refusal) && !TokenBudget(tokens: 100).isAboutMoney(refusal))
    let other = Failure(.invalidRequest, "no.", param: "tutti.quorum")
    #expect(budget.explained(other, shortage: shortage) == other && !budget.isAboutMoney(other))
  }
}
