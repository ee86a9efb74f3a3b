public import ClusterModel

/// One try of a task, by one agent. What a lost agent still says belongs to an earlier try and is
/// ignored.
public struct Attempt: Hashable, Sendable, CustomStringConvertible {
  public var task: TaskID
  /// From 1.
  public var number: Int

  public init(_ task: TaskID, _ number: Int) {
    self.task = task
    self.number = number
  }

  public var description: String { "\(task)/\(number)" }
}

/// What happens to a plan.
public enum PlanRunEvent: Equatable, Sendable {
  case start
  /// The attempt was given to this agent.
  case assigned(Attempt, agent: PeerID)
  /// Nobody with the task's role is there to take it.
  case noAgent(Attempt)
  case began(Attempt, TaskBegan)
  case delta(Attempt, TaskDelta)
  case finished(Attempt, TaskReport)
  case failed(Attempt, Failure)
  /// What the planner says shall follow from a task's output.
  case expanded(TaskID, SubPlan)
  /// No planner could say it.
  case expansionFailed(TaskID, Failure)
  case fired(PlanTimer)
  /// Nobody wants the answer any more.
  case cancelled
  /// The process cannot go on with the plan.
  case stopped(Failure)
}

/// A timer of one plan. Arming one that is armed moves it.
public enum PlanTimer: Hashable, Sendable {
  case plan
  /// A task's own deadline.
  case deadline(TaskID)
  /// Time to look for an agent again.
  case retry(TaskID)
  /// How long the planner may take to say what follows from a task.
  case expansion(TaskID)
}

/// What the shell shall do.
public enum PlanRunDirective: Equatable, Sendable {
  case start(TaskStart)
  /// Ends with no event, or with late ones, which are ignored.
  case cancel(Attempt)
  /// Ask the planner what follows; it ends with `expanded` or `expansionFailed`.
  case expand(ExpandRequest)
  /// Nobody waits for that any more. Ends with no event, or with late ones, which are ignored.
  case cancelExpansion(TaskID)
  case emit(PlanEvent)
  case arm(PlanTimer, at: Instant)
  case disarm(PlanTimer)
  /// The plan is over. Exactly one of these two comes, as the last directive of all.
  case finish(PlanFinished)
  case fail(Failure)
}

public struct TaskStart: Equatable, Sendable {
  public var attempt: Attempt
  public var role: AgentRole
  public var order: TaskOrder
  /// Agents that lost or refused this task before, to be avoided where there is another.
  public var avoiding: [PeerID]
  /// What is left of the task's time.
  public var remaining: Duration

  public init(
    attempt: Attempt, role: AgentRole, order: TaskOrder, avoiding: [PeerID], remaining: Duration
  ) {
    self.attempt = attempt
    self.role = role
    self.order = order
    self.avoiding = avoiding
    self.remaining = remaining
  }
}
