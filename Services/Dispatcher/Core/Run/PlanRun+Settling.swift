import ClusterModel
import Limits
import Text

extension PlanRun {
  /// Completes a task with its own output or a substitute.
  /// If the task expands, the planner is asked for the expansion before any reader starts.
  mutating func complete(_ index: Int, _ report: TaskReport, now: Instant) {
    disarm(index)
    budget.release(index)
    guard board.task(index).expansion != nil else { return settle(index, report: report) }
    expand(index, report, now: now)
  }

  mutating func settle(_ index: Int, report: TaskReport) {
    let id = board.task(index).id
    if requiresCall, board.isStreaming(index), board.task(index).merge.isMechanical {
      return fail(Self.lacksCall("no model writes the answer"))
    }
    if board.isStreaming(index), !isWithAgent(index), !emitRest(of: report.output) {
      return fail(
        Failure(
          .upstreamFailed,
          "The answer made from the rest of the plan does not continue the text that the client "
            + "already has; ask again."))
    }
    board.finish(index, report)
    budget.recordEnd(of: index, named: id, report.usage)
    // An earlier dispatcher has already reported this end.
    guard order.finished[id] == nil else { return }
    var reasons: [String] = []
    let missing = board.missingInputs(of: index)
    if !missing.isEmpty { reasons.append("it ran without \(missing.joined(separator: ", "))") }
    let shortcoming = board.shortcoming(of: index)
    if !shortcoming.isEmpty {
      reasons.append(shortcoming)
    } else if let echo = board.echo(in: report.output, of: index) {
      reasons.append(echo)
    }
    emitEnd(
      index, reasons.isEmpty ? .done : .degraded,
      reason: reasons.joined(separator: "; ").cut(toBytes: limits.reasonBytes), report: report)
  }

  /// Whether an agent runs the task. The output of a streaming task was emitted while the agent
  /// sent it, and must not be emitted again.
  private func isWithAgent(_ index: Int) -> Bool {
    guard case .running = board.phase(index) else { return false }
    return true
  }

  mutating func emitEnd(
    _ index: Int, _ status: TaskStatus, reason: String, report: TaskReport? = nil
  ) {
    let task = board.task(index)
    directives.append(
      .emit(
        .ended(
          TaskEnded(
            task: task.id, role: task.role, agent: attempts[index]?.agent ?? "",
            status: status, reason: reason, report: report,
            textOf: status == .degraded ? board.textOf(index) : nil))))
  }

  /// Emits the part of the answer that the client does not have yet.
  /// - Returns: false if `answer` does not begin with the text that the client has.
  @discardableResult
  mutating func emitRest(of answer: String) -> Bool {
    guard let rest = self.answer.extend(to: answer, pieceBytes: limits.deltaBytes) else {
      return false
    }
    for piece in rest { directives.append(.emit(.delta(TaskDelta(text: piece)))) }
    return true
  }

  // MARK: - Failing

  /// Applies the failure rule of a task that has failed for good.
  /// `advance` then finds the tasks that cannot run without it.
  mutating func abandon(_ index: Int, _ failure: Failure, now: Instant) {
    let task = board.task(index)
    let message = failure.message.isEmpty ? failure.code.rawValue : failure.message
    let reason = message.cut(toBytes: limits.reasonBytes)
    chargeUnreported(index)
    if task.onFailure == .degrade, !hasReachedClient(index), mayReplaceOutput(of: index),
      let (text, report) = substitute(for: index)
    {
      noteStandIn(text, of: index, because: reason)
      if board.isStreaming(index) {
        answer.discard()
        emitRest(of: report.output)
      }
      return complete(index, report, now: now)
    }
    disarm(index)
    board.skip(index, failure)
    let isFatal = task.onFailure == .fail || index == board.sink
    emitEnd(index, isFatal ? .failed : .skipped, reason: reason, report: budget.cost(of: index))
    guard isFatal else { return }
    fail(
      Failure(
        failure.code, "Task \"\(task.id)\" (\(task.role.rawValue)) failed: \(reason)",
        retryAfter: failure.retryAfter, param: failure.param))
  }

  // MARK: - Substitutes

  /// Whether the client has part of the task's output, so that nothing can replace it.
  private func hasReachedClient(_ index: Int) -> Bool {
    board.isStreaming(index) && !order.isWhole && !answer.isEmpty
  }

  /// Whether another text may replace the task's output. No text replaces an answer that must call
  /// a tool.
  private func mayReplaceOutput(of index: Int) -> Bool {
    !(requiresCall && board.isStreaming(index))
  }

  static func lacksCall(_ reason: String) -> Failure {
    Failure(
      .upstreamFailed,
      "The answer has no tool call, which tool_choice requires: \(reason).", param: "tool_choice")
  }

  /// The output that a failed task passes on, and its report. `nil` means that it has no such
  /// output.
  private func substitute(for index: Int) -> (text: StandIn.Substitute, report: TaskReport)? {
    let partial = attempts[index]?.partial.text ?? ""
    guard let text = StandIn.output(of: index, partial: partial, on: board) else { return nil }
    var report = standIn(text.text, for: index)
    report.contractMet = board.task(index).contract == .text
    return (text, report)
  }

  /// Notes why another text replaces the task's output, and which task wrote it.
  mutating func noteStandIn(_ text: StandIn.Substitute, of index: Int, because reason: String) {
    board.setTextOf(text.source, of: index)
    guard let source = text.source else { return board.setShortcoming(reason, of: index) }
    var origin = "; the text is \(source.name)'s"
    if let report = board.index(of: source).flatMap({ board.phase($0).report }),
      !report.host.name.isEmpty
    {
      origin += " (\(report.host.name), \(report.model.name))"
    }
    // Keeps room for the origin, which readers of the reason need most.
    let most = max(0, limits.reasonBytes - origin.utf8.count)
    board.setShortcoming(reason.cut(toBytes: most) + origin, of: index)
  }

  /// Report of a substitute output, with the cost of the task's failed attempts.
  ///
  /// Drafts may be longer than the client allows, so a substitute for the answer is cut.
  private func standIn(_ text: String, for index: Int) -> TaskReport {
    var report = budget.cost(of: index) ?? .mechanical(text)
    report.output = text
    report.finishReason = "stop"
    if index == board.sink, board.task(index).expansion == nil,
      let tokens = order.request?.maxTokens
    {
      report.output = text.cut(toBytes: tokens.multipliedCapped(by: TokenEstimate.bytesPerToken))
      if report.output.utf8.count < text.utf8.count { report.finishReason = "length" }
    }
    return report
  }

  /// Handles the plan's deadline.
  /// If the client has no part of the answer yet and there is a stand-in, the stand-in becomes the
  /// answer. Otherwise the plan fails.
  mutating func planDeadlinePassed(now: Instant) {
    let open = board.indices.filter { !board.phase($0).isSettled }.prefix(8)
    let names = open.map { board.task($0).id.name }.joined(separator: ", ")
    let over = "not done after \(plan.deadline.wholeMilliseconds) ms; still open: \(names)"
    let sink = board.sink
    guard !hasReachedClient(sink), !requiresCall,
      let text = StandIn.answer(withoutWaitingFor: sink, on: board)
    else {
      return fail(Failure(.deadlineExceeded, "The plan was \(over)."))
    }
    chargeUnreported(sink)
    stop(sink)
    if board.isStreaming(sink) { answer.discard() }
    // The sink does not expand any more, so this text is the answer.
    disarm(sink)
    board.dropExpansion(of: sink)
    board.reset(sink)
    noteStandIn(text, of: sink, because: "the plan was \(over)")
    let report = standIn(text.text, for: sink)
    emitRest(of: report.output)
    complete(sink, report, now: now)
    advance(now: now)
  }
}
