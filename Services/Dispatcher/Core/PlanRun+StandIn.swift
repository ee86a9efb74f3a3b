import ClusterModel

/// What stands in for an output that could not be made.
extension PlanRun {
  /// What the task hands on although it failed: what it wrote so far, else its first input. nil:
  /// there is neither. One that expands hands on an empty output, from which the planner makes what
  /// it can.
  func substitute(for index: Int) -> TaskReport? {
    let task = task(index)
    // A beginning of the answer is worth less than a draft of all of it.
    let written = isStreaming(index) ? "" : tasks[index].text
    // Whoever named a quorum does not want what fewer of them say.
    guard !written.isEmpty || task.expansion != nil || hasQuorum(index) else { return nil }
    // How far texts agree is no text.
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

  /// Whether the client has some of what the task wrote, so that nothing can stand in for the rest.
  func isOut(_ index: Int) -> Bool {
    isStreaming(index) && !order.isWhole
      && (!tasks[index].text.isEmpty || tasks[index].hasStructure)
  }

  /// Drops what was written of the answer, of which the client has nothing.
  mutating func takeBack(_ index: Int) {
    guard isStreaming(index) else { return }
    tasks[index].text = ""
    tasks[index].hasStructure = false
  }

  /// The plan's time is over. Before the answer has begun, a draft of it is better than none; behind
  /// its beginning nothing can stand in for the rest.
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
    // Nothing follows any more, so this is the answer.
    disarm(sink)
    plan.tasks[sink].expansion = nil
    tasks[sink].phase = .waiting
    tasks[sink].shortcoming = "the plan was \(over); what was there stands in for the answer"
    emitRest(of: text)
    complete(sink, standIn(text, for: sink), now: now)
    advance(now: now)
  }

  /// Whoever wrote something else in vain has its cost.
  private func standIn(_ text: String, for index: Int) -> TaskReport {
    var report = cost(of: index) ?? .mechanical(text)
    report.output = text
    report.finishReason = "stop"
    return report
  }

  /// The best that there is of the answer when nobody waits for this task any more; nil: nothing that
  /// answers the question. A task hands on a draft that it reads where its plan says so (`degrade`),
  /// or where it only chooses among what it reads. Notes and parts of an answer are no drafts of it.
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
      // JSON, and how far texts agree, are for programs; what they were made from is not.
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

  /// Whether as many inputs are there as the plan names; where it names no number, one may do.
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
