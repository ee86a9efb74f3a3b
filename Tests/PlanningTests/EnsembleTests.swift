import ClusterModel
import PlannerCore
import Testing

@Suite("Ensemble")
struct EnsembleTests {
  @Test(
    "a short closed question becomes a vote",
    arguments: [
      ("Is 91 a prime number?", "yes or no"),
      ("How many days are there in February of a leap year?", "number"),
      ("Which planet is the largest?\nA) Mars\nB) Jupiter\nC) Venus", "letter"),
      ("What is the capital of Peru? Answer in one word.", "that alone"),
    ])
  func vote(question: String, asked: String) throws {
    let plan = try Requests.plan(Requests.request("tutti/ensemble", question))
    let answer = try #require(plan.tasks.last)
    #expect(answer.merge == .vote)
    #expect(answer.id == plan.sink)
    for draft in plan.tasks.dropLast() {
      #expect(draft.instruction.contains(asked))
      #expect(draft.maxTokens ?? .max <= 24)
      #expect(draft.onFailure == .skip)
    }
  }

  @Test(
    "what wants prose is written, not voted on",
    arguments: [
      "Why is the sky blue?", "Is 91 prime? Explain why.", "Can you help me with my garden?",
      "Is tea or coffee better?", "How many days has February, and why?",
      "Write a poem about the sea in one word per line.",
    ])
  func prose(question: String) throws {
    let plan = try Requests.plan(Requests.request("tutti/ensemble", question))
    #expect(plan.tasks.last?.merge == .synthesise)
  }

  @Test("a structured answer is never voted on")
  func structured() throws {
    let plan = try Requests.plan(
      Requests.request("tutti/ensemble", "Is 91 a prime number?", isStructured: true))
    #expect(plan.tasks.last?.merge == .synthesise)
  }

  @Test("the one who writes the answer is told to weigh and to name dissent, not to leave it out")
  func dissent() throws {
    let told = try #require(
      try Requests.plan(Requests.request("tutti/ensemble")).tasks.last?.instruction)
    #expect(told.contains("weight"))
    #expect(told.contains("name the other view"))
  }
}
