import ClusterModel

extension PlanRun {
  /// Completes a task with its own output or a substitute.
  /// If the task expands, the planner is asked for the expansion before any reader starts.
  mutating func complete(_ index: Int, _ report: TaskReport, now: Instant) {
    disarm(index)
    ledger.release(index)
    guard task(index).expansion != nil else { return settle(index, report: report) }
    expand(index, report, now: now)
  }

  mutating func settle(_ index: Int, report: TaskReport) {
    if index == graph.sink, isStreaming(index), !isRunning(index), !emitRest(of: report.output) {
      return fail(
        Failure(
          .upstreamFailed,
          "The answer made from the rest of the plan does not continue the text that the client "
            + "already has; ask again."))
    }
    tasks[index].phase = .done(report)
    prepareOutput(of: index)
    // An earlier dispatcher has already reported this end.
    guard order.finished[task(index).id] == nil else { return }
    var reasons: [String] = []
    if !tasks[index].missing.isEmpty {
      reasons.append("it ran without \(tasks[index].missing.joined(separator: ", "))")
    }
    if !tasks[index].shortcoming.isEmpty {
      reasons.append(tasks[index].shortcoming)
    } else if let echo = echo(index, report.output) {
      reasons.append(echo)
    }
    emitEnd(
      index, reasons.isEmpty ? .done : .degraded,
      reason: reasons.joined(separator: "; ").cut(toBytes: limits.reasonBytes), report: report)
  }

  private func echo(_ index: Int, _ output: String) -> String? {
    let task = task(index)
    guard task.merge == .synthesise || task.merge == .summarise, !task.inputs.isEmpty else {
      return nil
    }
    let inputs = task.inputs.compactMap { edge in
      self.output(of: edge).map { MechanicalMerge.Input(name: edge.name, text: $0) }
    }
    return Echo.reason(output, instruction: task.instruction, merging: inputs)
  }

  /// Whether an agent runs the task. Its output has then been emitted already.
  private func isRunning(_ index: Int) -> Bool {
    guard case .running = tasks[index].phase else { return false }
    return true
  }

  // MARK: - Failing

  /// Applies the failure rule of a task that has failed for good.
  /// `advance` then finds the tasks that cannot run without it.
  mutating func abandon(_ index: Int, _ failure: Failure, now: Instant) {
    let task = task(index)
    let message = failure.message.isEmpty ? failure.code.rawValue : failure.message
    let reason = message.cut(toBytes: limits.reasonBytes)
    spendUnreported(index)
    if task.onFailure == .degrade, !isOut(index), let report = substitute(for: index) {
      tasks[index].shortcoming = reason
      takeBack(index)
      if isStreaming(index) { emitRest(of: report.output) }
      return complete(index, report, now: now)
    }
    disarm(index)
    tasks[index].phase = .skipped(failure)
    let isFatal = task.onFailure == .fail || index == graph.sink
    emitEnd(index, isFatal ? .failed : .skipped, reason: reason, report: cost(of: index))
    guard isFatal else { return }
    fail(
      Failure(
        failure.code, "Task \"\(task.id)\" (\(task.role.rawValue)) failed: \(reason)",
        retryAfter: failure.retryAfter, param: failure.param))
  }

  mutating func emitEnd(
    _ index: Int, _ status: TaskStatus, reason: String, report: TaskReport? = nil
  ) {
    directives.append(
      .emit(
        .ended(
          TaskEnded(
            task: task(index).id, role: task(index).role, agent: tasks[index].agent,
            status: status, reason: reason, report: report))))
  }

  // MARK: - Ending

  mutating func finish(_ report: TaskReport) {
    stopEverything()
    directives.append(
      .finish(
        PlanFinished(
          finishReason: report.finishReason, usage: ledger.spent, sinkUsage: report.usage)))
  }

  mutating func fail(_ failure: Failure) {
    guard state != .over else { return }
    stopEverything()
    directives.append(.fail(failure))
  }

  private mutating func stopEverything() {
    for index in tasks.indices where !tasks[index].phase.isSettled {
      stop(index)
      disarm(index)
    }
    if state == .running { directives.append(.disarm(.plan)) }
    state = .over
  }

  /// Cancels the task's attempt or expansion.
  mutating func stop(_ index: Int) {
    switch tasks[index].phase {
    case .running: directives.append(.cancel(Attempt(task(index).id, tasks[index].attempt)))
    case .expanding: directives.append(.cancelExpansion(task(index).id))
    case .waiting, .pausing, .done, .skipped: break
    }
  }

  mutating func disarm(_ index: Int) {
    let id = task(index).id
    switch tasks[index].phase {
    case .pausing: directives.append(.disarm(.retry(id)))
    case .expanding: directives.append(.disarm(.expansion(id)))
    case .waiting, .running, .done, .skipped: break
    }
    guard tasks[index].deadline != nil else { return }
    tasks[index].deadline = nil
    directives.append(.disarm(.deadline(id)))
  }
}
