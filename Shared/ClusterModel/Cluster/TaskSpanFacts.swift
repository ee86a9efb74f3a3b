/// Facts about one agent's work on a task. The dispatcher writes them to its `task` span and the
/// agent to its `work` span; `tutti trace` reads both. `nil` means that the span does not have the
/// fact.
public struct TaskSpanFacts: Hashable, Sendable {
  public var task: TaskID?
  public var role: AgentRole?
  /// Peer name of the agent.
  var agent: String?
  /// Number of the attempt at the task, starting at 1.
  public var attempt: Int?
  public var host: HostID?
  public var model: ModelID?
  public var firstTokenMilliseconds: Int?
  public var promptTokens: Int?
  public var completionTokens: Int?
  /// A `Failure.Code`, perhaps of another version of Tutti.
  public var error: String?
  /// The failure's message.
  public var reason: String?

  public init(
    task: TaskID? = nil, role: AgentRole? = nil, agent: String? = nil, attempt: Int? = nil,
    host: HostID? = nil, model: ModelID? = nil, firstTokenMilliseconds: Int? = nil,
    promptTokens: Int? = nil, completionTokens: Int? = nil, error: String? = nil,
    reason: String? = nil
  ) {
    self.task = task
    self.role = role
    self.agent = agent
    self.attempt = attempt
    self.host = host
    self.model = model
    self.firstTokenMilliseconds = firstTokenMilliseconds
    self.promptTokens = promptTokens
    self.completionTokens = completionTokens
    self.error = error
    self.reason = reason
  }

  public var attributes: [Attribute] {
    let facts: [(key: String, value: String?)] = [
      ("task", task?.name), ("role", role?.rawValue), ("agent", agent),
      ("attempt", attempt.map(String.init)), ("host", host?.name), ("model", model?.name),
      ("first_token_ms", firstTokenMilliseconds.map(String.init)),
      ("prompt_tokens", promptTokens.map(String.init)),
      ("completion_tokens", completionTokens.map(String.init)), ("error", error),
      ("reason", reason),
    ]
    return facts.compactMap { fact in fact.value.map { Attribute(fact.key, $0) } }
  }

  public init(_ attributes: [Attribute]) {
    func text(_ key: String) -> String? { attributes.first { $0.key == key }?.value }
    func number(_ key: String) -> Int? { text(key).flatMap { Int($0) } }
    self.init(
      task: text("task").map { TaskID($0) }, role: text("role").flatMap(AgentRole.init(rawValue:)),
      agent: text("agent"), attempt: number("attempt"), host: text("host").map { HostID($0) },
      model: text("model").map { ModelID($0) },
      firstTokenMilliseconds: number("first_token_ms"), promptTokens: number("prompt_tokens"),
      completionTokens: number("completion_tokens"), error: text("error"), reason: text("reason"))
  }
}
