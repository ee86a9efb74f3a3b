public import ClusterModel

/// Runs one plan: events in, directives out. Knows no pattern's name, no agent's address, no socket
/// and no clock.
///
/// A task runs when all it reads is settled. One that fails for good fails the plan, or is left out
/// if its rule says so; those that read it then run without it as long as their quorum is met.
/// Only a lost or overloaded agent is retried here, because `infer()` already retries hosts. A sink
/// whose tokens went out is never restarted: the client has them, and another answer would not
/// continue them.
public struct PlanRun: Sendable {
  public let order: PlanOrder
  let limits: PlanRunLimits
  /// Indices into `order.plan.tasks`.
  let indices: [TaskID: Int]
  let readers: [[Int]]
  let sink: Int
  var tasks: [TaskState]
  var state = State.idle
  var planDeadline = Instant.zero
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
    /// When its own deadline passes; nil before it starts, or if it has none of its own.
    var deadline: Instant?
    /// Names of inputs that it runs without.
    var missing: [String] = []
    /// Bytes of its answer that went out to the client; only of the sink.
    var bytesOut = 0
    var sentDelta = false
  }

  enum Phase: Sendable {
    /// Something it reads is not settled. Can become `running`, `skipped`.
    case waiting
    /// An agent has it, or is being looked for. Can become `pausing`, `done`, `skipped`.
    case running(agent: PeerID?, host: HostID?)
    /// Until its retry timer fires. Can become `running`, `skipped`.
    case pausing
    case done(TaskReport)
    /// It failed or is not needed, and the plan goes on.
    case skipped(Failure)

    var isSettled: Bool {
      switch self {
      case .done, .skipped: true
      case .waiting, .running, .pausing: false
      }
    }
  }

  /// - Throws: the rule that the plan breaks.
  public init(order: PlanOrder, limits: PlanRunLimits = .standard) throws(InvalidPlan) {
    let plan = order.plan
    try PlanValidation.validate(plan)
    var indices: [TaskID: Int] = [:]
    for (index, task) in plan.tasks.enumerated() { indices[task.id] = index }
    var readers = [[Int]](repeating: [], count: plan.tasks.count)
    for (index, task) in plan.tasks.enumerated() {
      for source in Set(task.inputs.map(\.from)) {
        if let source = indices[source] { readers[source].append(index) }
      }
    }
    var tasks = [TaskState](repeating: TaskState(), count: plan.tasks.count)
    for (id, report) in order.finished {
      guard let index = indices[id] else {
        throw InvalidPlan(.unknownOutput, task: id, "it is said to be finished but is no task")
      }
      tasks[index].phase = .done(report)
    }
    self.order = order
    self.limits = limits
    self.indices = indices
    self.readers = readers
    self.sink = indices[plan.sink] ?? 0
    self.tasks = tasks
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
      planDeadline = now.advanced(by: order.plan.deadline)
      directives.append(.arm(.plan, at: planDeadline))
      advance(now: now)
    case .cancelled:
      fail(Failure(.cancelled, "The request was cancelled."))
    case .assigned, .noAgent, .began, .delta, .finished, .failed, .fired:
      preconditionFailure("\(event) before the plan was started")
    }
  }

  private mutating func handleRunning(_ event: PlanRunEvent, now: Instant) {
    switch event {
    case .start:
      preconditionFailure("a plan was started twice")
    case .assigned(let attempt, let agent):
      guard let index = running(attempt) else { break }
      tasks[index].agent = agent.name
      tasks[index].seekingSince = nil
      tasks[index].phase = .running(agent: agent, host: nil)
      directives.append(
        .emit(
          .started(
            task: attempt.task, role: task(index).role, agent: agent.name,
            attempt: attempt.number)))
    case .noAgent(let attempt):
      guard let index = running(attempt) else { break }
      keepSeeking(index, now: now)
    case .began(let attempt, let began):
      guard let index = running(attempt) else { break }
      if case .running(let agent, _) = tasks[index].phase {
        tasks[index].phase = .running(agent: agent, host: began.host)
      }
      directives.append(.emit(.firstToken(task: attempt.task, began)))
    case .delta(let attempt, let delta):
      // What a task before the sink says in between is nobody's business.
      guard let index = running(attempt), index == sink else { break }
      tasks[index].bytesOut += delta.text.utf8.count
      tasks[index].sentDelta = true
      directives.append(.emit(.delta(delta)))
    case .finished(let attempt, let report):
      guard let index = running(attempt) else { break }
      settle(index, report: report)
      advance(now: now)
    case .failed(let attempt, let failure):
      guard let index = running(attempt) else { break }
      attemptFailed(index, failure, now: now)
    case .fired(let timer):
      fired(timer, now: now)
    case .cancelled:
      fail(Failure(.cancelled, "The request was cancelled."))
    }
  }

  private mutating func fired(_ timer: PlanTimer, now: Instant) {
    switch timer {
    case .plan:
      let open = tasks.indices.filter { !tasks[$0].phase.isSettled }.map { task($0).id.name }
      fail(
        Failure(
          .deadlineExceeded,
          "The plan was not done after \(order.plan.deadline.wholeMilliseconds) ms; still open: "
            + "\(open.prefix(8).joined(separator: ", "))."))
    case .deadline(let id):
      // A timer that was disarmed may already have been on its way.
      guard let index = indices[id], !tasks[index].phase.isSettled,
        let deadline = tasks[index].deadline, deadline <= now
      else { break }
      stop(index)
      let milliseconds = task(index).deadline?.wholeMilliseconds ?? 0
      settleFailed(
        index, Failure(.deadlineExceeded, "it was not done after \(milliseconds) ms"), now: now)
    case .retry(let id):
      guard let index = indices[id], case .pausing = tasks[index].phase else { break }
      launch(index, now: now)
    }
  }

  /// The task of an attempt that is under way; nil for what comes too late.
  private func running(_ attempt: Attempt) -> Int? {
    guard let index = indices[attempt.task], tasks[index].attempt == attempt.number,
      case .running = tasks[index].phase
    else { return nil }
    return index
  }

  func task(_ index: Int) -> PlanTask { order.plan.tasks[index] }
}
