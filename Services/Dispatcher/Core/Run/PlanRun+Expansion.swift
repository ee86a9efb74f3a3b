import ClusterModel
import Text

extension PlanRun {
  /// Asks the planner for the tasks that follow from the output of a task.
  mutating func expand(_ index: Int, _ report: TaskReport, now: Instant) {
    let task = task(index)
    guard let request = order.request else {
      return giveUpExpansion(
        index, report,
        "it was not expanded, because the order holds no plan request", now: now)
    }
    tasks[index].phase = .expanding(report)
    directives.append(
      .arm(.expansion(task.id), at: now.advanced(by: limits.expansionWait)))
    directives.append(
      .expand(
        ExpandRequest(
          plan: plan, task: task.id,
          output: MechanicalMerge.prepared(report.output, toTokens: limits.inputTokens),
          inputs: expandInputs(of: task), request: request)))
  }

  /// Expands finished tasks whose expansion was lost with an earlier dispatcher.
  /// If a reader has already used the output as it was, the task does not expand any more.
  mutating func expandWhatWasFinished(now: Instant) {
    for index in tasks.indices where task(index).expansion != nil {
      guard case .done(let report) = tasks[index].phase else { continue }
      let isRead = graph.readers[index].contains { tasks[$0].phase.isSettled }
      if isRead {
        plan.tasks[index].expansion = nil
      } else {
        expand(index, report, now: now)
      }
    }
  }

  mutating func expanded(_ id: TaskID, _ sub: SubPlan, now: Instant) {
    guard let index = graph.indices[id], case .expanding(let report) = tasks[index].phase else {
      return
    }
    disarm(index)
    do throws(InvalidPlan) {
      let grown = try plan.splicing(sub, at: id)
      adopt(grown)
      settle(index, report: report)
      if state == .running { directives.append(.emit(.expanded(task: id, sub))) }
    } catch {
      let place = error.task.map { "task \"\($0)\": " } ?? ""
      giveUpExpansion(
        index, report, "the planner's sub-plan for it was refused: \(place)\(error.message)",
        now: now)
    }
    advance(now: now)
  }

  mutating func expansionFailed(_ id: TaskID, _ failure: Failure, now: Instant) {
    guard let index = graph.indices[id], case .expanding(let report) = tasks[index].phase else {
      return
    }
    giveUpExpansion(index, report, "it was not expanded, because \(failure.message)", now: now)
    advance(now: now)
  }

  /// Ends a task without its expansion; its own output stands.
  /// An output for a program is replaced by the best available answer. Without one, the task fails.
  private mutating func giveUpExpansion(
    _ index: Int, _ report: TaskReport, _ reason: String, now: Instant
  ) {
    disarm(index)
    plan.tasks[index].expansion = nil
    let earlier = tasks[index].shortcoming
    tasks[index].shortcoming = earlier.isEmpty ? reason : "\(earlier); \(reason)"
    var report = report
    if task(index).contract != .text || task(index).merge == .agree {
      guard let text = answer(withoutWaitingFor: index) else {
        tasks[index].text = ""
        return abandon(index, Failure(.upstreamFailed, tasks[index].shortcoming), now: now)
      }
      report.output = text
    }
    settle(index, report: report)
  }

  /// Replaces the plan. New tasks are appended, so existing indices stay valid.
  private mutating func adopt(_ grown: Plan) {
    let said = tasks[graph.sink].text
    let added = grown.tasks.count - plan.tasks.count
    tasks += [TaskState](repeating: TaskState(), count: added)
    plan = grown
    let before = graph.sink
    graph = PlanGraph(plan)
    if graph.sink != before {
      tasks[before].text = ""
      tasks[graph.sink].text = said
    }
    prepareOutputs()
  }
}
