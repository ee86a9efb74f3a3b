public import ClusterModel
import Limits
import Text

/// A plan and the reported state of its tasks. It is used for the client's trace, the progress
/// lines and a failover to another dispatcher.
public struct PlanTrace: Sendable {
  public struct TaskLine: Hashable, Sendable {
    public var id: TaskID
    var role: AgentRole
    var agent: String
    /// The tasks whose outputs this task reads.
    public var inputs: [TaskID] = []
    var merge = MergeRule.none
    public var host: HostID?
    var model: ModelID?
    /// `nil` means that the task has not ended.
    public var status: TaskStatus?
    public var reason = ""
    /// The task whose output is this task's output. `nil` means that the output is its own.
    var textOf: TaskID?
    var firstTokenMilliseconds = 0
    var totalMilliseconds = 0
    public var usage = Usage.zero
    /// The inferences whose hosts are known. Their tokens are a part of `usage`.
    public var inferences: [TaskInference] = []
    /// Documents of which the task read only a part.
    var excerpts: [DocumentExcerpt] = []
    /// Attempts so far, each by one agent.
    var attempts = 0

    /// Whether the task has ended with an output.
    var hasOutput: Bool { status == .done || status == .degraded }
  }

  /// Tasks that replaced one task because of its output.
  public struct Expansion: Hashable, Sendable {
    var task: TaskID
    var tasks: [TaskID]

    public init(task: TaskID, tasks: [TaskID]) {
      self.task = task
      self.tasks = tasks
    }
  }

  /// A part of the answer by one host.
  private struct AnswerPart {
    let host: HostID
    /// The model as clients name it.
    let model: ModelID
    var bytes = 0

    /// The tokens are an estimate.
    var inference: TaskInference {
      let tokens = TokenEstimate.tokens(bytes: bytes)
      return TaskInference(
        model: model,
        usage: Usage(promptTokens: 0, completionTokens: tokens, estimated: true),
        attempts: [PaidAttempt(host: host, model: model, tokens: tokens, outcome: .delivered)])
    }
  }

  /// The plan with all expansions so far.
  public private(set) var plan: Plan
  /// The state of each task, in the plan's order.
  public private(set) var tasks: [TaskLine]
  public private(set) var expansions: [Expansion] = []
  /// Reports of finished tasks, for a failover.
  public private(set) var finished: [TaskID: TaskReport] = [:]
  /// Skipped tasks, for a failover.
  public var skipped: [TaskID: PlanOrder.Skipped] {
    var skipped: [TaskID: PlanOrder.Skipped] = [:]
    for line in tasks where line.status == .skipped {
      skipped[line.id] = PlanOrder.Skipped(reason: line.reason, usage: line.usage)
    }
    return skipped
  }
  public private(set) var ending: PlanFinished?
  /// Text of the answer that dispatchers have sent. Empty if it was too large to keep.
  public private(set) var answer = ""
  /// Reason why no other dispatcher can take over. `nil` means that another dispatcher can.
  public private(set) var obstacle: String?
  /// Bytes that `finished` and `answer` keep.
  private var memory = Allowance(memory: Limits.planTraceBytes)
  private var isTooLarge = false
  /// Parts of the answer whose hosts no report names, in order.
  private var parts: [AnswerPart] = []
  /// Number of parts that came from an earlier dispatcher. They never get a report.
  private var earlierParts = 0

  public init(_ plan: Plan) {
    self.plan = plan
    tasks = plan.tasks.map(Self.line)
  }

  private static func line(_ task: PlanTask) -> TaskLine {
    var line = TaskLine(id: task.id, role: task.role, agent: "")
    line.inputs = task.inputs.map(\.from)
    line.merge = task.merge
    return line
  }

  /// Records that a dispatcher receives the rest of the plan. Its reports count the text that the
  /// answer has so far, but do not name the hosts of that text.
  public mutating func beginDispatch() { earlierParts = parts.count }

  public mutating func record(_ event: PlanEvent) {
    switch event {
    case .started(let task, let role, let agent, let attempt):
      update(task, role) {
        $0.agent = agent
        $0.attempts = max($0.attempts, attempt)
        $0.status = nil
        // Clear the values of the previous attempt.
        $0.host = nil
        $0.model = nil
        $0.firstTokenMilliseconds = 0
        $0.excerpts = []
      }
    case .firstToken(let task, let began):
      update(task, nil) {
        $0.host = began.host
        $0.model = began.model
        $0.firstTokenMilliseconds = began.firstTokenMilliseconds
        $0.excerpts = began.excerpts
      }
      if task == plan.sink, parts.count < Limits.taskInferences.value {
        parts.append(AnswerPart(host: began.host, model: began.model))
      }
    case .ended(let ended): record(ended)
    case .expanded(let task, let sub): expand(task, sub)
    case .delta(let delta):
      if keep(delta.text.utf8.count) { answer += delta.text }
      if earlierParts < parts.count {
        parts[parts.count - 1].bytes =
          parts[parts.count - 1].bytes.addingCapped(delta.text.utf8.count)
      }
      if Self.hasToolCall(delta) {
        obstacle = "the answer was inside a tool call, which cannot be resumed"
      }
    case .finished(let finished): ending = finished
    }
  }

  private mutating func record(_ ended: TaskEnded) {
    update(ended.task, ended.role) {
      $0.status = ended.status
      $0.reason = ended.reason
      $0.textOf = ended.textOf
      if !ended.agent.isEmpty { $0.agent = ended.agent }
      guard let report = ended.report else { return }
      // A task that the dispatcher computes has no host.
      if !report.host.name.isEmpty { $0.host = report.host }
      if !report.model.name.isEmpty { $0.model = report.model }
      $0.usage = report.usage
      $0.inferences = report.inferences
      $0.firstTokenMilliseconds = report.firstTokenMilliseconds
      $0.totalMilliseconds = report.totalMilliseconds
    }
    if ended.task == plan.sink, ended.report != nil { parts.removeSubrange(earlierParts...) }
    // The report of a failed or skipped task carries only its usage.
    let report = [.done, .degraded].contains(ended.status) ? ended.report : nil
    memory.release(finished[ended.task]?.keptBytes ?? 0)
    finished[ended.task] = keep(report?.keptBytes ?? 0) ? report : nil
  }

  /// Records the tokens of tasks that ran when the gateway cancelled the plan.
  public mutating func record(_ costs: PlanCosts) {
    for cost in costs.tasks {
      guard let line = task(cost.task), line.status == nil || line.usage == .zero else { continue }
      update(cost.task, nil) {
        if !cost.report.host.name.isEmpty { $0.host = cost.report.host }
        if !cost.report.model.name.isEmpty { $0.model = cost.report.model }
        $0.usage = cost.report.usage
        $0.inferences = cost.report.inferences
      }
      // The inferences contain the text that the dispatcher's hosts wrote.
      if cost.task == plan.sink { parts.removeSubrange(earlierParts...) }
    }
  }

  /// Charges bytes that a failover would need. Above the limit, all of them are dropped, and the
  /// plan continues without failover.
  /// - Returns: whether the bytes may be kept.
  private mutating func keep(_ bytes: Int) -> Bool {
    guard !isTooLarge else { return false }
    do throws(Overdrawn) {
      try memory.keep(bytes)
      return true
    } catch {
      isTooLarge = true
      obstacle = obstacle ?? "the output of the plan is \(error) and was not kept"
      finished = [:]
      answer = ""
      return false
    }
  }

  private mutating func expand(_ task: TaskID, _ sub: SubPlan) {
    do {
      plan = try plan.splicing(sub, at: task)
    } catch {
      // The dispatcher has applied the same rules, so it must have another version than the
      // gateway.
      obstacle = "the gateway cannot apply an expansion of the plan (\(error.message))"
      return
    }
    expansions.append(Expansion(task: task, tasks: sub.tasks.map(\.id)))
    // Tasks that read the expanded task may now read another task.
    var known: [TaskID: TaskLine] = [:]
    for line in tasks { known[line.id] = line }
    tasks = plan.tasks.map { task in
      var line = known[task.id] ?? Self.line(task)
      line.inputs = task.inputs.map(\.from)
      return line
    }
  }

  private mutating func update(
    _ task: TaskID, _ role: AgentRole?, _ change: (inout TaskLine) -> Void
  ) {
    if let index = tasks.firstIndex(where: { $0.id == task }) {
      change(&tasks[index])
    } else if let role, tasks.count < PlanValidation.maximumTasks {
      var line = TaskLine(id: task, role: role, agent: "")
      change(&line)
      tasks.append(line)
    }
  }

  private static func hasToolCall(_ delta: TaskDelta) -> Bool {
    guard let json = delta.deltaJSON, let scanner = try? JSONObjectScanner(json) else {
      return delta.deltaJSON != nil
    }
    return ["tool_calls", "function_call"].contains { name in
      scanner[name].map { $0.kind != .null } ?? false
    }
  }

  public func task(_ id: TaskID) -> TaskLine? { tasks.first { $0.id == id } }

  /// Whether hosts write the answer in this task. The text of a mechanical task consists of other
  /// tasks' outputs, and its tokens count for those tasks.
  func isAnswer(_ line: TaskLine) -> Bool { line.id == plan.sink && !line.merge.isMechanical }

  /// A task's inferences with known hosts, in order. For the sink, they begin with the parts of the
  /// answer whose hosts the sink's report does not name.
  func inferences(of line: TaskLine) -> [TaskInference] {
    guard line.id == plan.sink, countsParts(line) else { return line.inferences }
    return parts.filter { $0.bytes > 0 }.map(\.inference) + line.inferences
  }

  /// Whether the tokens that are billed for the answer's task contain those of `parts`.
  private func countsParts(_ line: TaskLine) -> Bool {
    // A degraded answer may consist of other tasks' outputs. It contains the parts only if the text
    // that was sent is the sink's output. Without an output, the text that the client received
    // counts.
    line.status != .degraded || finished[line.id]?.output == answer
  }

  /// Usage of all tasks, including those that an earlier dispatcher ran.
  public var usage: Usage {
    let own = tasks.reduce(Usage.zero) { $0 + $1.usage }
    guard let reported = ending?.usage, reported.totalTokens > own.totalTokens else { return own }
    return reported
  }

  /// The last host of each task, without duplicates.
  public var hosts: [HostID] {
    var hosts: [HostID] = []
    for host in tasks.compactMap(\.host) where !hosts.contains(host) { hosts.append(host) }
    return hosts
  }

  /// The output of a task. A long output is cut.
  public struct Output: Hashable, Sendable {
    public var text: String
    /// Length before the cut.
    var bytes: Int

    public init(text: String, bytes: Int) {
      self.text = text
      self.bytes = bytes
    }

    var isCut: Bool { text.utf8.count < bytes }
  }

  /// The outputs of the finished tasks, except the sink, whose output is the answer. The longest
  /// outputs are cut to the same length, so that all outputs together have at most `limit` bytes.
  public func outputs(within limit: Int) -> [TaskID: Output] {
    let reports = finished.filter { $0.key != plan.sink && !$0.value.output.isEmpty }
      .sorted {
        ($0.value.output.utf8.count, $0.key.name) < ($1.value.output.utf8.count, $1.key.name)
      }
    var outputs: [TaskID: Output] = [:]
    var left = max(0, limit)
    // The shortest outputs come first. The unused parts of their shares go to longer outputs.
    for (place, (task, report)) in reports.enumerated() {
      let text = report.output.cut(toBytes: left / (reports.count - place))
      left -= text.utf8.count
      outputs[task] = Output(text: text, bytes: report.output.utf8.count)
    }
    return outputs
  }

  // MARK: - For a span

  public var spanFacts: PlanSpanFacts {
    var origins: [TaskID: TaskID] = [:]
    for expansion in expansions {
      for task in expansion.tasks where origins[task] == nil { origins[task] = expansion.task }
    }
    return PlanSpanFacts(
      dependencies: tasks.map { line in
        PlanSpanFacts.Dependency(task: line.id, inputs: line.inputs, origin: origins[line.id])
      },
      departures: tasks.compactMap { line in
        guard let status = line.status, status != .done else { return nil }
        return PlanSpanFacts.Departure(task: line.id, status: status, reason: line.reason)
      })
  }
}
