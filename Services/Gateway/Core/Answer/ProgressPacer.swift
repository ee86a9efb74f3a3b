public import ClusterModel
import Limits
import Text

/// Paces the progress lines of a plan: at most one comment line per `interval`. The line has the
/// latest state of every task that changed. A task that started and ended within one interval is
/// reported once, as ended.
public struct ProgressPacer: Sendable {
  /// Minimum time between lines. A person does not read faster, and lines of 64 concurrent tasks
  /// cost almost nothing at this rate.
  static let interval = Duration.milliseconds(100)

  private enum Step: Hashable {
    case planned
    case expanded(Int)
    case task(TaskID)
  }

  private var waiting: [Step] = []
  private var lastLine: Instant?
  private var expansions = 0

  public init() {}

  /// Records that the plan was made.
  public mutating func plan() { add(.planned) }

  public mutating func note(_ event: PlanEvent) {
    switch event {
    case .started(let task, _, _, _): add(.task(task))
    case .firstToken(let task, _): add(.task(task))
    case .ended(let ended): add(.task(ended.task))
    case .expanded:
      add(.expanded(expansions))
      expansions += 1
    case .delta, .finished: break
    }
  }

  private mutating func add(_ step: Step) {
    if !waiting.contains(step) { waiting.append(step) }
  }

  /// When the next line is due. `nil` means that nothing has changed.
  public var due: Instant? {
    waiting.isEmpty ? nil : lastLine.map { $0 + Self.interval } ?? .zero
  }

  /// Returns the line that is due. `nil` means that nothing has changed or that it is too early.
  public mutating func take(from trace: PlanTrace, now: Instant) -> [UInt8]? {
    guard let due, due <= now else { return nil }
    lastLine = now
    return rest(from: trace)
  }

  /// Returns all progress that was not reported yet, without waiting for the interval.
  public mutating func rest(from trace: PlanTrace) -> [UInt8]? {
    guard !waiting.isEmpty else { return nil }
    let steps = waiting.compactMap { Self.json($0, trace) }
    waiting = []
    guard let first = steps.first else { return nil }
    return Array("tutti ".utf8) + (steps.count == 1 ? first : .array(steps)).encoded
  }

  // MARK: - Format

  private static func json(_ step: Step, _ trace: PlanTrace) -> JSON? {
    switch step {
    case .planned:
      var members: [(String, JSON)] = [
        ("event", "planned"), ("pattern", .string(trace.plan.pattern)),
      ]
      if !trace.plan.reason.isEmpty { members.append(("reason", .string(trace.plan.reason))) }
      return .object(members + [("tasks", .array(trace.tasks.map(outline)))])
    case .expanded(let index):
      guard trace.expansions.indices.contains(index) else { return nil }
      let expansion = trace.expansions[index]
      // All tasks are listed, because tasks that read the expanded task may now read another task.
      return [
        "event": "expanded", "task": .string(expansion.task.name),
        "added": .integer(expansion.tasks.count), "tasks": .array(trace.tasks.map(outline)),
      ]
    case .task(let id): return trace.task(id).map(line)
    }
  }

  private static func outline(_ task: PlanTrace.TaskLine) -> JSON {
    [
      "task": .string(task.id.name),
      "role": task.merge.isMechanical ? nil : .string(task.role.rawValue),
      "inputs": .array(task.inputs.map { .string($0.name) }),
    ]
  }

  /// Returns only totals, so that the line stays short. The trace names the documents.
  private static func excerpt(_ excerpts: [DocumentExcerpt]) -> JSON {
    [
      "documents": .integer(excerpts.count),
      "bytes": .integer(excerpts.reduce(0) { $0.addingCapped($1.bytes) }),
      "read_bytes": .integer(excerpts.reduce(0) { $0.addingCapped($1.readBytes) }),
    ]
  }

  private static func line(_ task: PlanTrace.TaskLine) -> JSON {
    let event =
      task.status != nil ? "task_ended" : task.host != nil ? "first_token" : "task_started"
    var members: [(String, JSON)] = [("event", .string(event)), ("task", .string(task.id.name))]
    if !task.agent.isEmpty {
      members += [("role", .string(task.role.rawValue)), ("agent", .string(task.agent))]
    }
    if task.attempts > 1 { members.append(("attempt", .integer(task.attempts))) }
    if let status = task.status { members.append(("status", .string(status.rawValue))) }
    if !task.reason.isEmpty { members.append(("reason", .string(task.reason))) }
    if let source = task.textOf { members.append(("text_of", .string(source.name))) }
    if let host = task.host {
      members.append(("host", .string(host.name)))
      if let model = task.model { members.append(("model", .string(model.name))) }
      members.append(("first_token_ms", .integer(task.firstTokenMilliseconds)))
      if !task.excerpts.isEmpty { members.append(("excerpt", excerpt(task.excerpts))) }
    }
    if task.status == .done || task.status == .degraded {
      members += [
        ("tokens", .integer(task.usage.completionTokens)),
        ("total_ms", .integer(task.totalMilliseconds)),
      ]
    }
    return .object(members)
  }
}
