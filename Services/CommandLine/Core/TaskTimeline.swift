public import ClusterModel

/// The tasks of one trace, with their times and hosts, and the critical path.
public struct TaskTimeline: Sendable {
  /// One agent's work on one task, or a phase without a task.
  public struct Bar: Equatable, Sendable {
    /// The task's id, or the phase's name if the bar has no task.
    public var name: String
    public var role: String
    /// `nil` means that no host answered.
    public var host: String?
    public var model: String?
    /// Number of the attempt at the task. The first attempt has 1.
    public var attempt: Int
    /// Microseconds since the request arrived.
    public var start: UInt64
    public var end: UInt64
    /// Microseconds since the request arrived. `nil` means that no token arrived.
    public var firstToken: UInt64?
    public var promptTokens: Int?
    public var completionTokens: Int?
    /// Every host that was asked, with its outcome: "embedded-1 answered".
    public var race: [String]
    /// Why the task failed. Empty means that the task did not fail.
    public var error: String
    /// Whether the task is on the critical path, so that the answer had to wait for it.
    public var isCritical = false
    public var isTask: Bool
  }

  /// Sorted by start.
  public let bars: [Bar]
  /// Microseconds of the whole request.
  public let length: UInt64
  /// Tasks that were skipped, degraded or failed, each with its reason.
  public let departures: [PlanSpanFacts.Departure]

  public init(_ spans: [SpanRecord]) {
    let origin = spans.map(\.startUnixMicroseconds).min() ?? 0
    let tasks = spans.filter {
      $0.name == LifecyclePhase.task.rawValue && TaskSpanFacts($0.attributes).task != nil
    }
    let work = Dictionary(grouping: spans, by: \.parent)
    var bars = tasks.map { Self.bar($0, work[$0.span] ?? [], origin) }
    if !bars.isEmpty {
      let phases: [LifecyclePhase] = [.planning, .expansion, .delivery]
      bars += spans.filter { span in phases.contains { $0.rawValue == span.name } }
        .map { Self.bar($0, [], origin) }
    }
    bars.sort { ($0.start, $0.name, $0.attempt) < ($1.start, $1.name, $1.attempt) }
    let dispatches = spans.filter { $0.name == LifecyclePhase.dispatch.rawValue }
      .sorted { $0.startUnixMicroseconds < $1.startUnixMicroseconds }
    let facts = dispatches.map { PlanSpanFacts($0.attributes) }
    let critical = Self.criticalPath(bars, Self.inputs(facts.last))
    for index in bars.indices where bars[index].isTask {
      bars[index].isCritical = critical.contains(bars[index].name)
    }
    self.bars = bars
    length =
      spans.map { $0.startUnixMicroseconds - origin &+ $0.durationMicroseconds }.max() ?? 0
    departures = facts.flatMap(\.departures)
  }

  private static func bar(_ span: SpanRecord, _ work: [SpanRecord], _ origin: UInt64) -> Bar {
    let start = span.startUnixMicroseconds - origin
    let facts = TaskSpanFacts(span.attributes)
    let agent = work.first { $0.name == LifecyclePhase.work.rawValue }?.attributes ?? []
    let done = TaskSpanFacts(agent)
    let firstToken = facts.firstTokenMilliseconds.map { UInt64(clamping: $0) }
    return Bar(
      name: facts.task?.name ?? span.name, role: facts.role?.rawValue ?? "",
      host: (facts.host ?? done.host)?.name, model: (done.model ?? facts.model)?.name,
      attempt: facts.attempt ?? 1, start: start, end: start &+ span.durationMicroseconds,
      firstToken: firstToken.map { start &+ min($0, 1 << 40) * 1_000 },
      promptTokens: facts.promptTokens ?? done.promptTokens,
      completionTokens: facts.completionTokens ?? done.completionTokens,
      race: AttemptFacts.all(in: agent).map { "\($0.host) \($0.outcome)" },
      error: span.failed ? facts.reason ?? facts.error ?? "failed" : "",
      isTask: facts.task != nil)
  }

  /// For each task, the tasks that it waited for: its inputs, and the task whose expansion added
  /// it.
  private static func inputs(_ facts: PlanSpanFacts?) -> [String: [String]] {
    var inputs: [String: [String]] = [:]
    for dependency in facts?.dependencies ?? [] {
      inputs[dependency.task.name] =
        (dependency.inputs + [dependency.origin].compactMap { $0 }).map(\.name)
    }
    return inputs
  }

  /// Names of the tasks on the critical path.
  /// The search starts at the sink, or at the task that ended last if the plan is unknown. Each
  /// step goes from a task to the input that ended last. The task whose expansion added a task
  /// counts as an input, too.
  private static func criticalPath(_ bars: [Bar], _ inputs: [String: [String]]) -> Set<String> {
    var ends: [String: UInt64] = [:]
    for bar in bars where bar.isTask { ends[bar.name] = max(ends[bar.name] ?? 0, bar.end) }
    var memo: [String: UInt64] = [:]
    /// Time at which a task ended. A task without an agent ended with the last of its inputs.
    func end(_ name: String, _ depth: Int) -> UInt64 {
      if let known = ends[name] ?? memo[name] { return known }
      let latest = depth > 64 ? 0 : (inputs[name] ?? []).map { end($0, depth + 1) }.max() ?? 0
      memo[name] = latest
      return latest
    }
    let read = Set(inputs.values.joined())
    let sinks = inputs.keys.filter { !read.contains($0) }.sorted()
    let last = ends.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
    var path: Set<String> = []
    var next = sinks.max { end($0, 0) < end($1, 0) } ?? last
    while let name = next, path.insert(name).inserted {
      if let known = inputs[name] {
        next = known.max { (end($0, 0), $0) < (end($1, 0), $1) }
      } else {
        // The plan is unknown, so take the task that ended last before this task began.
        let began = bars.filter { $0.isTask && $0.name == name }.map(\.start).min() ?? 0
        next =
          ends.filter { $0.value <= began }
          .max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
      }
    }
    return path
  }
}
