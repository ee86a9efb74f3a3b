import ClusterModel

extension PlanRun {
  /// Advances the plan until nothing more can be done now.
  /// Gives up tasks that cannot run or are not needed, computes mechanical tasks, starts ready
  /// tasks, and ends the plan with its sink.
  ///
  /// Each round settles or starts a task, so the plan's number of tasks bounds the rounds.
  mutating func advance(now: Instant) {
    while state == .running {
      if case .done(let report) = tasks[graph.sink].phase {
        dropUnneeded()
        return finish(report)
      }
      if giveUpHopeless(now: now) || dropUnneeded() { continue }
      if computeMechanical(now: now) || startReady(now: now) { continue }
      return streamLeadingInputs()
    }
  }

  /// - Returns: whether a task was given up.
  private mutating func giveUpHopeless(now: Instant) -> Bool {
    for index in tasks.indices {
      guard case .waiting = tasks[index].phase, let failure = hopelessness(of: index) else {
        continue
      }
      abandon(index, failure, now: now)
      return true
    }
    return false
  }

  /// Why too few inputs of the task can still arrive. `nil` means that enough can.
  private func hopelessness(of index: Int) -> Failure? {
    let inputs = task(index).inputs
    var lost: (task: TaskID, failure: Failure)?
    var left = inputs.count
    for edge in inputs {
      guard let source = graph.indices[edge.from], case .skipped(let failure) = tasks[source].phase
      else { continue }
      left -= 1
      lost = (edge.from, failure)
    }
    let needed = quorum(of: task(index))
    guard let lost, left < needed else { return nil }
    return Failure(
      lost.failure.code,
      "only \(left) of its \(inputs.count) inputs can still arrive and it needs \(needed); "
        + "\"\(lost.task)\" is not among them because \(lost.failure.message)",
      retryAfter: lost.failure.retryAfter, param: lost.failure.param)
  }

  /// Stops tasks whose output can no longer reach the sink.
  /// The cause is a failure or a vote that is already decided.
  /// - Returns: whether a task was stopped.
  @discardableResult
  private mutating func dropUnneeded() -> Bool {
    var needed = [Bool](repeating: false, count: tasks.count)
    var open: [Int] = []
    if !tasks[graph.sink].phase.isSettled {
      needed[graph.sink] = true
      open = [graph.sink]
    }
    while let index = open.popLast() {
      for edge in task(index).inputs {
        guard let source = graph.indices[edge.from], !needed[source],
          !tasks[source].phase.isSettled
        else { continue }
        needed[source] = true
        open.append(source)
      }
    }
    var dropped = false
    for index in tasks.indices where !needed[index] && !tasks[index].phase.isSettled {
      dropped = true
      spendUnreported(index)
      stop(index)
      disarm(index)
      if case .expanding(let report) = tasks[index].phase {
        settle(index, report: report)
        continue
      }
      let reason = "no unfinished task needs its output"
      tasks[index].phase = .skipped(Failure(.cancelled, reason))
      emitEnd(index, .skipped, reason: reason, report: cost(of: index))
    }
    return dropped
  }

  /// - Returns: whether a task was computed.
  private mutating func computeMechanical(now: Instant) -> Bool {
    for index in tasks.indices where task(index).merge.isMechanical {
      guard case .waiting = tasks[index].phase, let text = mechanicalText(of: index) else {
        continue
      }
      tasks[index].missing = skippedInputs(of: index)
      var report = TaskReport.mechanical(text)
      if task(index).merge == .concatenate, hasCutInput(index) { report.finishReason = "length" }
      complete(index, report, now: now)
      return true
    }
    return false
  }

  /// Whether a token limit cut off one of the task's inputs.
  private func hasCutInput(_ index: Int) -> Bool {
    task(index).inputs.contains { report(of: $0)?.finishReason == "length" }
  }

  private mutating func startReady(now: Instant) -> Bool {
    for index in tasks.indices where isReady(index) {
      tasks[index].missing = skippedInputs(of: index)
      tasks[index].attempt = 1
      armDeadline(index, now: now)
      launch(index, now: now)
      // A task that the budget cannot pay has settled, which may leave other tasks hopeless.
      if case .running = tasks[index].phase { continue }
      return true
    }
    return false
  }

  private func isReady(_ index: Int) -> Bool {
    guard case .waiting = tasks[index].phase, !task(index).merge.isMechanical else { return false }
    return task(index).inputs.allSatisfy { isSettled($0) }
  }

  func isSettled(_ edge: Edge) -> Bool {
    graph.indices[edge.from].map { tasks[$0].phase.isSettled } ?? false
  }

  private func skippedInputs(of index: Int) -> [String] {
    task(index).inputs.filter { isSettled($0) && output(of: $0) == nil }.map(\.name)
  }

  /// Arms the task's deadline: its own, or its share of the plan's time if earlier.
  private mutating func armDeadline(_ index: Int, now: Instant) {
    let left = now.duration(to: planDeadline)
    let task = task(index)
    var window = task.deadline ?? left
    if let share = task.deadlineShare {
      // Later tasks without a share count as much as this one; mechanical tasks take no time.
      let way = graph.heaviestWay(from: index) { other in
        let task = self.task(other)
        return task.merge.isMechanical ? 0 : task.deadlineShare ?? share
      }
      window = min(window, left * share / max(way, 1))
    }
    guard window < left else { return }
    // The wire carries milliseconds; a shorter time would be zero.
    window = max(window, .milliseconds(1))
    tasks[index].window = window
    tasks[index].deadline = now.advanced(by: window)
    directives.append(.arm(.deadline(task.id), at: now.advanced(by: window)))
  }
}
