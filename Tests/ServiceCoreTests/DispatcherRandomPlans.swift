import ClusterModel
import ClusterTesting

extension Plan {
  /// A valid random plan. It may have mechanical merges, expansions, contracts, every failure rule,
  /// quorums, deadlines and shares.
  ///
  /// Every task except the last is read by a later one, so all of them reach the sink.
  static func wild(using rng: inout SeededGenerator, atMost: Int = 16) -> Plan {
    let count = Int.random(in: 1...atMost, using: &rng)
    var tasks = (0..<count).map { PlanTask.wild(TaskID("t\($0)"), using: &rng) }
    for index in tasks.indices.dropLast() {
      var readers = Set([Int.random(in: index + 1..<count, using: &rng)])
      if Bool.random(using: &rng) { readers.insert(Int.random(in: index + 1..<count, using: &rng)) }
      for reader in readers.sorted() { tasks[reader].read(tasks[index].id, using: &rng) }
    }
    for index in tasks.indices { tasks[index].settleOnQuorum(using: &rng) }
    tasks[count - 1].onFailure = .fail
    return Plan(
      id: "p", pattern: "test", tasks: tasks, sink: tasks[count - 1].id, seed: rng.next(),
      deadline: .milliseconds(Int.random(in: 1...20_000, using: &rng)))
  }
}

extension PlanTask {
  static func wild(_ id: TaskID, using rng: inout SeededGenerator) -> PlanTask {
    PlanTask(
      id: id, role: AgentRole.allCases[Int(rng.next() % 6)],
      contract: rng.next() % 5 == 0 ? .json(schema: "{}") : .text,
      onFailure: [.fail, .skip, .skip, .degrade][Int(rng.next() % 4)],
      maxTokens: rng.next() % 2 == 0 ? Int.random(in: 1...400, using: &rng) : nil,
      deadline: rng.next() % 6 == 0 ? .milliseconds(Int.random(in: 1...5000, using: &rng)) : nil,
      deadlineShare: rng.next() % 3 == 0 ? Int.random(in: 1...1_000, using: &rng) : nil,
      seed: rng.next(),
      dataPolicy: rng.next() % 4 == 0 ? DataPolicy.allCases[Int(rng.next() % 3)] : nil,
      readsConversation: Bool.random(using: &rng),
      documents: rng.next() % 3 == 0 ? ["one"] : [],
      expansion: rng.next() % 6 == 0 ? "next" : nil)
  }

  mutating func read(_ source: TaskID, using rng: inout SeededGenerator) {
    if inputs.isEmpty {
      let rules = MergeRule.allCases.filter { $0 != .none }
      merge = rules[Int(rng.next() % UInt64(rules.count))]
      if merge.isMechanical { contract = .text }
      kind = merge == .choose ? AnswerKind.allCases[Int(rng.next() % 5)] : nil
    }
    inputs.append(Edge(from: source, name: "from \(source)"))
  }

  mutating func settleOnQuorum(using rng: inout SeededGenerator) {
    guard !inputs.isEmpty, rng.next() % 2 == 0 else { return }
    quorum = Int.random(in: 1...inputs.count, using: &rng)
  }
}

extension SubPlan {
  /// A planner's possible reply to `request`: often valid, sometimes a violation of the plan rules.
  static func wild(_ request: ExpandRequest, using rng: inout SeededGenerator) -> SubPlan {
    let task = request.task
    let next = TaskID("\(task)+")
    switch rng.next() % 8 {
    case 0: return .nothing(after: task)
    case 1:
      // The task reads itself through another one, which is a cycle.
      return SubPlan(
        tasks: [
          PlanTask(
            id: next, role: .code, inputs: [Edge(from: TaskID("\(task)-"), name: "x")],
            merge: .replace),
          PlanTask(
            id: TaskID("\(task)-"), role: .code, inputs: [Edge(from: next, name: "x")],
            merge: .replace),
        ], output: next)
    case 2:
      return SubPlan(
        tasks: (0..<10_000).map { PlanTask(id: TaskID("\(task)+\($0)"), role: .code) }, output: next
      )
    case 3: return SubPlan(tasks: [], output: "nobody")
    default:
      // The tasks are a fan after the expanded task. Each of them may expand again.
      let width = Int.random(in: 1...3, using: &rng)
      var tasks = (0..<width).map { PlanTask.wild(TaskID("\(task)+\($0)"), using: &rng) }
      for index in tasks.indices { tasks[index].read(task, using: &rng) }
      var end = PlanTask.wild(next, using: &rng)
      for task in tasks { end.read(task.id, using: &rng) }
      end.settleOnQuorum(using: &rng)
      end.onFailure = .fail
      return SubPlan(tasks: tasks + [end], output: next)
    }
  }
}
