import ClusterModel
import PlannerCore
import Testing

@Suite("MAESTRO")
struct MaestroTests {
  static let analysis = """
    Sure! Here is the plan:
    ```json
    {"specialists":[
      {"name":"check","role":"reasoning","brief":"check the sums","needs":["facts"]},
      {"name":"facts","role":"research","brief":"find the figures"},
      {"name":"text","role":"Creative","brief":"write it up","needs":["facts","check","nobody"]},
      {"name":"cook","role":"chef","brief":"make soup"}],
     "criteria":["names a source"]}
    ```
    """
  static let accept =
    "{\"verdict\":\"accept\",\"quality\":4,\"accuracy\":5,\"coherence\":5,\"issues\":[]}"
  static let repair = """
    {"verdict":"repair","quality":3,"accuracy":1,"coherence":4,"issues":[{"kind":"reasoning",\
    "issue":"17 + 25 is given as 41.","fix":"42"}]}
    """

  static func team(
    _ output: String, query: String = "Plan a picnic.", documents: [DocumentFacts] = [],
    budget: Int? = nil
  ) throws -> Rehearsal {
    var run = try Rehearsal(
      Requests.request(.maestro, query, budget: budget, documents: documents))
    try run.end("analysis", with: output)
    return run
  }

  /// The specialists' tasks, in order.
  static func specialists(_ run: Rehearsal) -> [PlanTask] {
    run.plan.tasks.filter { $0.id.name.hasPrefix("part-") }
  }

  @Test("it begins with an analysis under a schema and ends with an answer that streams")
  func opening() throws {
    let plan = try Requests.plan(Requests.request(.maestro))
    #expect(plan.tasks.map(\.id) == ["analysis", "answer"])
    guard case .json = plan.tasks[0].contract else {
      Issue.record("no schema")
      return
    }
    #expect(plan.tasks[0].expansion == "maestro-team")
    #expect(plan.sink == "answer" && plan.tasks[1].merge == .synthesise)
  }

  @Test("specialists come in the order of what they need; unknown roles and needs are dropped")
  func order() throws {
    let run = try Self.team(Self.analysis)
    let parts = Self.specialists(run)
    #expect(parts.map(\.role) == [.research, .reasoning, .creative])
    #expect(parts[0].inputs.isEmpty)
    #expect(parts[1].inputs.map(\.from) == [parts[0].id])
    #expect(Set(parts[2].inputs.map(\.from)) == [parts[0].id, parts[1].id])
    #expect(parts[0].instruction.contains("find the figures"))
    let draft = try run.task("draft")
    #expect(draft.inputs.map(\.from) == parts.map(\.id))
    let review = try #require(run.expanding)
    #expect(review.role == .critic && review.onFailure == .degrade)
    #expect(review.inputs.map(\.from) == ["draft"])
    #expect(review.instruction.contains("names a source"))
    #expect(try run.task("answer").inputs.map(\.from) == [review.id])
  }

  @Test("needs that go in circles are cut, and chains end somewhere")
  func circles() throws {
    let circle = """
      {"specialists":[{"name":"a","role":"code","brief":"x","needs":["b"]},
      {"name":"b","role":"code","brief":"y","needs":["c"]},
      {"name":"c","role":"code","brief":"z","needs":["a","c"]}]}
      """
    #expect(Self.specialists(try Self.team(circle)).count == 3)
    let chain = (0..<6).map {
      "{\"name\":\"s\($0)\",\"role\":\"code\",\"brief\":\"do \($0)\",\"needs\":[\"s\($0 - 1)\"]}"
    }
    let run = try Self.team("{\"specialists\":[\(chain.joined(separator: ","))]}")
    #expect(Self.specialists(run).count == 6)
  }

  @Test(
    "without usable JSON the specialists follow from the query",
    arguments: [
      (
        "Write a Python function that sorts a list, and explain why it is fast.",
        [AgentRole.reasoning, .code]
      ),
      ("Compose a poem about the sea.", [.creative]),
      ("When was the capital of Peru founded, and by whom?", [.research]),
      ("Hello there", [.research, .reasoning]),
    ])
  func garbage(query: String, roles: [AgentRole]) throws {
    for output in [
      "", "I cannot do that.", "{\"specialists\":", "{\"specialists\":[]}", "[1,2]",
      "{\"specialists\":[{\"role\":\"king\",\"brief\":\"rule\"}]}",
      String(repeating: "{", count: 70_000),
    ] {
      let run = try Self.team(output, query: query)
      #expect(Self.specialists(run).map(\.role) == roles, "\(output.prefix(40))")
    }
  }

  @Test("documents are always read, and only by research")
  func documents() throws {
    let documents = [DocumentFacts(name: "a.md", bytes: 900)]
    for output in [Self.analysis, "{\"specialists\":[{\"role\":\"code\",\"brief\":\"x\"}]}", "?"] {
      let run = try Self.team(output, documents: documents)
      let readers = run.plan.tasks.filter { !$0.documents.isEmpty }
      #expect(!readers.isEmpty && readers.allSatisfy { $0.role == .research })
    }
  }

  @Test("huge briefs and teams are bounded")
  func bounds() throws {
    let many = (0..<100).map {
      "{\"name\":\"n\($0)\",\"role\":\"code\",\"brief\":\"\(String(repeating: "é", count: 5_000))\"}"
    }
    let run = try Self.team("{\"specialists\":[\(many.prefix(6).joined(separator: ","))]}")
    #expect(Self.specialists(run).count <= 6)
    #expect(Self.specialists(run).allSatisfy { $0.instruction.utf8.count < 1_200 })
  }

  @Test("an accepted draft is passed on unchanged")
  func accepted() throws {
    var run = try Self.team(Self.analysis)
    try run.end("review-1", with: Self.accept)
    #expect(run.expanding == nil)
    let kept = try run.task("reviewed-1")
    #expect(kept.merge == .replace && kept.inputs.map(\.from) == ["draft"])
    #expect(try run.task("answer").inputs.map(\.from) == ["reviewed-1"])
  }

  @Test("a fault is repaired by who can, reviewed again, and at most twice")
  func repaired() throws {
    var run = try Self.team(Self.analysis)
    try run.end("review-1", with: "Here you go: \(Self.repair) Hope it helps.")
    let first = try run.task("repair-1")
    #expect(first.role == .reasoning && first.inputs.map(\.from) == ["draft"])
    #expect(
      first.instruction.contains("17 + 25 is given as 41.") && first.instruction.contains("42"))
    #expect(try run.task("review-2").inputs.map(\.from) == ["repair-1"])
    try run.end("review-2", with: Self.repair)
    #expect(try run.task("repair-2").inputs.map(\.from) == ["repair-1"])
    try run.end("review-3", with: Self.repair)
    #expect(run.expanding == nil)
    #expect(try run.task("reviewed-3").inputs.map(\.from) == ["repair-2"])
  }

  @Test(
    "an invalid review, or one without issues, accepts the draft",
    arguments: [
      "", "Looks wrong to me!", "{\"verdict\":\"repair\",\"issues\":[]}", "{}", "{\"verdict\":7}",
      "{\"verdict\":\"repair\",\"issues\":\"\"}", "null",
    ])
  func noReview(output: String) throws {
    var run = try Self.team(Self.analysis)
    try run.end("review-1", with: output)
    #expect(try run.task("answer").inputs.map(\.from) == ["reviewed-1"])
  }

  @Test("issues may be plain sentences, and a bad mark with a reason is a verdict")
  func lenient() throws {
    for output in [
      "{\"verdict\":\"repair\",\"issues\":[\"the total is wrong\"]}",
      "{\"verdict\":\"accept\",\"accuracy\":1,\"issues\":[{\"issue\":\"the total is wrong\"}]}",
    ] {
      var run = try Self.team(Self.analysis)
      try run.end("review-1", with: output)
      #expect(try run.task("repair-1").instruction.contains("the total is wrong"))
    }
  }

  @Test("a budget bounds the team and its repairs")
  func budget() throws {
    var run = try Self.team(Self.analysis, budget: 3_000)
    while let review = run.expanding { try run.end(review.id, with: Self.repair) }
    #expect(run.plan.tasks.reduce(0) { $0 + ($1.maxTokens ?? 0) } <= 3_000)
    let large = try Self.team(Self.analysis)
    #expect(run.plan.tasks.count < large.plan.tasks.count + 5)
  }

  @Test("a small limit on the answer does not cut the JSON of analysis and review")
  func smallLimit() throws {
    var run = try Rehearsal(Requests.request(.maestro, maxTokens: 40))
    #expect(try run.task("analysis").maxTokens == 384)
    try run.end("analysis", with: Self.analysis)
    #expect(try run.task("review-1").maxTokens == 384)
    #expect(Self.specialists(run).allSatisfy { $0.maxTokens == 128 })
  }

  @Test("draft and repairs are not longer than the answer may be, but have room for one")
  func limitedRepairs() throws {
    for (limit, expected) in [(8, 128), (200, 200)] {
      var run = try Rehearsal(Requests.request(.maestro, maxTokens: limit))
      try run.end("analysis", with: Self.analysis)
      try run.end("review-1", with: Self.repair)
      for id in ["draft", "repair-1"] as [TaskID] {
        #expect(try run.task(id).maxTokens == expected, "\(id)")
      }
    }
  }

  @Test("models that the client names are used in turn, else every role chooses its own")
  func models() throws {
    #expect(Self.specialists(try Self.team(Self.analysis)).allSatisfy { $0.model == nil })
    var run = try Rehearsal(Requests.request(.maestro, models: ["beta", "alpha"]))
    try run.end("analysis", with: Self.analysis)
    #expect(Set(Self.specialists(run).compactMap(\.model)) == ["alpha", "beta"])
  }
}
