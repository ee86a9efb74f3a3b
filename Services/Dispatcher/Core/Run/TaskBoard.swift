import ClusterModel

/// States of a plan's tasks, by index in `plan.tasks`.
///
/// Knows the graph and each task's phase, and finds the tasks that can run, cannot run or are not
/// needed. It knows no agent's attempts, no tokens, no timers and no client.
struct TaskBoard: Sendable {
  /// The current plan, which grows with expansions.
  private(set) var plan: Plan
  private var graph: PlanGraph
  private var states: [TaskState]
  /// Maximum tokens of an output as another task reads it.
  let inputTokens: Int

  private struct TaskState: Sendable {
    var phase = TaskPhase.waiting
    var window: TaskWindow?
    var missing: [String] = []
    var shortcoming = ""
    var textOf: TaskID?
    var forms = OutputForms()

    /// Estimated bytes of a task's state without outputs, plus its directives and timers.
    static let ownBytes = 1_024
  }

  /// - Parameter plan: a valid plan.
  init(_ plan: Plan, inputTokens: Int) {
    self.plan = plan
    self.inputTokens = inputTokens
    graph = PlanGraph(plan)
    states = [TaskState](repeating: TaskState(), count: plan.tasks.count)
  }

  // MARK: - Tasks

  var indices: Range<Int> { states.indices }
  var sink: Int { graph.sink }

  func index(of id: TaskID) -> Int? { graph.indices[id] }
  func task(_ index: Int) -> PlanTask { plan.tasks[index] }
  func phase(_ index: Int) -> TaskPhase { states[index].phase }
  func readers(of index: Int) -> [Int] { graph.readers[index] }

  /// Time limit of a task. `nil` before its start, after its end, or if it has none of its own.
  func window(_ index: Int) -> TaskWindow? { states[index].window }

  /// Reason why the task's output differs from the plan's request. Empty if it does not differ.
  func shortcoming(of index: Int) -> String { states[index].shortcoming }

  /// The task whose output stands in for the task's. `nil` means that the output is its own.
  func textOf(_ index: Int) -> TaskID? { states[index].textOf }

  /// The task that wrote the task's output.
  func writer(of index: Int) -> TaskID { states[index].textOf ?? task(index).id }

  /// Names of inputs that the task runs without.
  func missingInputs(of index: Int) -> [String] { states[index].missing }

  /// Whether the task's output is streamed as the answer.
  /// A sink that expands may still be replaced by another task, so it does not stream.
  func isStreaming(_ index: Int) -> Bool { index == sink && task(index).expansion == nil }

  /// Bytes of the tasks' states and of all outputs, in each form that is kept.
  var outputBytes: Int {
    states.reduce(0) { sum, state in
      sum + TaskState.ownBytes + (state.phase.report?.output.utf8.count ?? 0) + state.forms.bytes
    }
  }

  /// Weight of the heaviest path from a task to the sink, both included.
  /// - Parameter weight: the weight of a task, by its index.
  func heaviestPath(from index: Int, weight: (Int) -> Int) -> Int {
    graph.heaviestPath(from: index, weight: weight)
  }

  // MARK: - Transitions

  /// Starts an attempt, or the search for its agent.
  mutating func start(_ index: Int) { states[index].phase = .running(agent: nil, host: nil) }

  /// Records the agent of an attempt, which does not change until the attempt ends.
  /// - Returns: false if the task does not wait for an agent.
  mutating func assign(_ index: Int, to agent: PeerID) -> Bool {
    guard case .running(nil, _) = states[index].phase else { return false }
    states[index].phase = .running(agent: agent, host: nil)
    return true
  }

  /// Records the host that works on an attempt.
  mutating func setHost(_ host: HostID, of index: Int) {
    guard case .running(let agent, _) = states[index].phase else { return }
    states[index].phase = .running(agent: agent, host: host)
  }

  /// Waits for the time of the next attempt.
  mutating func pause(_ index: Int) { states[index].phase = .pausing }

  /// Waits for the planner's expansion of a task that has ended.
  mutating func expand(_ index: Int, _ report: TaskReport) {
    states[index].phase = .expanding(report)
  }

  /// Settles a task with its output, in the forms that its readers need.
  mutating func finish(_ index: Int, _ report: TaskReport) {
    states[index].phase = .done(report)
    states[index].forms = OutputForms()
    makeForms(of: index)
  }

  /// Settles a task without an output.
  mutating func skip(_ index: Int, _ failure: Failure) { states[index].phase = .skipped(failure) }

  /// Resets a stopped task to `waiting`, as before its start.
  mutating func reset(_ index: Int) { states[index].phase = .waiting }

  /// Gives up the expansion of a task, so that its own output stands.
  mutating func dropExpansion(of index: Int) { plan.tasks[index].expansion = nil }

  /// Replaces the plan. New tasks are appended, so existing indices stay valid.
  /// - Parameter grown: the plan with a sub-plan spliced in.
  mutating func adopt(_ grown: Plan) {
    let added = max(0, grown.tasks.count - plan.tasks.count)
    states += [TaskState](repeating: TaskState(), count: added)
    plan = grown
    graph = PlanGraph(plan)
    for index in indices { makeForms(of: index) }
  }

  private mutating func makeForms(of index: Int) {
    guard case .done(let report) = states[index].phase else { return }
    for reader in graph.readers[index] {
      states[index].forms.make(of: report.output, for: task(reader), toTokens: inputTokens)
    }
  }

  // MARK: - Notes

  mutating func setWindow(_ window: TaskWindow?, of index: Int) { states[index].window = window }

  mutating func setShortcoming(_ reason: String, of index: Int) {
    states[index].shortcoming = reason
  }

  mutating func setTextOf(_ source: TaskID?, of index: Int) { states[index].textOf = source }

  /// Notes the inputs without which the task starts.
  mutating func noteMissingInputs(of index: Int) {
    states[index].missing =
      task(index).inputs.filter { isSettled($0) && output(of: $0) == nil }.map(\.name)
  }

  // MARK: - Inputs

  func isSettled(_ edge: Edge) -> Bool {
    index(of: edge.from).map { phase($0).isSettled } ?? false
  }

  /// `nil` means that the edge's source has not succeeded.
  func report(of edge: Edge) -> TaskReport? {
    guard let source = index(of: edge.from), case .done(let report) = phase(source) else {
      return nil
    }
    return report
  }

  /// `nil` means that the edge's source has not succeeded.
  func output(of edge: Edge) -> String? { report(of: edge)?.output }

  /// Forms of the output of the edge's source, one for each kind of its readers.
  /// `nil` means that the edge's source has not succeeded.
  func forms(of edge: Edge) -> OutputForms? {
    guard report(of: edge) != nil else { return nil }
    return index(of: edge.from).map { states[$0].forms }
  }
}

/// Phase of a task. At the plan's deadline, an unsettled sink may be reset to `waiting`.
enum TaskPhase: Equatable, Sendable {
  /// Not started. Can become `running`, `expanding`, `done`, `skipped`.
  case waiting
  /// An agent has the task or is sought. Can become `pausing`, `expanding`, `done`, `skipped`.
  case running(agent: PeerID?, host: HostID?)
  /// Waits for its retry timer. Can become `running`, `expanding`, `done`, `skipped`.
  case pausing
  /// Has ended and waits for its expansion. Can become `done`, `skipped`.
  case expanding(TaskReport)
  /// Succeeded. Can become `expanding` if an earlier dispatcher lost the expansion.
  case done(TaskReport)
  /// Failed or is not needed.
  case skipped(Failure)

  var isSettled: Bool {
    switch self {
    case .done, .skipped: true
    case .waiting, .running, .pausing, .expanding: false
    }
  }

  /// Agent of the attempt that is under way.
  var agent: PeerID? {
    guard case .running(let agent, _) = self else { return nil }
    return agent
  }

  /// Report with the output, if the task has one.
  var report: TaskReport? {
    switch self {
    case .done(let report), .expanding(let report): report
    case .waiting, .running, .pausing, .skipped: nil
    }
  }
}

/// Time limit of a task from its start.
struct TaskWindow: Equatable, Sendable {
  var length: Duration
  var end: Instant
}
