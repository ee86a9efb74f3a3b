import Text

/// Bounds of a plan's run.
public struct PlanRunLimits: Equatable, Sendable {
  public static let standard = PlanRunLimits()

  /// Maximum attempts at one task. An attempt is repeated only after a lost or overloaded agent or
  /// busy hosts, because `infer()` retries hosts. A task that loses three agents probably causes
  /// the losses.
  public var attempts = 3
  /// Maximum wait for an agent of the task's role. A supervisor restarts an agent within a second
  /// or two.
  var agentWait = Duration.seconds(10)
  /// Interval between searches for an agent.
  var seekInterval = Duration.milliseconds(200)
  /// Delay after the loss of an agent, multiplied by the number of attempts so far.
  /// The peer table needs a moment to drop the lost agent.
  public var lostDelay = Duration.milliseconds(50)
  /// Delay after an overloaded agent or busy hosts, multiplied by the number of attempts so far.
  /// Used if the failure names no delay.
  var overloadDelay = Duration.milliseconds(250)
  /// Maximum delay after an overloaded agent or busy hosts.
  var longestDelay = Duration.seconds(2)
  /// Maximum time for the planner to expand a task.
  /// Planners need milliseconds. If a planner is lost, another planner is asked.
  public var expansionWait = Duration.seconds(5)
  /// Maximum estimated tokens of each input of a task, which correspond to 64 KiB. 16 inputs are 1
  /// MiB of prompt, more than the context of most models. One agent's endless output must not fill
  /// the memory of sixteen readers.
  var inputTokens = 16 * 1024
  /// Minimum completion tokens of a grant, unless the task is the sink or has a lower limit. A
  /// shorter output is hardly worth a request.
  var leastTokens = TokenEstimate.leastTokens
  /// Expected completion tokens of a task without a limit, used to share a budget.
  public var expectedTokens = 512
  /// Prompt tokens that every call needs in addition to the task's own.
  public var callTokens = TokenEstimate.callTokens
  /// Tokens that explain fences, once per prompt with foreign texts.
  public var fenceTokens = Fence.explanationTokens
  /// Tokens of the fence around each foreign text.
  public var fencedTextTokens = Fence.tokensAround
  /// Maximum bytes of partial output that is kept in case the agent is lost. The limit is higher
  /// than the longest answer of any model we know.
  var keptBytes = 1024 * 1024
  /// Maximum bytes of a delta that the dispatcher itself makes.
  var deltaBytes = 16 * 1024
  /// Maximum bytes of a reason in events.
  var reasonBytes = 1024

  init() {}
}
