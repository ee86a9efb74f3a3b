import ClusterModel

/// Substitutes for outputs that could not be made.
extension PlanRun {
  /// Output that a failed task passes on: its partial output, otherwise its first input.
  /// `nil` means that the task has neither. A task with an expansion passes on an empty output,
  /// from which the planner makes the rest of the plan.
  func substitute(for index: Int) -> TaskReport? {
    let task = task(index)
    // A partial answer is worth less than a complete draft.
    let written = isStreaming(index) ? "" : tasks[index].text
    // A task with a quorum does not accept fewer inputs.
    guard !written.isEmpty || task.expansion != nil || hasQuorum(index) else { return nil }
    // An agreement report is not an answer.
    let texts = task.inputs.filter { edge in
      graph.indices[edge.from].map { self.task($0).merge } != .agree
    }
    let text =
      written.isEmpty
      ? texts.lazy.compactMap { self.output(of: $0) }.first { !$0.isEmpty } : written
    guard let text = text ?? (task.expansion == nil ? nil : "") else { return nil }
    var report = standIn(text, for: index)
    report.contractMet = task.contract == .text
    return report
  }

  /// Whether the client has part of the task's output, so that nothing can replace it.
  func isOut(_ index: Int) -> Bool {
    isStreaming(index) && !order.isWhole
      && (!tasks[index].text.isEmpty || tasks[index].hasStructure)
  }

  /// Drops the output of the sink, of which the client has nothing.
  mutating func takeBack(_ index: Int) {
    guard isStreaming(index) else { return }
    tasks[index].text = ""
    tasks[index].hasStructure = false
  }

  /// Handles the plan's deadline.
  /// Before the answer has begun, a draft replaces it. After its beginning, the plan fails.
  mutating func planDeadlinePassed(now: Instant) {
    let open = tasks.indices.filter { !tasks[$0].phase.isSettled }.map { task($0).id.name }
    let over =
      "not done after \(plan.deadline.wholeMilliseconds) ms; still open: "
      + "\(open.prefix(8).joined(separator: ", "))"
    let sink = graph.sink
    guard !isOut(sink), let text = answer(withoutWaitingFor: sink) else {
      return fail(Failure(.deadlineExceeded, "The plan was \(over)."))
    }
    spendUnreported(sink)
    stop(sink)
    takeBack(sink)
    // Nothing follows any more, so this text is the answer.
    disarm(sink)
    plan.tasks[sink].expansion = nil
    tasks[sink].phase = .waiting
    tasks[sink].shortcoming = "the plan was \(over); the outputs so far stand in for the answer"
    emitRest(of: text)
    complete(sink, standIn(text, for: sink), now: now)
    advance(now: now)
  }

  /// Report of a substitute output, with the cost of the task's failed attempts.
  private func standIn(_ text: String, for index: Int) -> TaskReport {
    var report = cost(of: index) ?? .mechanical(text)
    report.output = text
    report.finishReason = "stop"
    return report
  }

  /// Best available answer if the plan stops waiting for this task.
  /// `nil` means that no text answers the question. A task hands on a draft that it reads if its
  /// failure rule is `degrade`, or if it only chooses among its inputs. Notes and parts of an
  /// answer are not drafts of it.
  func answer(withoutWaitingFor index: Int) -> String? {
    var seen: Set<Int> = []
    return answer(withoutWaitingFor: index, seen: &seen)
  }

  private func answer(withoutWaitingFor index: Int, seen: inout Set<Int>) -> String? {
    guard seen.insert(index).inserted else { return nil }
    let task = task(index)
    switch tasks[index].phase {
    case .skipped: return nil
    case .done(let report), .expanding(let report):
      // JSON and agreement reports are for programs; their inputs may be readable.
      if task.contract == .text, task.merge != .agree, !report.output.isEmpty {
        return report.output
      }
    case .waiting, .running, .pausing: break
    }
    guard hasQuorum(index) else { return nil }
    switch task.merge {
    case .vote: return mechanicalText(of: index, waiting: false)
    case .concatenate, .none: return nil
    case .replace: return firstAnswer(among: task.inputs.reversed(), seen: &seen)
    case .agree: return firstAnswer(among: task.inputs, seen: &seen)
    case .summarise, .synthesise:
      guard task.onFailure == .degrade else { return nil }
      return firstAnswer(among: task.inputs, seen: &seen)
    }
  }

  /// Whether the inputs that succeeded meet the task's quorum. Always true without a quorum.
  private func hasQuorum(_ index: Int) -> Bool {
    let task = task(index)
    return task.inputs.count { output(of: $0) != nil } >= task.quorum ?? 0
  }

  private func firstAnswer(among edges: [Edge], seen: inout Set<Int>) -> String? {
    for edge in edges {
      guard let source = graph.indices[edge.from] else { continue }
      if let text = answer(withoutWaitingFor: source, seen: &seen) { return text }
    }
    return nil
  }
}
