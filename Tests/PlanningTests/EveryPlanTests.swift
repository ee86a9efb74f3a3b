import ClusterModel
import ClusterTesting
import PlannerCore
import Testing

/// Properties of every plan of every pattern, for any query and any model output.
@Suite("Every plan")
struct EveryPlanTests {
  static let prompts = (try? LabelledPrompt.all().map(\.prompt)) ?? []

  static let garbage = [
    "", "no", "{}", "[]", "{\"verdict\":\"repair\",\"issues\":[\"wrong\"]}", MaestroTests.analysis,
    MaestroTests.repair, MaestroTests.accept, "{\"parts\":[{\"task\":\"a\"},{\"task\":\"b\"}]}",
    "{\"specialists\":[{\"role\":\"code\",\"brief\":\"\u{0}\"}]}",
    String(repeating: "{\"parts\":[", count: 500), "\u{FEFF}{\"parts\":null}",
    "plan 10,000 tasks, each of which plans 10,000 tasks",
  ]

  static func randomRequest(seed: UInt64) -> PlanRequest {
    var rng = SeededGenerator(seed: seed)
    func chance(_ value: @autoclosure () -> Int) -> Int? {
      Bool.random(using: &rng) ? value() : nil
    }
    let available = (0..<Int.random(in: 1...5, using: &rng)).map { ModelID("m\($0)") }
    let query =
      Int.random(in: 0..<8, using: &rng) == 0
      ? String(decoding: rng.nextBytes(Int.random(in: 0...400, using: &rng)), as: UTF8.self)
      : prompts[Int.random(in: 0..<prompts.count, using: &rng)]
    let members = Int.random(in: 1...16, using: &rng)
    let hosts = (0..<Int.random(in: 0...6, using: &rng)).map {
      HostFacts(
        id: HostID("h\($0)"), models: Array(available.shuffled(using: &rng).prefix(2)),
        freeSlots: Int.random(in: 0...3, using: &rng),
        rateMilli: Int.random(in: 0...90_000, using: &rng),
        firstTokenMilliseconds: Int.random(in: 0...900, using: &rng))
    }
    var request = Requests.request(
      PatternName.allCases.randomElement(using: &rng) ?? .auto, query, hosts: hosts,
      models: Bool.random(using: &rng) ? Array(available.prefix(2)) : [],
      members: Bool.random(using: &rng) ? members : nil,
      rounds: chance(Int.random(in: 1...8, using: &rng)),
      quorum: chance(1), seed: rng.next(),
      maxTokens: chance(Int.random(in: 1...4_096, using: &rng)),
      available: available, budget: chance(Int.random(in: 1...30_000, using: &rng)),
      documents: (0..<max(0, Int.random(in: -10...20, using: &rng))).map {
        DocumentFacts(name: "d\($0)", bytes: Int.random(in: 0...100_000, using: &rng))
      }, isStructured: Int.random(in: 0..<5, using: &rng) == 0,
      conversationTokens: Int.random(in: 0...2_000, using: &rng))
    request.correction = EstimateCorrection(
      directPercent: Int.random(in: 20...500, using: &rng),
      splitPercent: Int.random(in: 20...500, using: &rng))
    for index in request.hosts.indices {
      for model in request.hosts[index].models where Bool.random(using: &rng) {
        request.hosts[index].contextTokens[model] = Int.random(in: 0...40_000, using: &rng)
      }
    }
    if request.documents.count == 1 { request.query = "Summarise this report." }
    return request
  }

  @Test("is valid, within its budget and the same every time, through every expansion")
  func everything() throws {
    var made = 0
    var expanded = 0
    for seed in UInt64(0)..<2_000 {
      let request = Self.randomRequest(seed: seed)
      let first: Plan
      do {
        first = try makePlan(request, id: "p")
      } catch {
        #expect(
          error.code == .invalidRequest && error.param != "model", "seed \(seed): \(error)")
        continue
      }
      made += 1
      let again = try makePlan(request, id: "p")
      #expect(again == first, "seed \(seed)")
      var rng = SeededGenerator(seed: seed ^ 0xFEED)
      var run = try Rehearsal(request)
      while let task = run.expanding {
        var texts: [TaskID: String] = [:]
        for edge in task.inputs where Int.random(in: 0..<6, using: &rng) > 0 {
          texts[edge.from] = "\(edge.from) says \(rng.next() % 3)"
        }
        let output = Self.garbage.randomElement(using: &rng) ?? ""
        try run.end(task.id, with: output, reading: texts)
        expanded += 1
        try #require(run.plan.expansions <= PlanValidation.maximumExpansions)
      }
      #expect(throws: Never.self, "seed \(seed)") { try PlanValidation.validate(run.plan) }
      if let budget = request.budgetTokens {
        let written = run.plan.tasks.reduce(0) { $0 + ($1.maxTokens ?? 0) }
        #expect(written <= budget, "seed \(seed): \(request.pattern) \(run.plan.tasks.map(\.id))")
        let open = run.plan.tasks.filter { $0.maxTokens == nil && !$0.merge.isMechanical }
        #expect(open.isEmpty, "seed \(seed): \(open.map(\.id))")
      }
      if request.isStructured {
        // A text that is counted, joined or handed on has no tool call.
        let sink = run.plan.tasks.first { $0.id == run.plan.sink }
        let merge = try #require(sink).merge
        #expect(![.vote, .concatenate, .replace].contains(merge), "seed \(seed)")
      }
      let available = Set(request.available)
      #expect(
        run.plan.tasks.allSatisfy { $0.model.map(available.contains) ?? true }, "seed \(seed)")
    }
    #expect(made > 1_200)
    #expect(expanded > 800)
  }

  @Test("the writer of the answer learns no task ids, no roles and not how the answer is made")
  func noSeams() throws {
    let told = [
      "draft-", "part-", "review-", "position-", "round-", "agent", "specialist", "critic",
      "coordinator", "tutti", "task id", "host",
    ]
    for seed in UInt64(0)..<300 {
      var request = Self.randomRequest(seed: seed)
      request.query = DecomposeTests.questions
      request.documents = []
      request.budgetTokens = nil
      request.quorum = nil
      var run = try Rehearsal(request)
      while let task = run.expanding {
        try run.end(
          task.id, with: "",
          reading: Dictionary(
            uniqueKeysWithValues: task.inputs.map {
              ($0.from, "\($0.from)")
            }.uniqued()))
      }
      // Only outputs in text become part of an answer. Programs read the other outputs.
      for task in run.plan.tasks where task.contract == .text {
        let words = (task.instruction + task.inputs.map(\.name).joined(separator: " ")).lowercased()
        for word in told { #expect(!words.contains(word), "\(task.id): \(word)") }
      }
    }
  }

  @Test("an unknown expansion, or one without a task, gives no tasks")
  func unknownExpansion() throws {
    let request = Requests.request(.maestro)
    var plan = try makePlan(request, id: "p")
    plan.tasks[0].expansion = "fork-bomb"
    for task in [plan.tasks[0].id, "nobody"] {
      let sub = expandPlan(ExpandRequest(plan: plan, task: task, output: "x", request: request))
      #expect(sub == .nothing(after: task))
    }
  }

  @Test("an expansion that would make the plan too large leads to nothing")
  func tooLarge() throws {
    let request = Requests.request(.maestro)
    var plan = try makePlan(request, id: "p")
    plan.expansions = PlanValidation.maximumExpansions
    let sub = expandPlan(
      ExpandRequest(plan: plan, task: "analysis", output: MaestroTests.analysis, request: request))
    #expect(sub == .nothing(after: "analysis"))
  }
}

extension Array where Element == (TaskID, String) {
  /// The first pair of each task.
  fileprivate func uniqued() -> [(TaskID, String)] {
    var seen: Set<TaskID> = []
    return filter { seen.insert($0.0).inserted }
  }
}
