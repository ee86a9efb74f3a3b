import ClusterModel

/// A plan's tasks by index, with the readers of each.
struct PlanGraph: Sendable {
  /// Indices into `Plan.tasks`.
  let indices: [TaskID: Int]
  /// The readers of each task, without duplicates.
  let readers: [[Int]]
  let sink: Int

  /// - Parameter plan: a valid plan.
  init(_ plan: Plan) {
    var indices: [TaskID: Int] = [:]
    for (index, task) in plan.tasks.enumerated() { indices[task.id] = index }
    var readers = [[Int]](repeating: [], count: plan.tasks.count)
    for (index, task) in plan.tasks.enumerated() {
      for source in Set(task.inputs.map(\.from)) {
        if let source = indices[source] { readers[source].append(index) }
      }
    }
    self.indices = indices
    self.readers = readers
    self.sink = indices[plan.sink] ?? 0
  }

  /// Weight of the heaviest path from a task to the sink, both included.
  /// - Parameter weight: the weight of a task, by its index.
  func heaviestPath(from task: Int, weight: (Int) -> Int) -> Int {
    var known = [Int?](repeating: nil, count: readers.count)
    // A plan is at most 16 tasks deep, so the recursion is too.
    func path(_ index: Int) -> Int {
      if let known = known[index] { return known }
      let rest = readers[index].map { path($0) }.max() ?? 0
      let sum = weight(index) + rest
      known[index] = sum
      return sum
    }
    return path(task)
  }
}
