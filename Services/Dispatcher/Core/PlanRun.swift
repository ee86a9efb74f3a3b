public import ClusterModel

/// Runs one plan: events in, directives out. Knows no pattern's name, no agent's address, no socket
/// and no clock.
///
/// A task runs when all it reads is settled; one whose merge is mechanical is computed on the spot.
/// One that fails for good fails the plan, is left out, or hands on what it has, as its rule says;
/// those that read it then run without it as long as their quorum is met. One that expands has the
/// planner asked what follows from its output, and what comes back becomes part of the plan. Only a
/// lost or overloaded agent is retried here, because `infer()` already retries hosts; a sink that was
/// speaking is continued by the next agent from what the client has.
public struct PlanRun: Sendable {
  public let order: PlanOrder
  /// As it is by now: expansions make it grow.
  public internal(set) var plan: Plan
  let limits: PlanRunLimits
  var graph: PlanGraph
  /// By the index of their tasks in `plan.tasks`.
  var tasks: [TaskState]
  var state = State.idle
  var planDeadline = Instant.zero
  var ledger: TokenLedger
  /// Bytes of all prompts that agents were given.
  var promptBytes = 0
  /// What the event that is being handled has led to.
  var directives: [PlanRunDirective] = []

  enum State: Equatable, Sendable {
    /// Not started. Can become `running`, or `over` when it is cancelled first.
    case idle
    /// Can become `over`.
    case running
    /// Finished, failed or cancelled; every later event is ignored.
    case over
  }

  struct TaskState: Sendable {
    var phase = Phase.waiting
    /// The latest; 0: none was made.
    var attempt = 0
    /// Name of the agent that had it last.
    var agent = ""
    var avoiding: [PeerID] = []
    /// Nobody was found since then.
    var seekingSince: Instant?
    /// When its own deadline or share passes; nil before it starts, or if it has none of its own.
    var deadline: Instant?
    /// What that was from its start on.
    var window = Duration.zero
    /// Names of inputs that it runs without.
    var missing: [String] = []
    /// Why it hands on something else than what was asked for; empty: it does not.
    var shortcoming = ""
    /// What it has written so far. Of the sink: what the client has of the answer.
    var text = ""
    /// How much of that its latest agent was given to go on from.
    var prefixBytes = 0
    /// What it has written cannot be continued from its text alone.
    var hasStructure = false
    /// What the budget lets it write; nil: as its plan says.
    var grantedTokens: Int?
    /// What its prompt was expected to have; nil: nobody asked.
    var estimatedPrompt: Int?
    /// What its latest attempt said in the end, also where that is of no use.
    var report: TaskReport?
    /// Bytes that its latest attempt wrote.
    var writtenBytes = 0
    /// The output as tasks read it that write anew, and as mechanical ones do. `nil` until a task
    /// reads it that way.
    var reading: String?
    var prepared: String?
    /// What attempts cost that were given up.
    var givenUp = Usage.zero
  }

  enum Phase: Sendable {
    /// Something it reads is not settled. Can become `running`, `expanding`, `done`, `skipped`.
    case waiting
    /// An agent has it, or is being looked for. Can become `pausing`, `expanding`, `done`, `skipped`.
    case running(agent: PeerID?, host: HostID?)
    /// Until its retry timer fires. Can become `running`, `expanding`, `done`, `skipped`.
    case pausing
    /// It has ended, and the planner is asked what follows. Can become `done`.
    case expanding(TaskReport)
    case done(TaskReport)
    /// It failed or is not needed, and the plan goes on.
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
        throw InvalidPlan(.unknownOutput, task: id, "it is said to be finished but is no task")
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

  /// What to do because of `event`, in this order. Events that come too late lead to nothing.
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
      // A timer that was disarmed may already have been on its way.
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

  /// The task of an attempt that is under way; nil for what comes too late.
  func running(_ attempt: Attempt) -> Int? {
    guard let index = graph.indices[attempt.task], tasks[index].attempt == attempt.number,
      case .running = tasks[index].phase
    else { return nil }
    return index
  }

  func task(_ index: Int) -> PlanTask { plan.tasks[index] }

  /// Whether what the task writes is the answer as it is written. A sink that expands may yet be
  /// replaced by another.
  func isStreaming(_ index: Int) -> Bool { index == graph.sink && task(index).expansion == nil }

  func output(of edge: Edge) -> String? { report(of: edge)?.output }

  /// nil: the task has not succeeded.
  func report(of edge: Edge) -> TaskReport? {
    guard let source = graph.indices[edge.from], case .done(let report) = tasks[source].phase
    else { return nil }
    return report
  }

  /// How many inputs must have succeeded before the task may run.
  func quorum(of task: PlanTask) -> Int { task.quorum ?? task.inputs.count }
}
