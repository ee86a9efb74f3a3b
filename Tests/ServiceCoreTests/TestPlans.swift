import ClusterModel
import ClusterTesting

extension Plan {
  /// A chain of `count` tasks, each of which reads the previous one.
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

  /// A valid plan of random shape, rules and deadlines.
  ///
  /// Every task except the last is read by a later one, so all of them reach the sink.
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
