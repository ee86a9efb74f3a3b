public import ClusterModel

/// Runs one plan as a state machine: events in, directives out.
/// It knows no pattern name, agent address, socket or clock.
///
/// A task runs when all its inputs are settled; a mechanical task is computed at once. A task that
/// fails for good fails the plan, is skipped, or hands on a substitute, as its failure rule says.
/// Its readers run without it if their quorum is met. If a task expands, the planner is asked for
/// the tasks that follow from its output, and they become part of the plan.
///
/// Only a lost or overloaded agent is retried here, because `infer()` already retries hosts. If the
/// agent of a streaming sink is lost, the next agent resumes from the text that the client has.
public struct PlanRun: Sendable {
  public let order: PlanOrder
  /// The current plan, which grows with expansions.
  public internal(set) var plan: Plan
  let limits: PlanRunLimits
  var graph: PlanGraph
  /// By index in `plan.tasks`.
  var tasks: [TaskState]
  var state = State.idle
  var planDeadline = Instant.zero
  var ledger: TokenLedger
  /// Bytes of all prompts sent to agents.
  var promptBytes = 0
  /// Directives of the event that is being handled.
  var directives: [PlanRunDirective] = []

  enum State: Equatable, Sendable {
    /// Not started. Can become `running`, or `over` if it is cancelled first.
    case idle
    /// Can become `over`.
    case running
    /// Finished, failed or cancelled; every later event is ignored.
    case over
  }

  struct TaskState: Sendable {
    var phase = Phase.waiting
    /// Number of the latest attempt; 0 means none.
    var attempt = 0
    /// Name of the latest agent.
    var agent = ""
    var avoiding: [PeerID] = []
    /// Start of the current search for an agent. `nil` means that no search is under way.
    var seekingSince: Instant?
    /// When the task's deadline or share passes. `nil` before its start, or if it has neither.
    var deadline: Instant?
    /// Time from the task's start to its deadline.
    var window = Duration.zero
    /// Names of inputs that the task runs without.
    var missing: [String] = []
    /// Why the output is not what the plan asks for. Empty means that it is.
    var shortcoming = ""
    /// Output text so far. For the sink: the text of the answer that was emitted.
    var text = ""
    /// Bytes of `text` that the latest agent was given to resume from.
    var prefixBytes = 0
    /// The output has parts that `text` does not hold, such as tool calls. It cannot be resumed.
    var hasStructure = false
    /// Completion tokens that the budget grants. `nil` means that the plan's limit applies.
    var grantedTokens: Int?
    /// Estimated prompt tokens. `nil` means that the budget granted nothing yet.
    var estimatedPrompt: Int?
    /// Report of the latest attempt, even if its output is not used.
    var report: TaskReport?
    /// Bytes that the latest attempt wrote.
    var writtenBytes = 0
    /// The output as tasks with a model (`reading`) and mechanical tasks (`prepared`) read it.
    /// `nil` until a task reads it that way.
    var reading: String?
    var prepared: String?
    /// Usage of attempts that were given up.
    var givenUp = Usage.zero
  }

  enum Phase: Sendable {
    /// An input is not settled. Can become `running`, `expanding`, `done`, `skipped`.
    case waiting
    /// An agent has the task or is sought. Can become `pausing`, `expanding`, `done`, `skipped`.
    case running(agent: PeerID?, host: HostID?)
    /// Waits for its retry timer. Can become `running`, `expanding`, `done`, `skipped`.
    case pausing
    /// Has ended and waits for its expansion. Can become `done`, `skipped`.
    case expanding(TaskReport)
    case done(TaskReport)
    /// Failed or is not needed; the plan continues.
    case skipped(Failure)

    var isSettled: Bool {
      switch self {
      case .done, .skipped: true
      case .waiting, .running, .pausing, .expanding: false
      }
    }
  }

  /// - Throws: the rule that the plan breaks.
  public init(order: PlanOrder, limits: PlanRunLimits = .standard) throws(InvalidPlan) {
    try PlanValidation.validate(order.plan)
    self.order = order
    plan = order.plan
    self.limits = limits
    graph = PlanGraph(plan)
    tasks = [TaskState](repeating: TaskState(), count: plan.tasks.count)
    ledger = TokenLedger(budget: order.request?.budgetTokens)
    for (id, report) in order.finished {
      guard let index = graph.indices[id] else {
        throw InvalidPlan(
          .unknownOutput, task: id, "it is listed as finished but is not in the plan")
      }
      tasks[index].phase = .done(report)
      tasks[index].report = report
      ledger.spend(report.usage)
    }
    for (id, skipped) in order.skipped {
      guard let index = graph.indices[id], case .waiting = tasks[index].phase else { continue }
      tasks[index].phase = .skipped(Failure(.upstreamFailed, skipped.reason))
      ledger.spend(skipped.usage)
    }
    tasks[graph.sink].text = order.sinkPrefix
    prepareOutputs()
  }

  public var isOver: Bool { state == .over }

  /// Returns the directives that follow from `event`, in order. Late events lead to none.
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
      expandWhatWasFinished(now: now)
      if case .done(let report) = tasks[graph.sink].phase { emitRest(of: report.output) }
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
    case .assigned(let attempt, let agent): assigned(attempt, to: agent)
    case .noAgent(let attempt):
      if let index = running(attempt) { keepSeeking(index, now: now) }
    case .began(let attempt, let began): self.began(attempt, began)
    case .delta(let attempt, let delta): wrote(attempt, delta)
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
    case .fired(let timer): fired(timer, now: now)
    case .cancelled: fail(Failure(.cancelled, "The request was cancelled."))
    case .stopped(let failure): fail(failure)
    }
  }

  private mutating func fired(_ timer: PlanTimer, now: Instant) {
    switch timer {
    case .plan: planDeadlinePassed(now: now)
    case .deadline(let id):
      // A disarmed timer may already be on its way.
      guard let index = graph.indices[id], !tasks[index].phase.isSettled,
        let deadline = tasks[index].deadline, deadline <= now
      else { break }
      stop(index)
      let milliseconds = tasks[index].window.wholeMilliseconds
      abandon(
        index, Failure(.deadlineExceeded, "it was not done after \(milliseconds) ms"), now: now)
      advance(now: now)
    case .retry(let id):
      guard let index = graph.indices[id], case .pausing = tasks[index].phase else { break }
      launch(index, now: now)
      advance(now: now)
    case .expansion(let id):
      if let index = graph.indices[id] { stop(index) }
      expansionFailed(
        id,
        Failure(
          .deadlineExceeded,
          "no planner answered within \(limits.expansionWait.wholeMilliseconds) ms"), now: now)
    }
  }

  /// Index of the task whose attempt is under way. `nil` means that the attempt is over.
  func running(_ attempt: Attempt) -> Int? {
    guard let index = graph.indices[attempt.task], tasks[index].attempt == attempt.number,
      case .running = tasks[index].phase
    else { return nil }
    return index
  }

  func task(_ index: Int) -> PlanTask { plan.tasks[index] }

  /// Whether the task's output is streamed as the answer.
  /// A sink that expands may still be replaced by another task, so it does not stream.
  func isStreaming(_ index: Int) -> Bool { index == graph.sink && task(index).expansion == nil }

  func output(of edge: Edge) -> String? { report(of: edge)?.output }

  /// `nil` means that the task has not succeeded.
  func report(of edge: Edge) -> TaskReport? {
    guard let source = graph.indices[edge.from], case .done(let report) = tasks[source].phase
    else { return nil }
    return report
  }

  /// Number of inputs that must have succeeded before the task may run.
  func quorum(of task: PlanTask) -> Int { task.quorum ?? task.inputs.count }
}
