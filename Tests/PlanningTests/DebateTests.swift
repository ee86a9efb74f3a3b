import ClusterModel
import PlannerCore
import Testing

@Suite("Debate")
struct DebateTests {
  static let different = [
    "Apples keep the doctor away because of their fibre.",
    "Nothing beats a long walk by the river every morning.",
    "Sleep decides; seven hours at least, in a dark and quiet room.",
  ]

  static func texts(_ ids: [TaskID], _ texts: [String]) -> [TaskID: String] {
    Dictionary(uniqueKeysWithValues: zip(ids, texts))
  }

  /// The tasks whose answers a comparison reads.
  static func answers(_ comparison: PlanTask) -> [TaskID] {
    comparison.inputs.filter { $0.name.hasPrefix("Answer") }.map(\.from)
  }

  @Test("it begins with positions that do not see each other, and a comparison that costs nothing")
  func opening() throws {
    let plan = try Requests.plan(Requests.request(.debate))
    #expect(plan.tasks.count == 4)
    #expect(plan.tasks.dropLast().allSatisfy { $0.inputs.isEmpty && $0.onFailure == .skip })
    let comparison = try #require(plan.tasks.last)
    #expect(comparison.merge == .agree && comparison.expansion == "debate-round")
    #expect(plan.sink == comparison.id)
  }

  @Test("members that disagree read each other's answers, under letters and in their own order")
  func round() throws {
    var debate = try Rehearsal(Requests.request(.debate, members: 6, seed: 3))
    let positions = Self.answers(try #require(debate.expanding))
    let words = ["oak", "granite", "velvet", "thunder", "copper", "lantern"]
    let sub = try debate.end(
      "agreement-0", with: "{}",
      reading: Self.texts(positions, words.map { "I say \($0), for \($0) reasons of \($0)." }))
    let next = sub.tasks.filter { $0.merge == .synthesise }
    #expect(next.count == 6)
    var orders: Set<[Int]> = []
    for (place, task) in next.enumerated() {
      #expect(task.inputs[0] == Edge(from: positions[place], name: "Your last answer"))
      let others = task.inputs.dropFirst()
      #expect(others.map(\.name) == ["A", "B", "C", "D", "E"].map { "Answer \($0)" })
      #expect(Set(others.map(\.from)) == Set(positions).subtracting([positions[place]]))
      #expect(task.instruction.contains("strong") && task.instruction.contains("weak"))
      orders.insert(
        others.compactMap { positions.firstIndex(of: $0.from) }.map { ($0 - place + 6) % 6 })
    }
    #expect(orders.count > 2, "the order differs between readers")
    let comparison = try #require(debate.expanding)
    #expect(comparison.inputs.count == 12, "it also sees what they said before")
  }

  @Test("positions that agree are written up at once")
  func converged() throws {
    var debate = try Rehearsal(Requests.request(.debate, rounds: 8))
    let positions = Self.answers(try #require(debate.expanding))
    let same = "The answer is 42, because six times seven is forty-two."
    try debate.end(
      "agreement-0", with: "{}", reading: Self.texts(positions, [same, same, same]))
    #expect(debate.expanding == nil)
    let answer = try debate.task(debate.plan.sink)
    #expect(answer.merge == .synthesise && answer.inputs.map(\.from) == positions)
  }

  @Test(
    "where a word is asked for, equal words are agreement, however they were come to",
    arguments: [
      (
        "Is 91 a prime number?",
        [
          "No, because 7 times 13 is 91.", "Answer: no",
          "It has two factors apart from 1 and itself, which a prime has not.\nAnswer: No.",
        ]
      ),
      (
        "How many bottles are in 12 boxes of 24?",
        [
          "12 times 24 makes 288.\nAnswer: 288",
          "Ten boxes hold 240 and two hold 48.\n**Answer:** 288.", "288",
        ]
      ),
    ])
  func closed(_ query: String, _ said: [String]) throws {
    var debate = try Rehearsal(Requests.request(.debate, query, rounds: 8))
    let comparison = try #require(debate.expanding)
    let positions = Self.answers(comparison)
    // One answer differs, so there is no agreement.
    var dissent = try Rehearsal(Requests.request(.debate, query, rounds: 8))
    try dissent.end(
      comparison.id, with: "", reading: Self.texts(positions, [said[0], said[1], "Answer: 7"]))
    #expect(dissent.expanding != nil)

    try debate.end(comparison.id, with: "", reading: Self.texts(positions, said))
    #expect(debate.expanding == nil)
    #expect(try debate.task(debate.plan.sink).inputs.map(\.from) == positions)
  }

  @Test("a member that repeats its one-word answer has not changed")
  func closedUnchanged() throws {
    let query = "Is it worth learning Latin?"
    var debate = try Rehearsal(Requests.request(.debate, query, rounds: 8))
    let positions = Self.answers(try #require(debate.expanding))
    let before = ["Yes, it trains the mind.", "No, nobody speaks it.", "No, time is short."]
    try debate.end("agreement-0", with: "", reading: Self.texts(positions, before))
    let first = try #require(debate.expanding)
    let now = [
      "Half of the words of English come from it. Answer: yes",
      "A living language opens more doors.\nAnswer: no",
      "There are only so many hours in a day, after all.\nAnswer: no",
    ]
    try debate.end(
      first.id, with: "",
      reading: Self.texts(positions, before).merging(Self.texts(Self.answers(first), now)) { $1 })
    #expect(debate.expanding == nil)
  }

  @Test("unchanged answers end it; remarks about other members are not part of an answer")
  func unchanged() throws {
    var debate = try Rehearsal(Requests.request(.debate, rounds: 8))
    let positions = Self.answers(try #require(debate.expanding))
    try debate.end("agreement-0", with: "", reading: Self.texts(positions, Self.different))
    let first = try #require(debate.expanding)
    let round = Self.answers(first)
    for id in round {
      let task = try debate.task(id)
      #expect(task.mark.map { task.instruction.contains($0) } == true)
    }
    try debate.end(
      first.id, with: "",
      reading: Self.texts(positions, Self.different)
        .merging(Self.texts(round, Self.different)) { $1 })
    #expect(debate.expanding == nil)
    #expect(try debate.task(debate.plan.sink).inputs.map(\.from) == round)
  }

  @Test("rounds and members follow from the plan's graph, whatever its tasks are called")
  func names() throws {
    let request = Requests.request(.debate, rounds: 3)
    var debate = try Rehearsal(request)
    let positions = Self.answers(try #require(debate.expanding))
    let before = Self.texts(positions, Self.different)
    // The second member fails, so the third member's answer is the second one.
    try debate.end("agreement-0", with: "", reading: before.filter { $0.key != positions[1] })
    let comparison = try #require(debate.expanding)
    let round = Self.answers(comparison)
    #expect(round.map(\.name) == ["round-1-1", "round-1-3"])

    func other(_ id: TaskID) -> TaskID { TaskID("7-" + String(id.name.reversed())) }
    var renamed = debate.plan
    renamed.sink = other(renamed.sink)
    for index in renamed.tasks.indices {
      renamed.tasks[index].id = other(renamed.tasks[index].id)
      for edge in renamed.tasks[index].inputs.indices {
        renamed.tasks[index].inputs[edge].from = other(renamed.tasks[index].inputs[edge].from)
      }
    }
    func after(_ plan: Plan, _ task: TaskID, _ texts: [TaskID: String]) -> SubPlan {
      expandPlan(
        ExpandRequest(
          plan: plan, task: task, output: "",
          inputs: comparison.inputs.compactMap { edge in
            texts[edge.from].map { TaskOrder.NamedInput(name: edge.name, text: $0) }
          }, request: request))
    }
    let changed = before.merging(
      Self.texts(round, ["Oak and granite.", "Velvet, thunder, copper."])
    ) { $1 }
    let next = after(renamed, other(comparison.id), changed)
    #expect(
      next.tasks.map(\.id) == after(debate.plan, comparison.id, changed).tasks.map(\.id))
    #expect(next.tasks.map(\.id.name) == ["round-2-1", "round-2-3", "agreement-2"])
    let same = before.merging(Self.texts(round, [Self.different[0], Self.different[2]])) { $1 }
    #expect(after(renamed, other(comparison.id), same).tasks.map(\.id.name) == ["answer"])
  }

  @Test("rounds are used up, at the number asked for", arguments: [1, 2, 5, 8])
  func rounds(wanted: Int) throws {
    var debate = try Rehearsal(Requests.request(.debate, rounds: wanted))
    var rounds = 0
    while let comparison = debate.expanding {
      let answers = Self.answers(comparison)
      let said = answers.indices.map {
        "\(rounds)\($0) \(Self.different[($0 + rounds) % 3]) \(rounds)"
      }
      try debate.end(comparison.id, with: "", reading: Self.texts(answers, said))
      rounds += 1
      try #require(rounds < 20)
    }
    #expect(rounds == wanted + 1)
    #expect(debate.plan.reason.isEmpty)
  }

  @Test("more rounds than a plan can hold are cut, and the plan says so")
  func tooMany() throws {
    let plan = try Requests.plan(Requests.request(.debate, members: 16, rounds: 8))
    #expect(plan.reason == "2 of 8 rounds fit into the plan and its budget")
  }

  @Test("a small limit holds for the answer, and the members have room for theirs")
  func smallLimit() throws {
    var debate = try Rehearsal(Requests.request(.debate, rounds: 1, maxTokens: 8))
    let positions = Self.answers(try #require(debate.expanding))
    #expect(try positions.map { try debate.task($0).maxTokens } == [128, 128, 128])
    let said = Self.texts(positions, Self.different)
    let sub = try debate.end("agreement-0", with: "", reading: said)
    #expect(sub.tasks.compactMap(\.maxTokens) == [384, 384, 384])
    let round = try #require(debate.expanding)
    try debate.end(round.id, with: "", reading: Self.texts(Self.answers(round), Self.different))
    let answer = try debate.task(debate.plan.sink)
    #expect(answer.instruction.hasSuffix("without a sentence around it, in at most 4 words."))
  }

  @Test("a failed member is left out; a single remaining member answers")
  func survivors() throws {
    var debate = try Rehearsal(Requests.request(.debate))
    let positions = Self.answers(try #require(debate.expanding))
    try debate.end("agreement-0", with: "", reading: [positions[1]: "Alone."])
    let answer = try debate.task(debate.plan.sink)
    #expect(answer.inputs.map(\.from) == [positions[1]])
    #expect(answer.instruction.contains("a draft"))
  }

  @Test("if a whole round fails, the answer is written from the round before")
  func lostRound() throws {
    var debate = try Rehearsal(Requests.request(.debate, rounds: 8))
    let positions = Self.answers(try #require(debate.expanding))
    let said = Self.texts(positions, Self.different)
    try debate.end("agreement-0", with: "", reading: said)
    let round = try #require(debate.expanding)
    try debate.end(round.id, with: "", reading: said)
    #expect(debate.expanding == nil)
    #expect(try debate.task(debate.plan.sink).inputs.map(\.from) == positions)
  }

  @Test("a budget bounds all rounds")
  func budget() throws {
    var debate = try Rehearsal(Requests.request(.debate, rounds: 2, budget: 4_000))
    while let comparison = debate.expanding {
      let answers = Self.answers(comparison)
      try debate.end(
        comparison.id, with: "", reading: Self.texts(answers, answers.map { "\($0) differs" }))
    }
    #expect(debate.plan.tasks.reduce(0) { $0 + ($1.maxTokens ?? 0) } <= 4_000)
    #expect(throws: Failure.self) {
      try Requests.plan(Requests.request(.debate, budget: 200))
    }
  }
}
