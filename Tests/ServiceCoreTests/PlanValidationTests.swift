import ClusterModel
import ClusterTesting
import Testing

@Suite("Plan validation")
struct PlanValidationTests {
  // MARK: - Single rules

  @Test("a chain and a fan are valid")
  func valid() throws {
    try PlanValidation.validate(.chain(PlanValidation.maximumDepth))
    try PlanValidation.validate(.fan(PlanValidation.maximumInputs))
  }

  @Test(
    "each rule that is broken is named, with the task", arguments: InvalidPlan.Rule.allCases)
  func rules(rule: InvalidPlan.Rule) {
    // A plan alone cannot break `unknownOutput` and `tooManyExpansions`. These rules concern data
    // that a dispatcher receives next to the plan or splices into it.
    guard let (plan, task) = Self.broken(rule) else {
      #expect(rule == .unknownOutput || rule == .tooManyExpansions)
      return
    }
    let error = #expect(throws: InvalidPlan.self) { try PlanValidation.validate(plan) }
    #expect(error?.rule == rule)
    #expect(error?.task == task)
    #expect(error?.failure.code == .invalidPlan)
    if let task, !task.name.isEmpty { #expect(error?.failure.message.contains(task.name) == true) }
  }

  static func broken(_ rule: InvalidPlan.Rule) -> (Plan, TaskID?)? {
    var plan = Plan.fan(3)
    switch rule {
    case .noTasks:
      plan.tasks = []
      return (plan, nil)
    case .tooManyTasks:
      plan.tasks = (0...PlanValidation.maximumTasks).map {
        PlanTask(id: TaskID("t\($0)"), role: .code)
      }
      return (plan, nil)
    case .emptyTaskID:
      plan.tasks[0].id = ""
      return (plan, "")
    case .nameTooLong:
      plan.tasks[0].id = TaskID(String(repeating: "x", count: 129))
      return (plan, nil)
    case .duplicateTask:
      plan.tasks[1].id = plan.tasks[0].id
      return (plan, plan.tasks[0].id)
    case .unknownInput:
      plan.tasks[3].inputs[0].from = "nobody"
      return (plan, "sink")
    case .unknownOutput, .tooManyExpansions: return nil
    case .tooManyDocuments:
      plan.tasks[0].documents = (0...PlanValidation.maximumDocuments).map { "d\($0)" }
      return (plan, "t0")
    case .documentPartOutOfRange:
      plan.tasks[0].documentPart = DocumentPart(number: 0, count: 2)
      return (plan, "t0")
    case .contractOutOfRange:
      plan.tasks[0].contract = .choice([])
      return (plan, "t0")
    case .inputName:
      plan.tasks[3].inputs[0].name = ""
      return (plan, "sink")
    case .duplicateInput:
      plan.tasks[3].inputs[1].name = plan.tasks[3].inputs[0].name
      return (plan, "sink")
    case .tooManyInputs: return (.fan(PlanValidation.maximumInputs + 1), "sink")
    case .mergeWithoutInputs:
      plan.tasks[0].merge = .synthesise
      return (plan, "t0")
    case .quorumOutOfRange:
      plan.tasks[3].quorum = 4
      return (plan, "sink")
    case .unknownSink:
      plan.sink = "nobody"
      return (plan, "nobody")
    case .sinkIsRead:
      plan.tasks[0].inputs = [Edge(from: "sink", name: "a")]
      plan.tasks[0].merge = .synthesise
      return (plan, "t0")
    case .sinkMayNotBeSkipped:
      plan.tasks[3].onFailure = .skip
      return (plan, "sink")
    case .unusedTask:
      plan.tasks.append(PlanTask(id: "idle", role: .critic))
      return (plan, "idle")
    case .cycle:
      plan.tasks[0].inputs = [Edge(from: "t1", name: "a")]
      plan.tasks[0].merge = .synthesise
      plan.tasks[1].inputs = [Edge(from: "t0", name: "a")]
      plan.tasks[1].merge = .synthesise
      return (plan, "t0")
    case .tooDeep: return (.chain(PlanValidation.maximumDepth + 1), "sink")
    case .instructionTooLong:
      plan.tasks[0].instruction = String(repeating: "x", count: 64 * 1024 + 1)
      return (plan, "t0")
    case .deadlineOutOfRange:
      plan.tasks[0].deadline = .microseconds(999)
      return (plan, "t0")
    case .tokensOutOfRange:
      plan.tasks[0].maxTokens = 0
      return (plan, "t0")
    case .temperatureOutOfRange:
      plan.tasks[0].temperatureMilli = 2001
      return (plan, "t0")
    case .answerKind:
      plan.tasks[3].merge = .choose
      return (plan, "sink")
    case .stageOutOfRange:
      plan.tasks[0].stage = PlanValidation.maximumInputs
      return (plan, "t0")
    case .weightOutOfRange:
      plan.tasks[3].inputs[1].weightMilli = 1_001
      return (plan, "sink")
    case .choiceInputs:
      plan.tasks[3].inputs[1].use = .revision
      return (plan, "sink")
    }
  }

  @Test("the bounds themselves are allowed, one step beyond is not")
  func bounds() {
    func accepts(_ change: (inout Plan) -> Void) -> Bool { Self.accepts(change) }
    #expect(accepts { $0.deadline = .milliseconds(1) })
    #expect(accepts { $0.deadline = .seconds(3600) })
    #expect(!accepts { $0.deadline = .seconds(3600) + .milliseconds(1) })
    #expect(!accepts { $0.deadline = .zero })
    #expect(accepts { $0.tasks[0].instruction = String(repeating: "x", count: 64 * 1024) })
    #expect(accepts { $0.tasks[2].quorum = 1 })
    #expect(accepts { $0.tasks[2].quorum = 2 })
    #expect(!accepts { $0.tasks[2].quorum = 0 })
    #expect(!accepts { $0.tasks[0].quorum = 1 })
    #expect(!accepts { $0.tasks[0].inputs = [Edge(from: "t0", name: "self")] })
  }

  static func accepts(_ change: (inout Plan) -> Void) -> Bool {
    var plan = Plan.fan(2)
    change(&plan)
    return (try? PlanValidation.validate(plan)) != nil
  }

  static func rule(_ change: (inout Plan) -> Void) -> InvalidPlan.Rule? {
    var plan = Plan.fan(2)
    change(&plan)
    do throws(InvalidPlan) {
      try PlanValidation.validate(plan)
      return nil
    } catch {
      return error.rule
    }
  }

  @Test("a contract has a schema of bounded size, or words that are bounded in number and size")
  func contracts() {
    let schema = PlanValidation.maximumSchemaBytes
    let name = PlanValidation.maximumNameBytes
    func words(_ count: Int, _ bytes: Int = 1) -> OutputContract {
      .choice(Array(repeating: String(repeating: "x", count: bytes), count: count))
    }
    func rule(_ contract: OutputContract) -> InvalidPlan.Rule? {
      Self.rule { $0.tasks[0].contract = contract }
    }
    #expect(rule(.text) == nil && rule(.vector) == nil)
    #expect(rule(.json(schema: String(repeating: "x", count: schema))) == nil)
    #expect(rule(.json(schema: String(repeating: "x", count: schema + 1))) == .contractOutOfRange)
    #expect(rule(words(1)) == nil && rule(words(PlanValidation.maximumChoices)) == nil)
    #expect(rule(words(PlanValidation.maximumChoices + 1)) == .contractOutOfRange)
    #expect(rule(words(2, name)) == nil)
    #expect(rule(words(2, name + 1)) == .contractOutOfRange)
    #expect(rule(words(2, 0)) == .contractOutOfRange)
  }

  @Test("a merge without a model makes text, nothing else", arguments: MergeRule.allCases)
  func mechanicalContracts(merge: MergeRule) {
    guard merge != .none else { return }
    let kind: AnswerKind? = merge == .choose ? .closed : nil
    #expect(
      Self.accepts {
        $0.tasks[2].merge = merge
        $0.tasks[2].kind = kind
      })
    for contract in [OutputContract.json(schema: "{}"), .choice(["yes"]), .vector] {
      let rule = Self.rule {
        $0.tasks[2].merge = merge
        $0.tasks[2].kind = kind
        $0.tasks[2].contract = contract
      }
      #expect(rule == (merge.isMechanical ? .contractOutOfRange : nil))
    }
  }

  @Test("a merge needs a model exactly when its result has sentences that no input has")
  func mechanicalMerges() {
    #expect(
      MergeRule.allCases.filter(\.isMechanical)
        == [.concatenate, .replace, .vote, .agree, .choose])
  }

  @Test("a choice has a kind, a draft as its first input, and the meanings of drafts at most once")
  func choices() {
    func rule(_ uses: [EdgeUse], _ kind: AnswerKind? = .prose) -> InvalidPlan.Rule? {
      Self.rule {
        $0.tasks[2].merge = .choose
        $0.tasks[2].kind = kind
        for (index, use) in uses.enumerated() { $0.tasks[2].inputs[index].use = use }
      }
    }
    #expect(rule([.draft, .draft]) == nil && rule([.draft, .revision]) == nil)
    #expect(rule([.draft, .meanings]) == nil)
    #expect(rule([.revision, .draft]) == .choiceInputs)
    #expect(rule([.meanings, .draft]) == .choiceInputs)
    #expect(rule([.draft, .draft], nil) == .answerKind)
    #expect(Self.rule { $0.tasks[0].kind = .code } == .answerKind)
    let two = Self.rule {
      $0.tasks[1].inputs = [Edge(from: "t0", name: "a")]
      $0.tasks[1].merge = .synthesise
      $0.tasks[2].merge = .choose
      $0.tasks[2].kind = .prose
      $0.tasks[2].inputs = [
        Edge(from: "t0", name: "a"), Edge(from: "t0", name: "b", use: .meanings),
        Edge(from: "t1", name: "c", use: .meanings),
      ]
    }
    #expect(two == .choiceInputs)
  }

  @Test("stages are from 0 to 15, and weights from 1 to 1,000")
  func stagesAndWeights() {
    for (stage, valid) in [(-1, false), (0, true), (15, true), (16, false)] {
      let rule = Self.rule { $0.tasks[0].stage = stage }
      #expect(rule == (valid ? nil : .stageOutOfRange), "\(stage)")
    }
    for (weight, valid) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
      let rule = Self.rule { $0.tasks[2].inputs[0].weightMilli = weight }
      #expect(rule == (valid ? nil : .weightOutOfRange), "\(weight)")
    }
  }

  @Test("an expansion has a name of bounded size, a deadline share is from 1 to 1,000")
  func expansionNamesAndShares() {
    let name = PlanValidation.maximumNameBytes
    for (bytes, valid) in [(0, false), (1, true), (name, true), (name + 1, false)] {
      let rule = Self.rule { $0.tasks[0].expansion = String(repeating: "x", count: bytes) }
      #expect(rule == (valid ? nil : .nameTooLong), "\(bytes)")
    }
    for (share, valid) in [(-1, false), (0, false), (1, true), (1_000, true), (1_001, false)] {
      let rule = Self.rule { $0.tasks[0].deadlineShare = share }
      #expect(rule == (valid ? nil : .deadlineOutOfRange), "\(share)")
    }
  }

  @Test("a task reads as many documents as a request may have, and no more")
  func documents() {
    let most = (0..<PlanValidation.maximumDocuments).map { "d\($0)" }
    #expect(Self.accepts { $0.tasks[0].documents = most })
    #expect(Self.rule { $0.tasks[0].documents = most + ["one more"] } == .tooManyDocuments)
  }

  @Test("a task reads a part that its document has, of a bounded number of parts")
  func documentParts() {
    let most = PlanValidation.maximumDocumentParts
    for (number, count, isValid) in [
      (1, 1, true), (most, most, true), (0, 2, false), (3, 2, false), (1, 0, false),
      (1, most + 1, false), (-1, -1, false),
    ] {
      let rule = Self.rule { $0.tasks[0].documentPart = DocumentPart(number: number, count: count) }
      #expect(rule == (isValid ? nil : .documentPartOutOfRange), "part \(number) of \(count)")
    }
  }

  @Test("the tokens of all tasks together are bounded, whatever the limit of each")
  func tokens() {
    let half = PlanValidation.maximumTokens / 2
    #expect(
      Self.accepts {
        $0.tasks[0].maxTokens = half
        $0.tasks[1].maxTokens = half
      })
    for much in [half + 1, .max] {
      let rule = Self.rule {
        $0.tasks[0].maxTokens = half
        $0.tasks[1].maxTokens = much
      }
      #expect(rule == .tokensOutOfRange)
    }
  }

  @Test("the sink may not be skipped")
  func sinkFails() {
    for rule in FailureRule.allCases {
      #expect(
        Self.rule { $0.tasks[2].onFailure = rule }
          == (rule == .skip ? .sinkMayNotBeSkipped : nil))
    }
  }

  // MARK: - Random graphs

  @Test("random valid plans pass; the same with one cycle, one loose end or one lost input do not")
  func randomPlans() throws {
    for seed in UInt64(0)..<1000 {
      var rng = SeededGenerator(seed: seed)
      let plan = Plan.random(using: &rng)
      #expect(throws: Never.self, "seed \(seed)") { try PlanValidation.validate(plan) }

      if plan.tasks.count > 1 {
        // Make a task read another one that depends on it.
        var cyclic = plan
        let reader =
          cyclic.tasks.indices.filter { !cyclic.tasks[$0].inputs.isEmpty }
          .randomElement(using: &rng) ?? cyclic.tasks.count - 1
        let source = cyclic.tasks.firstIndex {
          $0.id == cyclic.tasks[reader].inputs[0].from
        }
        if let source, cyclic.tasks[reader].id != plan.sink,
          cyclic.tasks[source].inputs.count < PlanValidation.maximumInputs
        {
          cyclic.tasks[source].inputs.append(Edge(from: cyclic.tasks[reader].id, name: "back"))
          cyclic.tasks[source].merge = .synthesise
          let error = #expect(throws: InvalidPlan.self, "seed \(seed)") {
            try PlanValidation.validate(cyclic)
          }
          #expect(error?.rule == .cycle || error?.rule == .tooDeep, "seed \(seed)")
        }
        var lost = plan
        lost.tasks.remove(at: 0)
        #expect(throws: InvalidPlan.self, "seed \(seed)") { try PlanValidation.validate(lost) }
      }
      var loose = plan
      loose.tasks.append(PlanTask(id: "loose", role: .research))
      if loose.tasks.count <= PlanValidation.maximumTasks {
        let error = #expect(throws: InvalidPlan.self, "seed \(seed)") {
          try PlanValidation.validate(loose)
        }
        #expect(error?.rule == .unusedTask)
      }
    }
  }

  @Test("random garbage is judged, never crashed on, and what passes has an order to run in")
  func garbage() {
    var passed = 0
    for seed in UInt64(0)..<3000 {
      var rng = SeededGenerator(seed: seed)
      let count = Int.random(in: 1...6, using: &rng)
      var plan = Plan.fan(1)
      plan.sink = TaskID("t\(count - 1)")
      plan.tasks = (0..<count).map { index in
        let inputs = (0..<Int.random(in: 0...2, using: &rng)).map {
          Edge(from: TaskID("t\(Int.random(in: 0...count, using: &rng))"), name: "i\($0)")
        }
        return PlanTask(
          id: TaskID("t\(index)"), role: .code, inputs: inputs,
          merge: inputs.isEmpty ? .none : .synthesise)
      }
      guard (try? PlanValidation.validate(plan)) != nil else { continue }
      passed += 1
      var settled: Set<TaskID> = []
      while let next = plan.tasks.first(where: { task in
        !settled.contains(task.id) && task.inputs.allSatisfy { settled.contains($0.from) }
      }) {
        settled.insert(next.id)
      }
      #expect(settled.count == count, "seed \(seed)")
    }
    #expect(passed > 50, "too few plans passed to say anything")
  }
}
