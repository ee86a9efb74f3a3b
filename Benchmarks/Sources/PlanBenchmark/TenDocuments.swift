import ClusterModel

/// A plan over documents: 32 tasks with a cost for ten documents.
///
/// Every document is embedded, summarised and searched for key points. Then all are compared, and a
/// report is written. Joining summaries and key points is mechanical and free.
struct DocumentWork {
  let plan: Plan
  /// Cost of each task on a host of speed 1, in seconds: actual and expected.
  let actual: [TaskID: Double]
  let expected: [TaskID: Double]

  init(documents: Int, seed: UInt64) {
    var rng = SplitMix64(seed: seed)
    var tasks: [PlanTask] = []
    var actual: [TaskID: Double] = [:]
    var expected: [TaskID: Double] = [:]
    func add(_ task: PlanTask, seconds: Double) {
      tasks.append(task)
      expected[task.id] = seconds
      // The length of an answer is not known beforehand.
      actual[task.id] = seconds * (0.8 + 0.4 * Double.random(in: 0..<1, using: &rng))
    }
    let numbers = 0..<documents
    for number in numbers {
      add(PlanTask(id: TaskID("embed-\(number)"), role: .research), seconds: 0.1)
    }
    for (kind, seconds) in [("summarize", 3.0), ("extract", 2.0)] {
      for number in numbers {
        add(
          PlanTask(
            id: TaskID("\(kind)-\(number)"), role: .research,
            inputs: [Edge(from: TaskID("embed-\(number)"), name: "document")], merge: .summarise),
          seconds: seconds)
      }
      tasks.append(
        PlanTask(
          id: TaskID("all-\(kind)"), role: .coordinator,
          inputs: numbers.map { Edge(from: TaskID("\(kind)-\($0)"), name: "\($0)") },
          merge: .concatenate))
    }
    add(
      PlanTask(
        id: "compare", role: .reasoning,
        inputs: ["all-summarize", "all-extract"].map { Edge(from: TaskID($0), name: $0) },
        merge: .synthesise), seconds: 3)
    add(
      PlanTask(
        id: "report", role: .coordinator, inputs: [Edge(from: "compare", name: "comparison")],
        merge: .synthesise), seconds: 2)
    plan = Plan(
      id: "documents", pattern: "benchmark", tasks: tasks, sink: "report", seed: seed,
      deadline: .seconds(600))
    self.actual = actual
    self.expected = expected
  }

  /// Number of tasks with a cost.
  var units: Int { actual.count }

  var seconds: Double { plan.tasks.reduce(0) { $0 + (actual[$1.id] ?? 0) } }

  /// Cost of the final tasks, each of which waits for the previous one.
  var tailSeconds: Double { (actual["compare"] ?? 0) + (actual["report"] ?? 0) }
}

/// A host that runs one task at a time.
struct SimulatedHost {
  var speed: Double
  var joins = 0.0
  /// Time at which the host dies.
  var dies = Double.infinity
}
