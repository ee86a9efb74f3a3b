/// A step of a running plan, as a gateway reports it.
/// It arrives in a comment line, `tutti {…}`, or `tutti […]` if several steps happened at once.
public struct ProgressStep: Decodable, Equatable, Sendable {
  public enum Event: String, Sendable {
    case planned, expanded
    case started = "task_started"
    case firstToken = "first_token"
    case ended = "task_ended"
  }

  /// One task of the plan, as the plan is after this step.
  public struct Outline: Decodable, Equatable, Sendable {
    var task: String
    /// `nil` means that the task is computed without an agent.
    var role: String?
    var inputs: [String]?

    public init(task: String, role: String? = nil, inputs: [String]? = nil) {
      self.task = task
      self.role = role
      self.inputs = inputs
    }
  }

  /// Totals of the documents that did not fit a task's prompt.
  struct Excerpt: Decodable, Equatable, Sendable {
    var documents: Int
    var bytes: Int
    var readBytes: Int

    enum CodingKeys: String, CodingKey {
      case documents, bytes
      case readBytes = "read_bytes"
    }
  }

  /// The gateway's name of the event. A newer gateway may send names that this command does not
  /// know.
  var event: String
  var task: String?
  public var role: String?
  var host: String?
  var model: String?
  var status: String?
  var reason: String?
  var pattern: String?
  var attempt: Int?
  var tokens: Int?
  /// The task whose text stands in for this task's.
  var textOf: String?
  var totalMilliseconds: Int?
  /// Number of tasks that an expansion added.
  var added: Int?
  /// All tasks, if the plan is new or has changed.
  public var tasks: [Outline]?
  /// `nil` means that the task read its documents whole, or that no host has answered yet.
  var excerpt: Excerpt?

  enum CodingKeys: String, CodingKey {
    case event, task, role, host, model, status, reason, pattern, attempt, tokens, added, tasks
    case excerpt
    case textOf = "text_of"
    case totalMilliseconds = "total_ms"
  }

  public init(_ event: Event, task: String? = nil) {
    self.event = event.rawValue
    self.task = task
  }

  /// The step as one line, for an output that is not a terminal.
  public var line: String {
    var words = [event.replacing("_", with: " ")]
    if let task { words.append(task) }
    switch Event(rawValue: event) {
    case .planned:
      words.append(pattern ?? "")
      words.append("with \(counted(tasks?.count ?? 0, "task"))")
    case .expanded: words.append("to \(counted(added ?? 0, "more task", "more tasks"))")
    case .started, .firstToken, .ended, nil:
      if let role { words.append("by \(role)") }
      if let host { words.append("on \(host)") }
      if let attempt { words.append("(attempt \(attempt))") }
      if let status, status != "done" { words.append("(\(status))") }
      if let excerpt, Event(rawValue: event) == .firstToken {
        words.append("(excerpt of \(counted(excerpt.documents, "document")))")
      }
    }
    let line = words.filter { !$0.isEmpty }.joined(separator: " ")
    return reason.flatMap { $0.isEmpty ? nil : "\(line): \($0)" } ?? line
  }

  private func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(count) \(count == 1 ? one : many ?? one + "s")"
  }
}
