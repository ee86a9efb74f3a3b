import ClusterModel
import GatewayCore
import Money
import Testing
import Text

@Suite("Answers that a budget limits")
struct BudgetCutTests {
  private static let budget = BudgetCut(
    tokens: 7,
    ceiling: Ceiling(
      id: CeilingID("org/acme/month-calendar"), remaining: MicroCredits(9),
      resetsAt: 1_796_083_200_000))

  private static func trace(_ cut: BudgetCut?) -> String {
    let trace = TraceExtension.direct(
      trace: TraceID(high: 1, low: 2), seed: 1, host: "a", model: "m", usage: .zero,
      firstToken: .zero, total: .zero, attempts: [], cut: cut)
    return String(decoding: trace.encoded, as: UTF8.self)
  }

  @Test("the trace names the tokens, the budget and its reset")
  func named() {
    let reset = "\(UTCDate(milliseconds: 1_796_083_200_000))"
    #expect(
      Self.trace(Self.budget).contains(
        #""limited_by":{"affordable_tokens":7,"budget":"org/acme/month-calendar","#
          + #""resets_at":"\#(reset)"}"#))
    #expect(Self.budget.budgetText == "org/acme/month-calendar; resets=\(reset)")
  }

  @Test("a balance has no reset, and an unknown budget has no name")
  func balance() {
    let balance = BudgetCut(
      tokens: 3, ceiling: Ceiling(id: CeilingID("balance/acme"), remaining: .zero))
    #expect(
      Self.trace(balance).contains(
        #""limited_by":{"affordable_tokens":3,"budget":"balance/acme"}"#))
    #expect(balance.budgetText == "balance/acme")
    let unknown = BudgetCut(tokens: 3, ceiling: nil)
    #expect(Self.trace(unknown).contains(#""limited_by":{"affordable_tokens":3}"#))
    #expect(unknown.budgetText == nil && unknown.tokensText == "3")
  }

  @Test("the trace of an answer that no budget limits has no such member")
  func unlimited() {
    #expect(!Self.trace(nil).contains("limited_by"))
  }
}
