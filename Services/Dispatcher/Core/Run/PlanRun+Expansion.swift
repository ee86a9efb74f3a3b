import ClusterModel

extension PlanRun {
  /// Asks the planner for the tasks that follow from the output of a task.
  mutating func expand(_ index: Int, _ report: TaskReport, now: Instant) {
    let id = board.task(index).id
    guard let request = order.request else {
      return giveUpExpansion(
        index, report,
        "it was not expanded, because the order holds no plan request", now: now)
    }
    board.expand(index, report)
    directives.append(.arm(.expansion(id), at: now.advanced(by: limits.expansionWait)))
    directives.append(
      .expand(
        ExpandRequest(
          plan: plan, task: id,
          output: MechanicalMerge.prepared(report.output, toTokens: limits.inputTokens),
          inputs: board.namedInputs(of: index, toTokens: limits.inputTokens), request: request)))
  }

  /// Expands finished tasks whose expansion was lost with an earlier dispatcher.
  /// If a reader has already used the unexpanded output, the task does not expand any more.
  mutating func resumeExpansions(now: Instant) {
    for index in board.indices where board.task(index).expansion != nil {
      guard case .done(let report) = board.phase(index) else { continue }
      if board.readers(of: index).contains(where: { board.phase($0).isSettled }) {
        board.dropExpansion(of: index)
      } else {
        expand(index, report, now: now)
      }
    }
  }

  mutating func expanded(_ id: TaskID, _ sub: SubPlan, now: Instant) {
    guard let index = board.index(of: id), case .expanding(let report) = board.phase(index) else {
      return
    }
    disarm(index)
    do throws(InvalidPlan) {
      board.adopt(try plan.splicing(sub, at: id))
      settle(index, report: report)
      if isRunning { directives.append(.emit(.expanded(task: id, sub))) }
    } catch {
      let place = error.task.map { "task \"\($0)\": " } ?? ""
      giveUpExpansion(
        index, report, "the planner's sub-plan for it was refused: \(place)\(error.message)",
        now: now)
    }
    advance(now: now)
  }

  mutating func expansionFailed(_ id: TaskID, _ failure: Failure, now: Instant) {
    guard let index = board.index(of: id), case .expanding(let report) = board.phase(index) else {
      return
    }
    giveUpExpansion(index, report, "it was not expanded, because \(failure.message)", now: now)
    advance(now: now)
  }

  /// Ends a task without its expansion, so that its own output stands. If the task has an output
  /// contract or only compares its inputs, its output is no answer. The best available answer then
  /// replaces the output. If there is none, the task fails.
  private mutating func giveUpExpansion(
    _ index: Int, _ report: TaskReport, _ reason: String, now: Instant
  ) {
    disarm(index)
    board.dropExpansion(of: index)
    let earlier = board.shortcoming(of: index)
    board.setShortcoming(earlier.isEmpty ? reason : "\(earlier); \(reason)", of: index)
    if requiresCall, index == board.sink {
      attempts[index]?.discardPartial()
      return abandon(index, Self.lacksCall(board.shortcoming(of: index)), now: now)
    }
    var report = report
    let task = board.task(index)
    if task.contract != .text || task.merge == .agree {
      guard let text = StandIn.answer(withoutWaitingFor: index, on: board) else {
        attempts[index]?.discardPartial()
        return abandon(
          index, Failure(.upstreamFailed, board.shortcoming(of: index)), now: now)
      }
      report.output = text.text
      noteStandIn(text, of: index, because: board.shortcoming(of: index))
    }
    settle(index, report: report)
  }
}
