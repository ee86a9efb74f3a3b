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
  case fired(PlanTimer)
  /// Nobody wants the answer any more.
  case cancelled
}

/// A timer of one plan. Arming one that is armed moves it.
public enum PlanTimer: Hashable, Sendable {
  case plan
  /// A task's own deadline.
  case deadline(TaskID)
  /// Time to look for an agent again.
  case retry(TaskID)
}

/// What the shell shall do.
public enum PlanRunDirective: Equatable, Sendable {
  case start(TaskStart)
  /// Ends with no event, or with late ones, which are ignored.
  case cancel(Attempt)
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

/// Bounds of a plan's run.
public struct PlanRunLimits: Equatable, Sendable {
  public static let standard = PlanRunLimits()

  /// Agents that may be tried for one task. Hosts are retried by the agent's own `infer()`, so
  /// this counts lost and overloaded agents only; a task that loses three is likely what kills
  /// them.
  public var attempts = 3
  /// How long a task waits for an agent of its role to appear: a supervisor restarts one within
  /// a second or two.
  public var agentWait = Duration.seconds(10)
  /// How often it looks meanwhile.
  public var seekInterval = Duration.milliseconds(200)
  /// Before another agent gets the task of a lost one, times the attempts so far: the table needs
  /// a moment to forget the dead.
  public var lostDelay = Duration.milliseconds(50)
  /// The same after an overloaded one, unless it says for how long.
  public var overloadDelay = Duration.milliseconds(250)
  /// The longest wait that an overloaded agent can impose.
  public var longestDelay = Duration.seconds(2)
  /// Of each input that a task reads, as estimated from its bytes: 64 KiB. 16 of them are 1 MiB of
  /// prompt, beyond any context we know; one agent's endless output must not become sixteen
  /// readers' memory.
  public var inputTokens = 16 * 1024
  /// Of a reason that goes into events.
  public var reasonBytes = 1024

  public init() {}
}
