import ClusterModel
import PlannerCore
import Testing

@Suite("Parts that a model proposes")
struct ProposedPartsTests {
  @Test("where the query does not name its parts, a model is asked for them under a schema")
  func proposal() throws {
    let plan = try DecomposeTests.plan(DecomposeTests.unmarked)
    #expect(plan.tasks.count == 1)
    #expect(plan.tasks[0].expansion == "split-parts")
    guard case .json = plan.tasks[0].contract else {
      Issue.record("no schema")
      return
    }
  }

  @Test("proposed parts take the place of the proposal, in order or combined")
  func proposed() throws {
    let parts = ["returns", "warranty", "shipping"].map {
      "{\"name\":\"\($0)\",\"task\":\"Write a detailed 250 words article on \($0).\",\"needs\":[]}"
    }.joined(separator: ",")
    for (merge, rule) in [("in_order", MergeRule.concatenate), ("combine", .synthesise)] {
      var run = try Rehearsal(
        Requests.request(.decompose, DecomposeTests.unmarked, available: ["small"]))
      try run.end("parts", with: "{\"parts\":[\(parts)],\"merge\":\"\(merge)\"}")
      let answer = try run.task(run.plan.sink)
      if rule == .concatenate {
        #expect(answer.merge == rule)
        #expect(answer.inputs.count == 3)
      } else {
        #expect(answer.merge == rule || answer.inputs.isEmpty, "combining may not pay")
      }
    }
  }

  private static func proposal(of count: Int) -> String {
    let parts = (1...count).map { "{\"task\":\"Returns \($0)\"}" }.joined(separator: ",")
    return "{\"parts\":[\(parts)],\"merge\":\"in_order\"}"
  }

  @Test("the task of a proposed part reads the query, because the proposal says little about it")
  func proposedInView() throws {
    var run = try Rehearsal(
      Requests.request(
        .decompose, DecomposeTests.unmarked, available: ["small"],
        conversationTokens: DecomposeTests.unmarked.utf8.count / 4))
    try run.end("parts", with: Self.proposal(of: 3))
    #expect(try run.task("answer").inputs.count == 3)
    let part = try run.task("part-1")
    #expect(part.readsConversation && part.instruction.hasPrefix("Of what I just said"))
  }

  @Test(
    "parts are proposed and done within the budget, or it is answered directly within it",
    arguments: [24, 400])
  func proposedWithinBudget(conversationTokens: Int) throws {
    var counts: Set<Int> = []
    for budget in stride(from: 1_000, to: 12_000, by: 100) {
      var run = try Rehearsal(
        Requests.request(
          .decompose, DecomposeTests.unmarked, available: ["small"], budget: budget,
          conversationTokens: conversationTokens))
      guard run.plan.tasks[0].expansion != nil else { continue }
      let proposal = try run.task("parts")
      try run.end("parts", with: Self.proposal(of: 8))
      let tasks = [proposal] + run.plan.tasks.filter { $0.id != "parts" && !$0.merge.isMechanical }
      // 48 tokens of each prompt are the task's role and its model's chat template.
      let spent = tasks.reduce(0) { sum, task in
        sum + (task.readsConversation ? conversationTokens : 0) + 48
          + task.instruction.utf8.count / 4 + (task.maxTokens ?? 0)
      }
      #expect(spent <= budget, "\(run.plan.tasks.map(\.id))")
      counts.insert(try run.task("answer").inputs.count)
    }
    #expect(counts == [0, 8])
  }

  @Test(
    "a proposal that cannot be used leads to a direct answer",
    arguments: [
      "", "no", "{\"parts\":[]}", "{\"parts\":[{\"task\":\"all of it\"}]}", "{\"parts\":7}",
      "{\"parts\":[{\"task\":\"same\"},{\"task\":\"Same\"}]}", "{\"parts\":[{\"name\":\"x\"}]}",
    ])
  func rejected(output: String) throws {
    var run = try Rehearsal(
      Requests.request(.decompose, DecomposeTests.unmarked, available: ["small"]))
    try run.end("parts", with: output)
    let answer = try run.task(run.plan.sink)
    #expect(answer.inputs.isEmpty && answer.instruction.isEmpty && answer.expansion == nil)
  }
}
