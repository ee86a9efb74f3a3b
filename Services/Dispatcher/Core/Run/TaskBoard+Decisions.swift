import ClusterModel

extension TaskBoard {
  /// Number of inputs that must have succeeded before the task may run.
  func quorum(of index: Int) -> Int { task(index).quorum ?? task(index).inputs.count }

  /// Whether the inputs that succeeded meet the task's quorum. Always true without a quorum.
  func hasQuorum(_ index: Int) -> Bool {
    let task = task(index)
    return task.inputs.count { output(of: $0) != nil } >= task.quorum ?? 0
  }

  /// Whether an agent can start the task now.
  func isReady(_ index: Int) -> Bool {
    guard case .waiting = phase(index), !task(index).merge.isMechanical else { return false }
    return task(index).inputs.allSatisfy { isSettled($0) }
  }

  /// First waiting task that can no longer get enough inputs, with the failure that it gets.
  var firstHopeless: (index: Int, failure: Failure)? {
    for index in indices {
      guard case .waiting = phase(index), let failure = failureOfInputs(of: index) else { continue }
      return (index, failure)
    }
    return nil
  }

  /// Failure of a task that can no longer get enough inputs. `nil` means that it still can.
  private func failureOfInputs(of index: Int) -> Failure? {
    let inputs = task(index).inputs
    var lost: (task: TaskID, failure: Failure)?
    var left = inputs.count
    for edge in inputs {
      guard let source = self.index(of: edge.from), case .skipped(let failure) = phase(source)
      else { continue }
      left -= 1
      lost = (edge.from, failure)
    }
    let needed = quorum(of: index)
    guard let lost, left < needed else { return nil }
    return Failure(
      lost.failure.code,
      "only \(left) of its \(inputs.count) inputs can still arrive and it needs \(needed); "
        + "\"\(lost.task)\" is not among them because \(lost.failure.message)",
      retryAfter: lost.failure.retryAfter, param: lost.failure.param)
  }

  /// Unsettled tasks whose output can no longer reach the sink. The cause is a failure, a decided
  /// vote or a settled sink.
  var unneeded: [Int] {
    var needed = [Bool](repeating: false, count: indices.count)
    var open: [Int] = []
    if !phase(sink).isSettled {
      needed[sink] = true
      open = [sink]
    }
    while let index = open.popLast() {
      for edge in task(index).inputs {
        guard let source = self.index(of: edge.from), !needed[source], !phase(source).isSettled
        else { continue }
        needed[source] = true
        open.append(source)
      }
    }
    return indices.filter { !needed[$0] && !phase($0).isSettled }
  }

  /// Time limit of a task if the plan has the time `left`.
  /// The limit is the task's own deadline or its share of `left`, whichever is shorter. `nil` means
  /// that the task may use all of `left`.
  func ownTime(of index: Int, left: Duration) -> Duration? {
    let task = task(index)
    var time = task.deadline ?? left
    if let share = task.deadlineShare {
      // A later task without a share counts as much as this task. Mechanical tasks take no time.
      let path = heaviestPath(from: index) { other in
        let task = self.task(other)
        return task.merge.isMechanical ? 0 : task.deadlineShare ?? share
      }
      time = min(time, left * share / max(path, 1))
    }
    // The wire carries whole milliseconds, so a shorter time would become zero.
    return time < left ? max(time, .milliseconds(1)) : nil
  }

  /// Whether the output reaches the sink without a model rewriting it.
  func isPartOfAnswer(_ index: Int) -> Bool {
    var known: [Int: Bool] = [:]
    return isPartOfAnswer(index, &known)
  }

  /// - Parameter known: results so far, so that each task is examined once.
  private func isPartOfAnswer(_ index: Int, _ known: inout [Int: Bool]) -> Bool {
    if let isPart = known[index] { return isPart }
    let readers = readers(of: index)
    let isPart =
      !readers.isEmpty
      && readers.allSatisfy { reader in
        [.concatenate, .replace, .vote].contains(task(reader).merge)
          && task(reader).expansion == nil
          && (reader == sink || isPartOfAnswer(reader, &known))
      }
    known[index] = isPart
    return isPart
  }
}
