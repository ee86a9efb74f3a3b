public import ClusterModel

/// One try of a task, by one agent.
/// Late messages of a lost agent belong to an earlier attempt and are ignored.
public struct Attempt: Hashable, Sendable, CustomStringConvertible {
  public var task: TaskID
  /// Starts at 1.
  public var number: Int

  public init(_ task: TaskID, _ number: Int) {
    self.task = task
    self.number = number
  }

  public var description: String { "\(task)/\(number)" }
}

/// An event that a `PlanRun` handles.
public enum PlanRunEvent: Equatable, Sendable {
  case start
  /// The attempt was given to this agent.
  case assigned(Attempt, agent: PeerID)
  /// No agent with the task's role is live.
  case noAgent(Attempt)
  case began(Attempt, TaskBegan)
  case delta(Attempt, TaskDelta)
  case finished(Attempt, TaskReport)
  case failed(Attempt, Failure)
  /// The planner returned the tasks that follow from a task's output.
  case expanded(TaskID, SubPlan)
  /// No planner returned an expansion.
  case expansionFailed(TaskID, Failure)
  case fired(PlanTimer)
  /// The client no longer wants the answer.
  case cancelled
  /// The process cannot continue the plan.
  case stopped(Failure)
}

/// A timer of one plan. Arming an armed timer moves it.
public enum PlanTimer: Hashable, Sendable {
  case plan
  /// A task's own deadline.
  case deadline(TaskID)
  /// Time for the next attempt, or the next search for an agent.
  case retry(TaskID)
  /// Time limit for the planner's expansion of a task.
  case expansion(TaskID)
}

/// An action for the shell to carry out.
public enum PlanRunDirective: Equatable, Sendable {
  case start(TaskStart)
  /// Stops an attempt. Its late events are ignored.
  case cancel(Attempt)
  /// Asks the planner to expand a task; `expanded` or `expansionFailed` follows.
  case expand(ExpandRequest)
  /// Stops waiting for an expansion. Its late events are ignored.
  case cancelExpansion(TaskID)
  case emit(PlanEvent)
  case arm(PlanTimer, at: Instant)
  case disarm(PlanTimer)
  /// The plan is over. The last directive of a plan is exactly one `finish` or `fail`.
  case finish(PlanFinished)
  case fail(Failure)
}

public struct TaskStart: Equatable, Sendable {
  public var attempt: Attempt
  public var role: AgentRole
  public var order: TaskOrder
  /// Agents that lost or refused this task, avoided if another agent is live.
  public var avoiding: [PeerID]
  /// Time that is left for the task.
  public var remaining: Duration

  init(
    attempt: Attempt, role: AgentRole, order: TaskOrder, avoiding: [PeerID], remaining: Duration
  ) {
    self.attempt = attempt
    self.role = role
    self.order = order
    self.avoiding = avoiding
    self.remaining = remaining
  }
}
