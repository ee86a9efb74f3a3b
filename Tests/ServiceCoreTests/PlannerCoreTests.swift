import ClusterModel
import ClusterTesting
import PlannerCore
import Testing

@Suite("Planner")
struct PlannerCoreTests {
  static func request(
    pattern: String = "tutti/ensemble", query: String = "Why is the sky blue?",
    models: [ModelID] = [], members: Int? = nil, rounds: Int? = nil, quorum: Int? = nil,
    seed: UInt64 = 7, maxTokens: Int? = nil, available: [ModelID] = ["alpha", "beta", "gamma"],
    budget: Int? = nil
  ) -> PlanRequest {
    PlanRequest(
      pattern: pattern, query: query, models: models, members: members, rounds: rounds,
      quorum: quorum, seed: seed, maxTokens: maxTokens, available: available,
      budgetTokens: budget)
  }

  static func plan(_ request: PlanRequest) throws -> Plan { try makePlan(request, id: "p") }

  static func drafts(_ request: PlanRequest) throws -> [PlanTask] {
    try plan(request).tasks.filter { $0.id != "answer" }
  }

  static func error(_ request: PlanRequest) -> Failure? {
    #expect(throws: Failure.self) { try plan(request) }
  }

  // MARK: - Shape

  @Test("an ensemble is drafts that may be left out and one answer that reads them all")
  func shape() throws {
    let plan = try Self.plan(Self.request(available: ["a", "b", "c", "d"]))
    let drafts = plan.tasks.dropLast()
    let answer = try #require(plan.tasks.last)
    #expect(drafts.map(\.role) == [.research, .reasoning, .creative])
    #expect(drafts.allSatisfy { $0.onFailure == .skip && $0.inputs.isEmpty })
    #expect(drafts.allSatisfy { $0.instruction.isEmpty })
    #expect(answer.id == plan.sink)
    #expect(answer.role == .coordinator)
    #expect(answer.merge == .synthesise)
    #expect(answer.inputs.map(\.from) == drafts.map(\.id))
    #expect(answer.inputs.map(\.name) == ["Draft 1", "Draft 2", "Draft 3"])
    #expect(answer.quorum == 1)
    #expect(answer.onFailure == .degrade)
  }

  @Test("the answer may be written by another model than its own; a draft may be left out")
  func alternatives() throws {
    let plan = try Self.plan(Self.request(available: ["a", "b", "c"]))
    let answer = try #require(plan.tasks.last)
    #expect(Set([answer.model].compactMap(\.self) + answer.alternatives) == ["a", "b", "c"])
    #expect(plan.tasks.dropLast().allSatisfy { $0.alternatives.isEmpty })
    // Models that the request does not name are not used.
    let named = try Self.plan(Self.request(models: ["b", "c"], available: ["a", "b", "c"]))
    #expect(named.tasks.last?.model == "b" && named.tasks.last?.alternatives == ["c"])
  }

  /// With work that grows with the square of the list, this test would take minutes.
  @Test("of a very long list of models, a few are the answer's other models")
  func alternativesOfALongList() throws {
    let available = (0..<200_000).map { ModelID("model-\($0)") }
    let answer = try #require(try Self.plan(Self.request(available: available)).tasks.last)
    #expect((1...PlanValidation.maximumInputs).contains(answer.alternatives.count))
    let models = Set(answer.alternatives + [answer.model].compactMap(\.self))
    #expect(models.count == answer.alternatives.count + 1)
  }

  @Test("a client may allow more tokens than a plan may write", arguments: PatternName.allCases)
  func largeLimit(pattern: PatternName) throws {
    var request = Self.request(available: ["a", "b"])
    request.pattern = pattern.rawValue
    request.query =
      "Answer each of these in detail:\n1. How does a heat pump work?\n2. How does a fridge work?"
    request.maxTokens = Int(Int32.max)
    let plan = try Self.plan(request)
    #expect(!plan.tasks.isEmpty)
  }

  @Test("prompts contain neither task ids nor roles")
  func noLeaks() throws {
    let answer = try #require(try Self.plan(Self.request()).tasks.last)
    let told = (answer.instruction + answer.inputs.map(\.name).joined()).lowercased()
    for word in AgentRole.allCases.map(\.rawValue) + ["draft-1", "answer", "agent"] {
      #expect(!told.contains(word), "\(word)")
    }
  }

  @Test("the same request gives the same plan, another seed another one")
  func deterministic() throws {
    for seed in UInt64(0)..<200 {
      let request = Self.request(seed: seed)
      #expect(try Self.plan(request) == Self.plan(request))
      var shuffled = request
      shuffled.available.reverse()
      #expect(try Self.plan(request) == Self.plan(shuffled), "the order of hosts is chance")
    }
    #expect(try Self.plan(Self.request(seed: 1)) != Self.plan(Self.request(seed: 2)))
  }

  @Test("every plan of random options is valid and keeps its quorum, budget and model rules")
  func randomRequests() throws {
    var made = 0
    for seed in UInt64(0)..<2000 {
      var rng = SeededGenerator(seed: seed)
      let available = (0..<Int.random(in: 1...6, using: &rng)).map { ModelID("m\($0)") }
      let members = Bool.random(using: &rng) ? Int.random(in: 1...16, using: &rng) : nil
      let request = Self.request(
        query: String(repeating: "why ", count: Int.random(in: 1...300, using: &rng)),
        models: Bool.random(using: &rng) ? Array(available.shuffled(using: &rng).prefix(3)) : [],
        members: members, quorum: Bool.random(using: &rng) ? 1 : nil, seed: rng.next(),
        maxTokens: Bool.random(using: &rng) ? Int.random(in: 1...4096, using: &rng) : nil,
        available: available,
        budget: Bool.random(using: &rng) ? Int.random(in: 1...20_000, using: &rng) : nil)
      let plan: Plan
      do {
        plan = try makePlan(request, id: "p")
      } catch {
        #expect(error.param == "tutti.budget.tokens", "seed \(seed): \(error)")
        continue
      }
      made += 1
      #expect(throws: Never.self, "seed \(seed)") { try PlanValidation.validate(plan) }
      let drafts = plan.tasks.dropLast()
      if let members { #expect(drafts.count == members, "seed \(seed)") }
      #expect(Set(drafts.map(\.seed)).count == drafts.count, "seed \(seed)")
      #expect(drafts.allSatisfy { $0.model.map(available.contains) == true }, "seed \(seed)")
      if let budget = request.budgetTokens {
        let written = plan.tasks.reduce(0) { $0 + ($1.maxTokens ?? .max / 64) }
        let read = drafts.reduce(0) { $0 + ($1.maxTokens ?? 0) }
        let prompts = plan.tasks.count * (request.query.utf8.count / 4 + 1)
        #expect(written + read + prompts <= budget, "seed \(seed)")
      }
    }
    #expect(made > 1000)
  }

  // MARK: - Members and models

  @Test("without options three models answer, or as many as there are")
  func defaultMembers() throws {
    #expect(try Self.drafts(Self.request(available: ["a", "b", "c", "d", "e"])).count == 3)
    #expect(try Self.drafts(Self.request(available: ["a", "b"])).count == 2)
  }

  @Test("a lone model is asked three times, with other roles, seeds and temperatures")
  func loneModel() throws {
    let drafts = try Self.drafts(Self.request(available: ["only"]))
    #expect(drafts.map(\.model) == ["only", "only", "only"])
    #expect(Set(drafts.map(\.role)).count == 3)
    #expect(Set(drafts.map(\.seed)).count == 3)
    #expect(drafts.map(\.temperatureMilli) == [300, 600, 900])
  }

  @Test("different models keep the temperatures of their roles")
  func distinctModels() throws {
    let drafts = try Self.drafts(Self.request())
    #expect(Set(drafts.map(\.model)).count == 3)
    #expect(drafts.allSatisfy { $0.temperatureMilli == nil })
  }

  @Test("named models are used in the client's order and in turn")
  func namedModels() throws {
    let drafts = try Self.drafts(Self.request(models: ["gamma", "alpha"], members: 5))
    #expect(drafts.map(\.model) == ["gamma", "alpha", "gamma", "alpha", "gamma"])
    let twice = try Self.drafts(Self.request(models: ["beta", "beta"]))
    #expect(twice.map(\.model) == ["beta", "beta"])
    #expect(Set(twice.map(\.temperatureMilli)).count == 2)
  }

  @Test("seeds of members follow each other, so that their agents can take turns over hosts")
  func consecutiveSeeds() throws {
    let seeds = try Self.plan(Self.request(members: 4)).tasks.map(\.seed)
    for (left, right) in zip(seeds, seeds.dropFirst()) { #expect(left &+ 1 == right) }
  }

  @Test(
    "code is met by a coder first",
    arguments: [
      ("```swift\nlet x = 1\n```", true), ("Write a Python function that sorts", true),
      ("Fix this: #include <stdio.h> main();", true), ("Why is the sky blue?", false),
      ("Describe your function in the school's first class", true),
      ("What does a loop in a poem do?", false), ("", false),
    ])
  func code(query: String, isCode: Bool) throws {
    let drafts = try Self.drafts(Self.request(query: query))
    #expect((drafts[0].role == .code) == isCode)
  }

  @Test("one member that is left still answers, unless the client wants more of them")
  func quorum() throws {
    for members in [1, 2, 3, 16] {
      #expect(try Self.plan(Self.request(members: members)).tasks.last?.quorum == 1)
    }
    #expect(try Self.plan(Self.request(members: 4, quorum: 3)).tasks.last?.quorum == 3)
  }

  @Test("a client's small limit leaves drafts room to answer, a large one makes no large drafts")
  func draftTokens() throws {
    #expect(try Self.drafts(Self.request(maxTokens: 8)).map(\.maxTokens) == [128, 128, 128])
    #expect(try Self.drafts(Self.request(maxTokens: 200)).map(\.maxTokens) == [200, 200, 200])
    #expect(try Self.drafts(Self.request(maxTokens: 9000))[0].maxTokens == 384)
    #expect(try Self.plan(Self.request(maxTokens: 9000)).tasks.last?.maxTokens == nil)
  }

  // MARK: - Refusals

  @Test("an unknown pattern is refused with the names of the patterns")
  func unknownPattern() {
    let unknown = Self.error(Self.request(pattern: "tutti/quartet"))
    #expect(unknown?.message.contains("tutti/ensemble") == true)
    #expect(unknown?.code == .modelNotFound && unknown?.param == "model")
    for pattern in ["tutti/fast", "SmolLM2-135M-Instruct", ""] {
      let error = Self.error(Self.request(pattern: pattern))
      #expect(error?.code == .invalidRequest && error?.param == "model")
      #expect(error?.message.contains("gateway") == true)
    }
  }

  @Test("an error about an unknown model suggests similar names")
  func unknownModel() {
    let available: [ModelID] = ["SmolLM2-135M-Instruct", "qwen3-8b", "llama3.2:3b"]
    let near = Self.error(Self.request(models: ["smollm2-135m-instrct"], available: available))
    #expect(near?.code == .modelNotFound)
    #expect(near?.message.contains("\"smollm2-135m-instrct\"") == true)
    #expect(near?.message.contains("Did you mean \"SmolLM2-135M-Instruct\"?") == true)
    let part = Self.error(Self.request(models: ["qwen3"], available: available))
    #expect(part?.message.contains("Did you mean \"qwen3-8b\"?") == true)
    #expect(part?.param == "tutti.members[0]")
    let far = Self.error(Self.request(models: ["zzzzzzzz"], available: available))
    #expect(far?.message.contains("there is \"SmolLM2-135M-Instruct\"") == true)
  }

  @Test("a model name of a megabyte is an error of a line")
  func hugeName() {
    let name = ModelID(String(repeating: "ä", count: 500_000))
    #expect((Self.error(Self.request(models: [name]))?.message.utf8.count ?? .max) < 1000)
    let pattern = "tutti/" + String(repeating: "x", count: 1_000_000)
    #expect((Self.error(Self.request(pattern: pattern))?.message.utf8.count ?? .max) < 1000)
  }

  @Test("without a chat model there is no plan")
  func noModels() {
    #expect(Self.error(Self.request(available: []))?.code == .noEligibleHost)
  }

  @Test("an option out of its range is named")
  func ranges() {
    for (request, name) in [
      (Self.request(members: 0), "tutti.members"), (Self.request(members: 17), "tutti.members"),
      (Self.request(rounds: 9), "tutti.rounds"), (Self.request(quorum: 0), "tutti.quorum"),
      (Self.request(members: 2, quorum: 3), "tutti.quorum"),
      (Self.request(maxTokens: 0), "max_tokens"),
      (Self.request(budget: 0), "tutti.budget.tokens"),
      (
        Self.request(models: Array(repeating: "alpha", count: 17)), "tutti.members"
      ),
    ] {
      let error = Self.error(request)
      #expect(error?.message.contains(name) == true)
      #expect(error?.code == .invalidRequest && error?.param == name)
    }
  }

  @Test("a budget that is too small says how much is needed, and that much is enough")
  func budget() throws {
    let message = try #require(Self.error(Self.request(members: 3, budget: 50))?.message)
    let needed = try #require(message.split(separator: " ").compactMap { Int($0) }.max())
    #expect(throws: Never.self) { try Self.plan(Self.request(members: 3, budget: needed)) }
    let refusal = Self.error(Self.request(members: 3, budget: needed - 1))
    #expect(refusal?.message.contains("too small") == true)
  }

  @Test(
    "a budget that is too small is blamed by name, whatever the pattern",
    arguments: PatternName.allCases)
  func budgetParam(pattern: PatternName) throws {
    var request = Self.request(budget: 9)
    request.pattern = pattern.rawValue
    let failure = try #require(Self.error(request))
    #expect(failure.code == .invalidRequest && failure.param == "tutti.budget.tokens")
  }

  @Test("a budget may be more than any plan may write", arguments: PatternName.allCases)
  func largeBudget(pattern: PatternName) throws {
    var request = Self.request(
      query:
        "Answer each of these in detail:\n1. How does a heat pump work?\n2. How does a fridge work?",
      budget: 1_000_000_000_000)
    request.pattern = pattern.rawValue
    let plan = try Self.plan(request)
    #expect(!plan.tasks.isEmpty)
  }
}
