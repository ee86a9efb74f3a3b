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
    let plan = try Requests.plan(Requests.request(.ensemble, question))
    let answer = try #require(plan.tasks.last)
    #expect(answer.merge == .vote)
    #expect(answer.id == plan.sink)
    for draft in plan.tasks.dropLast() {
      #expect(draft.instruction.contains(asked))
      #expect(draft.maxTokens ?? .max <= 24)
      #expect(draft.onFailure == .skip)
    }
  }

  @Test("a vote among closed answers keeps the client's limit, since one of them is the answer")
  func limitedVote() throws {
    let request = Requests.request(.ensemble, "Is 91 a prime number?", maxTokens: 8)
    #expect(try Requests.plan(request).tasks.dropLast().map(\.maxTokens) == [8, 8, 8])
  }

  @Test(
    "the prompt of an answer that must be shorter than its drafts says so",
    arguments: [
      (1, " in one word."), (8, " in at most 4 words."), (100, " Reply in at most 50 words."),
    ])
  func shortAnswer(limit: Int, asked: String) throws {
    let plan = try Requests.plan(Requests.request(.ensemble, maxTokens: limit))
    #expect(try #require(plan.tasks.last).instruction.hasSuffix(asked))
    #expect(plan.tasks.dropLast().allSatisfy { $0.maxTokens == 128 })
    for limit in [nil, 128] {
      let plan = try Requests.plan(Requests.request(.ensemble, maxTokens: limit))
      #expect(try #require(plan.tasks.last).instruction.hasSuffix("do not mention the drafts."))
    }
  }

  @Test(
    "an answer in prose is written, not voted on",
    arguments: [
      "Why is the sky blue?", "Is 91 prime? Explain why.", "Can you help me with my garden?",
      "Is tea or coffee better?", "How many days has February, and why?",
      "Write a poem about the sea in one word per line.",
    ])
  func prose(question: String) throws {
    let plan = try Requests.plan(Requests.request(.ensemble, question))
    #expect(plan.tasks.last?.merge == .synthesise)
  }

  @Test(
    "an answer of more than one word is written, however closed the question begins",
    arguments: [
      "Is the Earth round and how do we know?",
      "How many continents are there, and which one is the largest?",
      "How many moons has Mars, what are they called?", "Compute the derivative of x^3 + 2x.",
      "Calculate the prime factors of 84.",
      "Translate into French:\nA: Hello, how are you?\nB: Fine, thanks.",
      "What does she feel?\nA: Hello there.\nB: Go away.\nA: Why me?",
      "Solve these:\nA. 2 + 2\nB. 3 + 3", "Answer:\nA) What is rain?\nB) What is snow?",
    ])
  func more(question: String) throws {
    let plan = try Requests.plan(Requests.request(.ensemble, question))
    #expect(plan.tasks.last?.merge == .synthesise)
  }

  @Test(
    "a condition, a sum of numbers and options under any mark leave a question closed",
    arguments: [
      ("If I have 3 apples and eat one, how many are left?", "number"),
      ("Calculate 17 * 23 + 4.", "number"), ("Compute the sum of 3, 4 and 5.", "number"),
      ("Which planet is the largest?\nA: Mars\nB: Jupiter", "letter"),
      ("The largest planet is\nA. Mars\nB. Jupiter", "letter"),
      ("Choose the capital of Peru:\n(A) Lima\n(B) Quito", "letter"),
    ])
  func stillClosed(question: String, asked: String) throws {
    let plan = try Requests.plan(Requests.request(.ensemble, question))
    #expect(plan.tasks.first?.instruction.contains(asked) == true)
  }

  @Test("a structured answer is never voted on")
  func structured() throws {
    let plan = try Requests.plan(
      Requests.request(.ensemble, "Is 91 a prime number?", isStructured: true))
    #expect(plan.tasks.last?.merge == .synthesise)
  }

  @Test("the writer of the answer is told to weigh and to name dissent, not to omit it")
  func dissent() throws {
    let told = try #require(
      try Requests.plan(Requests.request(.ensemble)).tasks.last?.instruction)
    #expect(told.contains("weight"))
    #expect(told.contains("name the other view"))
  }
}
