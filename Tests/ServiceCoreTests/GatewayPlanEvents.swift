import ClusterModel

extension Plan {
  /// Two drafts and an answer that reads both.
  static let twoDrafts = Plan(
    id: "plan-1", pattern: "tutti/ensemble",
    tasks: [
      PlanTask(id: "p1", role: .research), PlanTask(id: "p2", role: .creative, onFailure: .skip),
      PlanTask(
        id: "s", role: .coordinator,
        inputs: [Edge(from: "p1", name: "Draft 1"), Edge(from: "p2", name: "Draft 2")],
        merge: .synthesise, quorum: 1),
    ], sink: "s", seed: 7, deadline: .seconds(60), reason: "it was asked for")
}

func report(_ host: String, _ tokens: Int, output: String = "x") -> TaskReport {
  TaskReport(
    host: HostID(host), model: "m", usage: Usage(promptTokens: 10, completionTokens: tokens),
    firstTokenMilliseconds: 3, totalMilliseconds: 9, finishReason: "stop", output: output)
}

func ended(
  _ task: TaskID, _ role: AgentRole = .research, _ status: TaskStatus = .done,
  reason: String = "", report: TaskReport? = nil
) -> PlanEvent {
  .ended(
    TaskEnded(
      task: task, role: role, agent: "agent-\(role.rawValue)", status: status, reason: reason,
      report: report))
}

func started(_ task: TaskID, _ role: AgentRole = .research, attempt: Int = 1) -> PlanEvent {
  .started(task: task, role: role, agent: "agent-\(role.rawValue)", attempt: attempt)
}
