import Text

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
  /// How long planners may take to say what follows from a task: they compute it within
  /// milliseconds, and another one is asked when one dies.
  public var expansionWait = Duration.seconds(5)
  /// Of each input that a task reads, as estimated from its bytes: 64 KiB. 16 of them are 1 MiB of
  /// prompt, beyond any context we know; one agent's endless output must not become sixteen
  /// readers' memory.
  public var inputTokens = 16 * 1024
  /// The least that an answer is worth asking for, where a budget leaves no more.
  public var leastTokens = 16
  /// What a task without a limit of its own is expected to write, where a budget has to be shared.
  public var expectedTokens = 512
  /// What a prompt has beside what the task is told: the role's own words, and what the model's chat
  /// template puts around them. 20 tokens each with the models that were looked at, and some room.
  public var callTokens = 48
  /// Once in a prompt with texts of others, and around each of them.
  public var fenceTokens = Fence.explanationTokens
  public var fencedTextTokens = Fence.tokensAround
  /// Of the documents that a task reads, as many as an agent gives a model.
  public var materialTokens = 6_000
  /// Of what a task has written so far, kept in case its agent is lost: eight times as much as any
  /// model we know writes in one answer.
  public var keptBytes = 1024 * 1024
  /// Of a piece of an answer that the dispatcher itself makes.
  public var deltaBytes = 16 * 1024
  /// Of a reason that goes into events.
  public var reasonBytes = 1024

  public init() {}
}
