import ClusterModel
import ClusterTesting
import Testing

@Suite("Plan validation")
struct PlanValidationTests {
  // MARK: - The rules, one by one

  @Test("a chain and a fan are valid")
  func valid() throws {
    try PlanValidation.validate(.chain(PlanValidation.maximumDepth))
    try PlanValidation.validate(.fan(PlanValidation.maximumInputs))
  }

  @Test(
    "each rule that is broken is named, with the task", arguments: InvalidPlan.Rule.allCases)
  func rules(rule: InvalidPlan.Rule) {
    // `unknownOutput` is about what a dispatcher is given with the plan.
    guard let (plan, task) = Self.broken(rule) else {
      #expect(rule == .unknownOutput)
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
    case .unknownOutput: return nil
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
    }
  }

  @Test("the bounds themselves are allowed, one step beyond is not")
  func bounds() {
    func accepts(_ change: (inout Plan) -> Void) -> Bool {
      var plan = Plan.fan(2)
      change(&plan)
      return (try? PlanValidation.validate(plan)) != nil
    }
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

  // MARK: - Over random graphs

  @Test("random valid plans pass; the same with one cycle, one loose end or one lost input do not")
  func randomPlans() throws {
    for seed in UInt64(0)..<1000 {
      var rng = SeededGenerator(seed: seed)
      let plan = Plan.random(using: &rng)
      #expect(throws: Never.self, "seed \(seed)") { try PlanValidation.validate(plan) }

      if plan.tasks.count > 1 {
        // Make a task read one that depends on it.
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

extension Plan {
  /// `count` tasks of which each reads the one before it.
  static func chain(_ count: Int) -> Plan {
    let tasks = (0..<count).map { index in
      PlanTask(
        id: index == count - 1 ? "sink" : TaskID("t\(index)"), role: .reasoning,
        inputs: index == 0 ? [] : [Edge(from: TaskID("t\(index - 1)"), name: "before")],
        merge: index == 0 ? .none : .synthesise)
    }
    return Plan(
      id: "p", pattern: "test", tasks: tasks, sink: "sink", seed: 1, deadline: .seconds(60))
  }

  /// `count` tasks and a sink that reads them all.
  static func fan(_ count: Int, quorum: Int? = nil, onFailure: FailureRule = .fail) -> Plan {
    var tasks = (0..<count).map {
      PlanTask(id: TaskID("t\($0)"), role: .research, onFailure: onFailure)
    }
    tasks.append(
      PlanTask(
        id: "sink", role: .coordinator, inputs: tasks.map { Edge(from: $0.id, name: $0.id.name) },
        merge: .synthesise, quorum: quorum))
    return Plan(
      id: "p", pattern: "test", tasks: tasks, sink: "sink", seed: 1, deadline: .seconds(60))
  }

  /// A valid plan of random shape, rules and deadlines: every task but the last is read by a later
  /// one, so all of them reach the sink.
  static func random(using rng: inout SeededGenerator, atMost: Int = 16) -> Plan {
    let count = Int.random(in: 1...atMost, using: &rng)
    var tasks = (0..<count).map { index in
      PlanTask(
        id: TaskID("t\(index)"), role: AgentRole.allCases[Int(rng.next() % 6)],
        onFailure: index < count - 1 && Bool.random(using: &rng) ? .skip : .fail,
        deadline: rng.next() % 4 == 0
          ? .milliseconds(Int.random(in: 1...5000, using: &rng)) : nil,
        seed: rng.next())
    }
    for index in tasks.indices.dropLast() {
      var readers = Set([Int.random(in: index + 1..<count, using: &rng)])
      if Bool.random(using: &rng) { readers.insert(Int.random(in: index + 1..<count, using: &rng)) }
      for reader in readers.sorted() {
        tasks[reader].inputs.append(Edge(from: tasks[index].id, name: "from \(index)"))
        tasks[reader].merge = .synthesise
      }
    }
    for index in tasks.indices where !tasks[index].inputs.isEmpty && rng.next() % 2 == 0 {
      tasks[index].quorum = Int.random(in: 1...tasks[index].inputs.count, using: &rng)
    }
    return Plan(
      id: "p", pattern: "test", tasks: tasks, sink: tasks[count - 1].id, seed: rng.next(),
      deadline: .milliseconds(Int.random(in: 1...20_000, using: &rng)))
  }
}
