public import ClusterModel
import Limits
import Text

/// Runs one plan as a state machine: events in, directives out.
///
/// A task starts at an agent after all its inputs are settled. The run itself computes mechanical
/// tasks. If a task fails for good, its failure rule decides: the plan fails, the task is skipped,
/// or the task passes on a substitute. The readers of a skipped task run without it if their quorum
/// is met. If a task expands, the planner makes new tasks from its output, and they become part of
/// the plan.
///
/// A task is retried here only if its agent was lost or overloaded, or if the hosts were busy,
/// because `infer()` already retries hosts. If the agent of a streaming sink is lost, the next
/// agent resumes from the text that the client has.
///
/// A run knows no pattern name, agent address, socket or clock. A shell drives it:
///
/// 1. Create it with `init(order:limits:)`, which refuses an invalid plan.
/// 2. Call `handle(_:now:)` with `.start`, exactly once and before every other event. Only
///    `.cancelled` and `.stopped` may come earlier; they end the run.
/// 3. Carry out the returned directives in their order, before the next call of `handle(_:now:)`.
///    Each directive leads to later events:
///    - `.start`: `.assigned` when an agent has the task, then perhaps `.began` and any number of
///      `.delta`, and one `.finished` or `.failed`. If no agent is live, only `.noAgent`.
///    - `.expand`: one `.expanded` or `.expansionFailed`.
///    - `.arm`: `.fired` at the given time, unless the timer is disarmed or moved before.
///    - `.cancel`, `.cancelExpansion`, `.disarm`, `.emit`: none. Events that are already on their
///      way may still be passed in; the run ignores them.
/// 4. Call `handle(_:now:)` with `.cancelled` if the client leaves, and with `.stopped` if the
///    process cannot continue the plan.
/// 5. Stop after `.finish` or `.fail`. One of them is the last directive of every run. After it,
///    `isOver` is true, all attempts are cancelled and all timers disarmed.
///
/// Times may not decrease from call to call. A run is a value without a lock; calls must not
/// overlap. Between calls, `keptBytes` is the memory to charge, `plan` is the plan with its
/// expansions, and `mergeFacts(of:)` describes a vote that has ended. After the end, `costs` has the
/// tokens of all tasks.
public struct PlanRun: Sendable {
  public let order: PlanOrder
  let limits: PlanRunLimits
  /// Whether the client requires a tool call. No text replaces an answer that should have one.
  let requiresCall: Bool
  var board: TaskBoard
  var budget: PlanBudget
  var answer: SinkText
  /// By index of the task.
  var attempts: [Int: TaskAttempts] = [:]
  /// Bytes of all prompts sent to agents.
  var promptBytes = 0
  /// Directives of the event that is being handled.
  var directives: [PlanRunDirective] = []
  private(set) var planDeadline = Instant.zero
  private var state = State.idle

  private enum State: Equatable, Sendable {
    /// Not started. Can become `running`, or `over` if it is cancelled or stopped first.
    case idle
    /// Can become `over`.
    case running
    /// Finished, failed, cancelled or stopped; every later event is ignored.
    case over
  }

  /// - Throws: the rule that the plan breaks.
  public init(order: PlanOrder, limits: PlanRunLimits = .standard) throws(InvalidPlan) {
    try PlanValidation.validate(order.plan)
    self.order = order
    self.limits = limits
    requiresCall = ToolContract.isRequired { name in
      order.conversation.parameters.first { $0.name == name }?.json
    }
    board = TaskBoard(order.plan, inputTokens: limits.inputTokens)
    budget = PlanBudget(tokens: order.request?.budgetTokens, limits: limits)
    answer = SinkText(prefix: order.sinkPrefix)
    for (id, report) in order.finished {
      guard let index = board.index(of: id) else {
        throw InvalidPlan(
          .unknownOutput, task: id, "it is listed as finished but is not in the plan")
      }
      board.finish(index, report)
      budget.recordEarlier(report, of: index)
    }
    for (id, skipped) in order.skipped {
      guard let index = board.index(of: id), case .waiting = board.phase(index) else { continue }
      board.skip(index, Failure(.upstreamFailed, skipped.reason))
      budget.recordEarlier(skipped.usage)
    }
  }

  /// The current plan, which grows with expansions.
  public var plan: Plan { board.plan }

  public var isOver: Bool { state == .over }

  var isRunning: Bool { state == .running }

  /// Bytes of the plan's order, of its tasks' states and of all task outputs.
  public var keptBytes: Int { order.keptBytes.addingCapped(outputBytes) }

  /// Bytes that the next output may have.
  var outputRoom: Int { max(0, Limits.planOutputBytes.value - outputBytes) }

  private var outputBytes: Int {
    attempts.values.reduce(board.outputBytes + answer.text.utf8.count) {
      $0 + $1.partial.text.utf8.count
    }
  }

  // MARK: - Events

  /// Returns the directives that follow from `event`, in order. Late events lead to none.
  /// - Parameter now: the time of the event, never before that of an earlier one.
  public mutating func handle(_ event: PlanRunEvent, now: Instant) -> [PlanRunDirective] {
    directives = []
    switch state {
    case .over: break
    case .idle: handleFirst(event, now: now)
    case .running: handleRunning(event, now: now)
    }
    defer { directives = [] }
    return directives
  }

  private mutating func handleFirst(_ event: PlanRunEvent, now: Instant) {
    switch event {
    case .start:
      state = .running
      planDeadline = now.advanced(by: plan.deadline)
      directives.append(.arm(.plan, at: planDeadline))
      resumeExpansions(now: now)
      if case .done(let report) = board.phase(board.sink) { emitRest(of: report.output) }
      advance(now: now)
    case .cancelled:
      fail(Failure(.cancelled, "The request was cancelled."))
    case .stopped(let failure): fail(failure)
    case .assigned, .noAgent, .began, .delta, .finished, .failed, .expanded, .expansionFailed,
      .fired:
      preconditionFailure("\(event) before the plan was started")
    }
  }

  private mutating func handleRunning(_ event: PlanRunEvent, now: Instant) {
    switch event {
    case .start: preconditionFailure("a plan was started twice")
    case .assigned(let attempt, let agent): assign(attempt, to: agent)
    case .noAgent(let attempt):
      guard let index = running(attempt) else { break }
      searchAgain(index, now: now)
      advance(now: now)
    case .began(let attempt, let began): recordFirstToken(attempt, began)
    case .delta(let attempt, let delta): recordDelta(attempt, delta)
    case .finished(let attempt, let report):
      guard let index = running(attempt) else { break }
      attemptFinished(index, report, now: now)
      advance(now: now)
    case .failed(let attempt, let failure):
      guard let index = running(attempt) else { break }
      attemptFailed(index, failure, now: now)
      advance(now: now)
    case .expanded(let task, let sub): expanded(task, sub, now: now)
    case .expansionFailed(let task, let failure): expansionFailed(task, failure, now: now)
    case .fired(let timer): timerFired(timer, now: now)
    case .cancelled: fail(Failure(.cancelled, "The request was cancelled."))
    case .stopped(let failure): fail(failure)
    }
  }

  private mutating func timerFired(_ timer: PlanTimer, now: Instant) {
    switch timer {
    case .plan: planDeadlinePassed(now: now)
    case .deadline(let id):
      // A timer that was disarmed or moved may still fire once.
      guard let index = board.index(of: id), !board.phase(index).isSettled,
        let window = board.window(index), window.end <= now
      else { break }
      stop(index)
      abandon(
        index,
        Failure(
          .deadlineExceeded, "it was not done after \(window.length.wholeMilliseconds) ms"),
        now: now)
      advance(now: now)
    case .retry(let id):
      guard let index = board.index(of: id), case .pausing = board.phase(index) else { break }
      launch(index, now: now)
      advance(now: now)
    case .expansion(let id):
      if let index = board.index(of: id) { stop(index) }
      expansionFailed(
        id,
        Failure(
          .deadlineExceeded,
          "no planner answered within \(limits.expansionWait.wholeMilliseconds) ms"), now: now)
    }
  }

  // MARK: - Advancing

  /// Advances the plan until nothing more can be done now.
  /// Gives up tasks that cannot run or are not needed, computes mechanical tasks, starts ready
  /// tasks, and ends the plan with its sink.
  ///
  /// Each pass of the loop, except the last, settles or expands a task. So the number of tasks
  /// bounds the passes.
  mutating func advance(now: Instant) {
    while state == .running {
      if case .done(let report) = board.phase(board.sink) {
        stopUnneededTasks()
        return finish(report)
      }
      if let (index, failure) = board.firstHopeless {
        abandon(index, failure, now: now)
        continue
      }
      if stopUnneededTasks() { continue }
      if let (index, report) = board.firstComputable {
        board.noteMissingInputs(of: index)
        complete(index, report, now: now)
        continue
      }
      if startReadyTasks(now: now) { continue }
      if !requiresCall, let beginning = board.beginningOfAnswer { emitRest(of: beginning) }
      return
    }
  }

  /// Stops tasks whose output can no longer reach the sink.
  /// - Returns: whether a task was stopped.
  @discardableResult
  private mutating func stopUnneededTasks() -> Bool {
    let unneeded = board.unneeded
    for index in unneeded {
      chargeUnreported(index)
      stop(index)
      disarm(index)
      if case .expanding(let report) = board.phase(index) {
        settle(index, report: report)
        continue
      }
      let reason = "no unfinished task needs its output"
      board.skip(index, Failure(.cancelled, reason))
      emitEnd(index, .skipped, reason: reason, report: budget.cost(of: index))
    }
    return !unneeded.isEmpty
  }

  /// - Returns: whether a task settled instead of starting. Other tasks may then be unable to run.
  private mutating func startReadyTasks(now: Instant) -> Bool {
    for index in board.indices where board.isReady(index) {
      board.noteMissingInputs(of: index)
      armDeadline(index, now: now)
      launch(index, now: now)
      // If the budget or the plan's prompt limit is too small for the task, the task has settled
      // already.
      guard case .running = board.phase(index) else { return true }
    }
    return false
  }

  /// Arms the task's deadline, unless the task may use all the time that is left.
  private mutating func armDeadline(_ index: Int, now: Instant) {
    guard let time = board.ownTime(of: index, left: now.duration(to: planDeadline)) else { return }
    let end = now.advanced(by: time)
    board.setWindow(TaskWindow(length: time, end: end), of: index)
    directives.append(.arm(.deadline(board.task(index).id), at: end))
  }

  // MARK: - Ending

  private mutating func finish(_ report: TaskReport) {
    stopAllTasks()
    directives.append(
      .finish(
        PlanFinished(
          finishReason: report.finishReason, usage: budget.spent, sinkUsage: report.usage)))
  }

  mutating func fail(_ failure: Failure) {
    guard state != .over else { return }
    let open = board.indices.filter { !board.phase($0).isSettled }
    for index in open { chargeUnreported(index) }
    stopAllTasks()
    // The hosts of tasks that have not ended are paid for their work so far.
    let reason = failure.message.isEmpty ? failure.code.rawValue : failure.message
    for index in open {
      // An earlier dispatcher has already reported the end of a task that waits for its expansion.
      guard order.finished[board.task(index).id] == nil, let cost = cost(of: index) else {
        continue
      }
      emitEnd(
        index, .failed, reason: "its plan ended: \(reason)".cut(toBytes: limits.reasonBytes),
        report: cost)
    }
    directives.append(.fail(failure))
  }

  private mutating func stopAllTasks() {
    for index in board.indices where !board.phase(index).isSettled {
      stop(index)
      disarm(index)
    }
    if state == .running { directives.append(.disarm(.plan)) }
    state = .over
  }

  /// Tokens of the tasks so far, for a gateway that has cancelled the plan.
  public var costs: [PlanCosts.Task] {
    board.indices.compactMap { index in
      cost(of: index).map { PlanCosts.Task(task: board.task(index).id, report: $0) }
    }
  }

  /// Tokens of a task so far, as a report without output. `nil` means that it has none.
  private func cost(of index: Int) -> TaskReport? {
    budget.cost(of: index).flatMap { $0.usage == .zero ? nil : $0 }
  }

  /// Cancels the task's attempt or expansion.
  mutating func stop(_ index: Int) {
    switch board.phase(index) {
    case .running:
      directives.append(
        .cancel(Attempt(board.task(index).id, attempts[index]?.number ?? 0)))
    case .expanding: directives.append(.cancelExpansion(board.task(index).id))
    case .waiting, .pausing, .done, .skipped: break
    }
  }

  /// Disarms the task's timers.
  mutating func disarm(_ index: Int) {
    let id = board.task(index).id
    switch board.phase(index) {
    case .pausing: directives.append(.disarm(.retry(id)))
    case .expanding: directives.append(.disarm(.expansion(id)))
    case .waiting, .running, .done, .skipped: break
    }
    guard board.window(index) != nil else { return }
    board.setWindow(nil, of: index)
    directives.append(.disarm(.deadline(id)))
  }
}
