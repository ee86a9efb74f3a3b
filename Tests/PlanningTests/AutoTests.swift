import ClusterModel
import PlannerCore
import Testing

@Suite("Auto")
struct AutoTests {
  static func plan(_ query: String, hosts: Int = 4, budget: Int? = nil) throws -> Plan {
    try Requests.plan(
      Requests.request(.auto, query, hosts: Requests.hosts(hosts), budget: budget))
  }

  @Test(
    "simple prompts cost exactly one call",
    arguments: [
      "Hi!", "Why is the sky blue?", "Translate \"good morning\" into French.", "What is 17 * 23?",
      "Write a limerick about a cat from Trier.", "Who wrote Faust, and when?",
      "Is 91 a prime number?", "Fix this: prnt('x')", "List three colours.",
      "I have two apples. I eat one. How many are left?",
    ])
  func simple(query: String) throws {
    let plan = try Self.plan(query)
    #expect(plan.tasks.count == 1)
    #expect(plan.tasks[0].expansion == nil && plan.tasks[0].instruction.isEmpty)
    #expect(plan.reason.hasPrefix("direct: ") && plan.pattern == "direct")
  }

  @Test("parts that pay are split, and the reason says what it saves")
  func split() throws {
    let plan = try Self.plan(DecomposeTests.questions)
    #expect(plan.tasks.count == 4)
    #expect(plan.reason.hasPrefix("split: 3 questions over 3 hosts"))
    #expect(plan.pattern == PatternName.decompose.rawValue)
    #expect(try Self.plan(DecomposeTests.questions, hosts: 1).tasks.count == 1)
  }

  @Test("the help's question with three steps is one call, because of its steps")
  func steps() throws {
    let plan = try Self.plan(
      "First list the planets, then compare them, then write a poem.")
    #expect(
      plan.reason == "direct: its 3 steps follow each other, so one call does them in order")
  }

  @Test("a question about both sides gets a debate; with one free host only, one answer")
  func debate() throws {
    let query = """
      Should our town ban cars from its centre? Argue for and against it, weigh the pros and cons \
      for shops, residents and commuters, and come to a conclusion.
      """
    let plan = try Self.plan(query)
    #expect(plan.reason == "debate: it asks for both sides of a question")
    #expect(plan.pattern == PatternName.debate.rawValue)
    let alone = try Self.plan(query, hosts: 1)
    #expect(alone.tasks.count == 1 && alone.pattern == "direct")
  }

  @Test("a question that needs several kinds of work gets a team")
  func maestro() throws {
    let plan = try Self.plan(
      """
      We found that our Python script for the raffle has a bug: the function draws some names twice. \
      Calculate the probability that this happens with 40 names, and say why. It was written in the \
      year when our history club was founded, so cite a source about the first raffle in history and \
      when it took place. End with a funny poem or story about it for our catchy slogan.
      """)
    #expect(plan.reason.hasPrefix("maestro: it needs "))
    #expect(
      plan.tasks[0].expansion == "maestro-team" && plan.pattern == PatternName.maestro.rawValue)
  }

  @Test("a question for certainty gets several opinions")
  func ensemble() throws {
    let plan = try Self.plan(
      """
      Which year did the first bridge over the river open, and who built it? It must be accurate. \
      Please double check it, since it goes onto a plaque.
      """)
    #expect(plan.reason == "ensemble: it asks for certainty")
    #expect(plan.pattern == PatternName.ensemble.rawValue)
  }

  @Test("a budget for one answer gets one answer")
  func budget() throws {
    let plan = try Self.plan(
      "Should we argue for and against cars? Weigh the pros and cons, please. Be fair.",
      budget: 1_100)
    #expect(plan.tasks.reduce(0) { $0 + ($1.maxTokens ?? 0) } <= 1_100)
  }

  @Test(
    "the profile follows from the query",
    arguments: [
      ("Write a Swift function that sorts.", SamplingProfile.code),
      ("Write a poem about rain.", .creative),
      ("Extract the names from this.", .extraction),
      ("Solve this equation for x, please.", .reasoning),
      ("When was Trier founded?", .factual),
    ])
  func profiles(query: String, profile: SamplingProfile) throws {
    #expect(try Self.plan(query).tasks[0].profile == profile)
  }
}
