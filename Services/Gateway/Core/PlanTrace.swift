public import ClusterModel
public import Text

/// What became of a plan and its tasks, as far as it was told: for the trace that the client asked
/// for, for the progress lines, and for the next dispatcher when one dies.
public struct PlanTrace: Sendable {
  public struct TaskLine: Hashable, Sendable {
    public var id: TaskID
    public var role: AgentRole
    public var agent: String
    public var host: HostID?
    public var model: ModelID?
    /// nil: not ended.
    public var status: TaskStatus?
    public var reason = ""
    public var firstTokenMilliseconds = 0
    public var totalMilliseconds = 0
    public var usage = Usage.zero
    public var attempts = 0
  }

  public private(set) var tasks: [TaskLine] = []
  /// Outputs of tasks that are done, for a dispatcher that takes over.
  public private(set) var finished: [TaskID: TaskReport] = [:]
  public private(set) var ending: PlanFinished?
  /// A piece of the answer was passed on: nobody else can write it from the start any more.
  public private(set) var hasBegun = false

  public init() {}

  public mutating func record(_ event: PlanEvent) {
    switch event {
    case .started(let task, let role, let agent, let attempt):
      update(task, role) {
        $0.agent = agent
        $0.attempts = max($0.attempts, attempt)
        $0.status = nil
      }
    case .firstToken(let task, let began):
      update(task, nil) {
        $0.host = began.host
        $0.model = began.model
        $0.firstTokenMilliseconds = began.firstTokenMilliseconds
      }
    case .ended(let ended):
      update(ended.task, ended.role) {
        $0.status = ended.status
        $0.reason = ended.reason
        if !ended.agent.isEmpty { $0.agent = ended.agent }
        guard let report = ended.report else { return }
        $0.host = report.host
        $0.model = report.model
        $0.usage = report.usage
        $0.firstTokenMilliseconds = report.firstTokenMilliseconds
        $0.totalMilliseconds = report.totalMilliseconds
      }
      if let report = ended.report { finished[ended.task] = report }
    case .expanded: break
    case .delta: hasBegun = true
    case .finished(let finished): ending = finished
    }
  }

  private mutating func update(
    _ task: TaskID, _ role: AgentRole?, _ change: (inout TaskLine) -> Void
  ) {
    if let index = tasks.firstIndex(where: { $0.id == task }) {
      change(&tasks[index])
    } else if let role {
      var line = TaskLine(id: task, role: role, agent: "")
      change(&line)
      tasks.append(line)
    }
  }

  /// Summed over all tasks, also over those that an earlier dispatcher ran.
  public var usage: Usage {
    let own = tasks.reduce(Usage.zero) { $0 + $1.usage }
    guard let told = ending?.usage, told.totalTokens > own.totalTokens else { return own }
    return told
  }

  /// The hosts that worked on it, each once.
  public var hosts: [HostID] {
    var hosts: [HostID] = []
    for host in tasks.compactMap(\.host) where !hosts.contains(host) { hosts.append(host) }
    return hosts
  }

  // MARK: - For the client

  /// What a progress line says of an event; nil: nothing.
  public static func progress(_ event: PlanEvent) -> JSON? {
    switch event {
    case .started(let task, let role, let agent, let attempt):
      return [
        "event": "task_started", "task": .string(task.name), "role": .string(role.rawValue),
        "agent": .string(agent), "attempt": .integer(attempt),
      ]
    case .firstToken(let task, let began):
      return [
        "event": "first_token", "task": .string(task.name), "host": .string(began.host.name),
        "model": .string(began.model.name),
        "first_token_ms": .integer(began.firstTokenMilliseconds),
      ]
    case .ended(let ended):
      var members: [(String, JSON)] = [
        ("event", "task_ended"), ("task", .string(ended.task.name)),
        ("role", .string(ended.role.rawValue)), ("status", .string(ended.status.rawValue)),
      ]
      if !ended.reason.isEmpty { members.append(("reason", .string(ended.reason))) }
      if let report = ended.report {
        members += [
          ("host", .string(report.host.name)), ("model", .string(report.model.name)),
          ("tokens", .integer(report.usage.completionTokens)),
          ("total_ms", .integer(report.totalMilliseconds)),
        ]
      }
      return .object(members)
    case .expanded, .delta, .finished: return nil
    }
  }

  /// The member `tutti` of the last chunk or of the body.
  public func json(trace: TraceID, pattern: String, seed: UInt64) -> JSON {
    TraceExtension.json(
      trace: trace, pattern: pattern, seed: seed, tasks: tasks, hosts: hosts,
      sinkUsage: ending?.sinkUsage ?? .zero)
  }
}

/// What `"trace": true` adds to an answer.
public enum TraceExtension {
  public static func json(
    trace: TraceID, pattern: String, seed: UInt64, tasks: [PlanTrace.TaskLine], hosts: [HostID],
    sinkUsage: Usage, attempts: [Attempt]? = nil
  ) -> JSON {
    var byHost: [(HostID, Usage)] = []
    for task in tasks {
      guard let host = task.host else { continue }
      if let index = byHost.firstIndex(where: { $0.0 == host }) {
        byHost[index].1 = byHost[index].1 + task.usage
      } else {
        byHost.append((host, task.usage))
      }
    }
    var members: [(String, JSON)] = [
      ("trace_id", .string(trace.description)), ("pattern", .string(pattern)),
      // As a string: seeds have 64 bits, and JavaScript's numbers have 53.
      ("seed", .string(String(Int64(bitPattern: seed)))),
      ("tasks", .array(tasks.map(line))), ("hosts", .array(hosts.map { .string($0.name) })),
      ("usage_by_host", .object(byHost.map { ($0.0.name, ChatComposer.usage($0.1)) })),
      ("sink_usage", ChatComposer.usage(sinkUsage)),
    ]
    if let attempts { members.append(("attempts", .array(attempts.map(\.json)))) }
    return .object(members)
  }

  /// One host answered, without a plan.
  public static func direct(
    trace: TraceID, seed: UInt64, host: HostID, model: ModelID, usage: Usage,
    firstToken: Duration, total: Duration, attempts: [Attempt]
  ) -> JSON {
    var line = PlanTrace.TaskLine(id: "direct", role: .reasoning, agent: "")
    line.host = host
    line.model = model
    line.status = .done
    line.usage = usage
    line.firstTokenMilliseconds = Int(firstToken.wholeMilliseconds)
    line.totalMilliseconds = Int(total.wholeMilliseconds)
    var hosts: [HostID] = []
    for host in attempts.map(\.host) where !hosts.contains(host) { hosts.append(host) }
    return json(
      trace: trace, pattern: "direct", seed: seed, tasks: [line], hosts: hosts, sinkUsage: usage,
      attempts: attempts)
  }

  /// One host that was asked.
  public struct Attempt: Hashable, Sendable {
    var host: HostID
    var role: String
    var outcome: String
    var tokens: Int
    var started: Duration
    var ended: Duration

    /// - Parameters:
    ///   - role: why it was asked.
    ///   - started: since the request, as `ended` is.
    public init(
      host: HostID, role: String, outcome: String, tokens: Int, started: Duration, ended: Duration
    ) {
      self.host = host
      self.role = role
      self.outcome = outcome
      self.tokens = tokens
      self.started = started
      self.ended = ended
    }

    var json: JSON {
      [
        "host": .string(host.name), "role": .string(role), "outcome": .string(outcome),
        "tokens": .integer(tokens), "started_ms": .integer(Int(started.wholeMilliseconds)),
        "ended_ms": .integer(Int(ended.wholeMilliseconds)),
      ]
    }
  }

  private static func line(_ task: PlanTrace.TaskLine) -> JSON {
    var members: [(String, JSON)] = [("id", .string(task.id.name))]
    // What no agent did has no role.
    let hasAgent = !task.agent.isEmpty
    members += [
      ("role", hasAgent ? .string(task.role.rawValue) : nil),
      ("agent", hasAgent ? .string(task.agent) : nil),
      ("host", task.host.map { .string($0.name) } ?? nil),
      ("model", task.model.map { .string($0.name) } ?? nil),
      ("status", .string(task.status?.rawValue ?? "unfinished")),
      ("first_token_ms", .integer(task.firstTokenMilliseconds)),
      ("total_ms", .integer(task.totalMilliseconds)),
      ("tokens", .integer(task.usage.completionTokens)),
      ("usage", ChatComposer.usage(task.usage)),
    ]
    if !task.reason.isEmpty { members.append(("reason", .string(task.reason))) }
    return .object(members)
  }
}
