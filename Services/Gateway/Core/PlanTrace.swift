public import ClusterModel
import Limits
import Text

/// A plan and what became of its tasks, as far as it was told: for the trace that the client asked
/// for, for the progress lines, and for the next dispatcher when one dies.
public struct PlanTrace: Sendable {
  public struct TaskLine: Hashable, Sendable {
    public var id: TaskID
    public var role: AgentRole
    public var agent: String
    /// The tasks it reads.
    public var inputs: [TaskID] = []
    public var merge = MergeRule.none
    public var host: HostID?
    public var model: ModelID?
    /// nil: not ended.
    public var status: TaskStatus?
    public var reason = ""
    public var firstTokenMilliseconds = 0
    public var totalMilliseconds = 0
    public var usage = Usage.zero
    /// Agents that had it.
    public var attempts = 0
  }

  /// A task's output led to more tasks.
  public struct Expansion: Hashable, Sendable {
    public var task: TaskID
    public var tasks: [TaskID]

    public init(task: TaskID, tasks: [TaskID]) {
      self.task = task
      self.tasks = tasks
    }
  }

  /// As it is by now.
  public private(set) var plan: Plan
  /// In the plan's order.
  public private(set) var tasks: [TaskLine]
  public private(set) var expansions: [Expansion] = []
  /// Outputs of tasks that are done, for a dispatcher that takes over.
  public private(set) var finished: [TaskID: TaskReport] = [:]
  /// Those that it goes on without, for the same.
  public var skipped: [TaskID: PlanOrder.Skipped] {
    var skipped: [TaskID: PlanOrder.Skipped] = [:]
    for line in tasks where line.status == .skipped {
      skipped[line.id] = PlanOrder.Skipped(reason: line.reason, usage: line.usage)
    }
    return skipped
  }
  public private(set) var ending: PlanFinished?
  /// What was passed on of the answer's text.
  public private(set) var answer = ""
  /// Why no other dispatcher can go on; nil: one can.
  public private(set) var obstacle: String?
  /// Bytes of `finished` and `answer`.
  private var memory = Allowance(memory: Limits.planTraceBytes)
  private var isTooLarge = false

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

  public mutating func record(_ event: PlanEvent) {
    switch event {
    case .started(let task, let role, let agent, let attempt):
      update(task, role) {
        $0.agent = agent
        $0.attempts = max($0.attempts, attempt)
        $0.status = nil
        // Of the agent that lost it.
        $0.host = nil
        $0.model = nil
        $0.firstTokenMilliseconds = 0
      }
    case .firstToken(let task, let began):
      update(task, nil) {
        $0.host = began.host
        $0.model = began.model
        $0.firstTokenMilliseconds = began.firstTokenMilliseconds
      }
    case .ended(let ended): record(ended)
    case .expanded(let task, let sub): expand(task, sub)
    case .delta(let delta):
      if keep(delta.text.utf8.count) { answer += delta.text }
      if Self.hasToolCall(delta) {
        obstacle = "a tool call was under way, and nobody can go on inside one"
      }
    case .finished(let finished): ending = finished
    }
  }

  private mutating func record(_ ended: TaskEnded) {
    update(ended.task, ended.role) {
      $0.status = ended.status
      $0.reason = ended.reason
      if !ended.agent.isEmpty { $0.agent = ended.agent }
      guard let report = ended.report else { return }
      // What the dispatcher computes itself has no host.
      if !report.host.name.isEmpty { $0.host = report.host }
      if !report.model.name.isEmpty { $0.model = report.model }
      $0.usage = report.usage
      $0.firstTokenMilliseconds = report.firstTokenMilliseconds
      $0.totalMilliseconds = report.totalMilliseconds
    }
    // A report of one that came to nothing says what that cost.
    let report = [.done, .degraded].contains(ended.status) ? ended.report : nil
    memory.release(finished[ended.task]?.output.utf8.count ?? 0)
    finished[ended.task] = keep(report?.output.utf8.count ?? 0) ? report : nil
  }

  /// Charges bytes that a second dispatcher would need. When there are too many, nothing is kept any
  /// more: the plan goes on, and cannot be handed over.
  private mutating func keep(_ bytes: Int) -> Bool {
    guard !isTooLarge else { return false }
    do throws(Overdrawn) {
      try memory.keep(bytes)
      return true
    } catch {
      isTooLarge = true
      obstacle = obstacle ?? "the plan has written \(error), which is not kept for another"
      finished = [:]
      answer = ""
      return false
    }
  }

  private mutating func expand(_ task: TaskID, _ sub: SubPlan) {
    do {
      plan = try plan.splicing(sub, at: task)
    } catch {
      // The dispatcher spliced it by the same rules: one of the two has another version of them.
      obstacle = "the plan was expanded in a way that is not understood here (\(error.message))"
      return
    }
    expansions.append(Expansion(task: task, tasks: sub.tasks.map(\.id)))
    // Those that read the task may now read another.
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

  /// Summed over all tasks, also over those that an earlier dispatcher ran.
  public var usage: Usage {
    let own = tasks.reduce(Usage.zero) { $0 + $1.usage }
    guard let told = ending?.usage, told.totalTokens > own.totalTokens else { return own }
    return told
  }

  /// What its tasks cost; nil: no host that worked on it has a price.
  /// - Parameter prices: credits for a million tokens.
  public func credits(prices: [HostID: Int]) -> Int? {
    var millionths = 0
    for line in tasks {
      guard let price = line.host.flatMap({ prices[$0] }), price > 0 else { continue }
      let (cost, isTooMuch) = line.usage.totalTokens.multipliedReportingOverflow(by: price)
      let (sum, isMore) = millionths.addingReportingOverflow(cost)
      millionths = isTooMuch || isMore ? .max - 999_999 : sum
    }
    return millionths == 0 ? nil : (millionths + 999_999) / 1_000_000
  }

  /// The hosts that worked on it, each once.
  public var hosts: [HostID] {
    var hosts: [HostID] = []
    for host in tasks.compactMap(\.host) where !hosts.contains(host) { hosts.append(host) }
    return hosts
  }

  // MARK: - For a span

  /// What each task waited for, for whoever draws the trace: the tasks it reads and, behind `^`, the
  /// one whose output led to it. `answer<draft;draft^analysis;analysis`, in pieces that fit a span's
  /// facts.
  public func dependencies(limit: Int = 2_000) -> [String] {
    var makers: [TaskID: TaskID] = [:]
    for expansion in expansions {
      for task in expansion.tasks where makers[task] == nil { makers[task] = expansion.task }
    }
    return pieces(
      tasks.map { line in
        line.id.name
          + (line.inputs.isEmpty ? "" : "<" + line.inputs.map(\.name).joined(separator: ","))
          + (makers[line.id].map { "^\($0)" } ?? "")
      }, limit: limit)
  }

  /// What is not as it was planned: tasks that were skipped, degraded or failed, and why.
  public func departures(limit: Int = 2_000) -> [String] {
    pieces(
      tasks.compactMap { line in
        guard let status = line.status, status != .done else { return nil }
        return "\(line.id) \(status.rawValue)" + (line.reason.isEmpty ? "" : ": \(line.reason)")
      }, limit: limit)
  }

  private func pieces(_ words: [String], limit: Int) -> [String] {
    var pieces: [String] = []
    for word in words {
      if let last = pieces.last, last.utf8.count + word.utf8.count < limit {
        pieces[pieces.count - 1] = "\(last);\(word)"
      } else {
        pieces.append(word)
      }
    }
    return pieces
  }
}
