import ClusterModel
import ClusterTesting
import Limits
import Testing
import Text

@testable import AgentCore
@testable import DispatcherCore
@testable import GatewayCore
@testable import PlannerCore

/// Checks that twice the size costs at most 2.2 times the work.
private func expectLinear(
  _ once: Int, _ twice: Int, _ what: String = "",
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(
    Double(twice) <= 2.2 * Double(once) + 64, "\(what): \(once) → \(twice)",
    sourceLocation: sourceLocation)
}

@Suite("Hostile texts cost what they weigh")
struct HostileTextTests {
  // MARK: - Agents

  @Test("claims and citations of an answer", arguments: HostileText.allCases)
  func claims(hostile: HostileText) {
    func work(_ bytes: Int) -> Int {
      var work = 0
      _ = Sentence.all(of: hostile.text(bytes), atMost: 1 << 30, work: &work)
      return work
    }
    expectLinear(work(16 << 10), work(32 << 10))
  }

  @Test("a fact check compares a bounded number of words", arguments: HostileText.allCases)
  func factCheck(hostile: HostileText) {
    let sources = [PromptDocuments.Source(name: "s", text: hostile.text(24 << 10))]
    let once = FactCheck(hostile.text(32 << 10), against: sources).work
    let twice = FactCheck(hostile.text(64 << 10), against: sources).work
    expectLinear(once, twice)
    #expect(twice <= 8 << 20)
  }

  @Test("a long claim is compared by its beginning")
  func longClaim() {
    let words = (0..<20_000).map { "word\($0)" }.joined(separator: " ")
    let sources = [PromptDocuments.Source(name: "s", text: words.prefix(20_000).description)]
    #expect(FactCheck(words, against: sources).work < 2_000_000)
  }

  @Test(
    "citations are found and taken out as before",
    arguments: [
      ("It is so [1].", Set([1])), ("It is so. [2]", [2]),
      ("It [1][23] is so [999].", [1, 23, 999]),
      ("No [] or [1234] or [x] or [ 1 ].", []), ("[1", []), ("Both [1] and x [2", [1]),
    ] as [(String, Set<Int>)])
  func citations(text: String, cited: Set<Int>) {
    let sentences = Sentence.all(of: text, atMost: 10)
    #expect(sentences.count == (text == "[1" ? 1 : sentences.count))
    #expect(sentences.reduce(into: Set()) { $0.formUnion($1.cited) } == cited)
    #expect(sentences.allSatisfy { !$0.text.contains(" [1]") })
  }

  @Test("an answer that stays an echo of its prompt costs one comparison per byte and seam")
  func echoGuard() throws {
    let question = String(repeating: "why ", count: 400)
    let order = TaskOrder(
      plan: "p",
      task: PlanTask(
        id: "t", role: .coordinator,
        instruction: "Below are drafts of a reply to what I just said, written independently."),
      conversation: Conversation(
        messagesJSON: Array("[{\"role\":\"user\",\"content\":\"\(question)\"}]".utf8)),
      inputs: (1...16).map { .init(name: "Draft \($0)", text: "x") }, isSink: true)
    var guarded = try #require(InstructionEcho(order))
    for byte in question.utf8 {
      #expect(guarded.take(String(UnicodeScalar(byte))) == .hold)
    }
    let work = guarded.work
    for _ in 0..<10_000 { _ = guarded.take(" ") }
    #expect(guarded.work == work, "blanks cost nothing")
    #expect(work <= 20 * question.utf8.count)
    var other = try #require(InstructionEcho(order))
    #expect(other.take("Draft 1") == .hold && other.take("6:") == .echo)
  }

  @Test(
    "sums, words and contracts of hostile texts neither trap nor fail",
    arguments: HostileText.allCases)
  func agentsNoTrap(hostile: HostileText) {
    let text = hostile.text(20_000)
    for calculation in [
      text, "1 + 1 = \(text)", "\(text) = 3", String(repeating: "9", count: 20_000) + " + 1 = 2",
      "1 / 0 = 1", "1.\(String(repeating: "0", count: 5_000)) + 1 = 3",
      "9999999999999999999999 * 2 = 1",
    ] {
      for wrong in ArithmeticCheck.wrongEquations(in: calculation) {
        #expect(!wrong.right.isEmpty)
      }
    }
    let findings = InputMistakes.of(
      [.init(name: "Draft", text: String(repeating: "9", count: 5_000) + " + 1 = 2")],
      material: .none)
    #expect(findings.allSatisfy { $0.utf8.count < 1_024 })
    _ = ContractCheck.check(text, against: .json(schema: Review.schema))
    _ = ContractCheck.check(text, against: .choice(["yes", "no"]))
    #expect(PassageQuery([text]).terms.count <= PassageQuery.maximumTerms)
    let passages = Passages.of([Document(name: "d", text: text)])
    #expect(passages.allSatisfy { $0.text.utf8.count <= Passages.maximumBytes })
    _ = ConsensusQuestion([text, text])
    _ = ModelJSON(text)
    _ = Team(analysis: text)
    _ = Review(text)
  }

  // MARK: - Planner

  @Test(
    "a model's object is found between other text, and not inside an object that was cut off",
    arguments: [
      (#"{"a":1}"#, true), (#"Sure: {"a":1} (see {b})"#, true), (#"With {x} it is {"a":1}."#, true),
      (#"[{"a":1}]"#, true), (#"{"b":{"a":1},"c":"#, false), ("none", false),
    ])
  func modelObject(_ output: String, _ isFound: Bool) {
    let json = ModelJSON(output)
    #expect((json.flatMap { $0.integer("a", in: $0.root) } == 1) == isFound)
  }

  @Test(
    "a hostile query is planned, in every pattern, with bounded plans",
    arguments: HostileText.allCases)
  func plans(hostile: HostileText) throws {
    let documents = (0..<100).map { DocumentFacts(name: "d\($0)", bytes: 100_000) }
    var cases: [(pattern: PatternName, bytes: Int, documents: [DocumentFacts])] = [
      (.decompose, 60_000, []), (.decompose, 60_000, documents),
    ]
    for pattern in PatternName.allCases {
      cases += [(pattern, 2_000, []), (pattern, 2_000, documents)]
    }
    for (pattern, bytes, documents) in cases {
      let plan = try makePlan(
        PlanRequest(
          pattern: pattern.rawValue, query: hostile.text(bytes), seed: 1, available: ["a", "b"],
          hosts: [HostFacts(id: "h", models: ["a"], freeSlots: 4)], documents: documents),
        id: "p")
      let instructions = plan.tasks.reduce(0) { $0 + $1.instruction.utf8.count }
      #expect(instructions <= 16 * PlanValidation.maximumInstructionBytes)
      #expect(plan.tasks.count <= 20)
    }
  }

  @Test("a query beyond the limit is one piece, and one with too many parts makes few of them")
  func pieces() throws {
    let items = (1...10_000).map { "\($0). Explain item \($0)." }.joined(separator: "\n")
    let request = PlanRequest(
      pattern: "tutti/decompose", query: items, seed: 1, available: ["a"],
      hosts: [HostFacts(id: "h", models: ["a"])])
    let plan = try makePlan(request, id: "p")
    #expect(plan.tasks.count == 1 && plan.reason.contains("too long"))
    for query in [
      (1...900).map { "\($0). Explain item \($0)." }.joined(separator: "\n"),
      (1...900).map { "What is \($0)?" }.joined(separator: " "),
      (1...900).map { "Describe it \($0)." }.joined(separator: " "),
      "Describe " + (1...900).map { "thing \($0)" }.joined(separator: ", ") + " and more.",
    ] {
      #expect(SplitFinder.find(query) == nil)
      for found in [
        ListSplit.find(query), QuestionSplit.find(query), CommandSplit.find(query),
        SeriesSplit.find(query),
      ] {
        #expect(found.map { $0.parts.count <= Split.foundParts + 1 } ?? true)
      }
    }
  }

  @Test("numbers that no machine holds are no lengths")
  func numbers() throws {
    for number in [
      "99999999999999999999", "-1", "9e18", "９９９", "1" + String(repeating: "0", count: 4_000),
    ] {
      let query =
        "Write \(number) words on rain, then write \(number) pages on snow. How many is that?"
      for pattern in PatternName.allCases {
        let request = PlanRequest(
          pattern: pattern.rawValue, query: query, seed: .max, available: ["a"],
          hosts: [
            HostFacts(
              id: "h", models: ["a"], freeSlots: .max, rateMilli: .max,
              firstTokenMilliseconds: .max, slowdownPercent: .max)
          ],
          documents: [
            DocumentFacts(name: "d", bytes: .max), DocumentFacts(name: "e", bytes: .max),
          ],
          conversationTokens: .max)
        _ = try makePlan(request, id: "p")
      }
    }
  }

  @Test("a task's id with any number leads to a plan that is valid")
  func taskIDs() throws {
    let request = PlanRequest(
      pattern: "tutti/debate", query: "Why?", seed: 1, available: ["a"],
      hosts: [HostFacts(id: "h", models: ["a"])])
    var plan = try makePlan(request, id: "p")
    for index in plan.tasks.indices where plan.tasks[index].expansion == nil {
      let old = plan.tasks[index].id
      plan.tasks[index].id = TaskID(
        "position-\(index == 0 ? "9223372036854775807" : "0\(index)")-0")
      for reader in plan.tasks.indices {
        for edge in plan.tasks[reader].inputs.indices
        where plan.tasks[reader].inputs[edge].from == old {
          plan.tasks[reader].inputs[edge].from = plan.tasks[index].id
        }
      }
    }
    let comparison = try #require(plan.tasks.first { $0.expansion != nil })
    let sub = expandPlan(
      ExpandRequest(
        plan: plan, task: comparison.id, output: "",
        inputs: comparison.inputs.enumerated().map { .init(name: $1.name, text: "Text \($0)") },
        request: request))
    _ = try plan.splicing(sub, at: comparison.id)
  }

  // MARK: - Dispatcher

  @Test("whether a merge gave back its inputs", arguments: HostileText.allCases)
  func echo(hostile: HostileText) {
    func work(_ bytes: Int) -> Int {
      var work = 0
      let inputs = (0..<16).map {
        MechanicalMerge.Input(name: "Draft \($0)", text: hostile.text(400) + "\($0)")
      }
      _ = MergeEcho.reason(
        hostile.text(bytes), instruction: "Below are drafts of a reply, written independently.",
        merging: inputs, work: &work)
      return work
    }
    expectLinear(work(16 << 10), work(32 << 10))
    #expect(work(1 << 20) < 8 << 20)
  }

  @Test("an output that is longer than anybody reads keeps its beginning and its end")
  func bounded() {
    let text = "Begin." + String(repeating: "é", count: 200_000) + "End."
    let bounded = MechanicalMerge.bounded(text)
    #expect(bounded.hasPrefix("Begin.é") && bounded.hasSuffix("éEnd."))
    #expect(bounded.utf8.count <= Limits.readOutputBytes.value + 16)
    #expect(!bounded.contains("\u{FFFD}") && MechanicalMerge.bounded("short") == "short")
  }

  // MARK: - Gateway

  @Test("names that are nearly one of thousands")
  func nearNames() {
    func work(_ count: Int) -> Int {
      var work = 0
      let names = (0..<count).map { "model-\(String(repeating: "x", count: 200))-\($0)" }
      _ = NearNames.near("modal-" + String(repeating: "y", count: 200), among: names, work: &work)
      return work
    }
    #expect(work(10_000) == work(1_000), "no more than the limit are compared")
    #expect(work(1_000) <= 256 * 128 * 128)
    #expect(NearNames.near("smolm", among: ["SmolLM", "qwen"]) == ["SmolLM"])
  }
}
