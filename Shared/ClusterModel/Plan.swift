/// What a plan is made from. The planner sees nothing else, so the same facts give the same plan.
public struct PlanRequest: Equatable, Sendable {
  /// The name the client asked for, for example `tutti/ensemble`.
  public var pattern: String
  /// Text of the last user message, cut to 64 KiB.
  public var query: String
  /// Models the client named; empty: all eligible.
  public var models: [ModelID]
  public var members: Int?
  public var rounds: Int?
  public var quorum: Int?
  public var seed: UInt64
  /// The client's own `max_tokens`.
  public var maxTokens: Int?
  /// Chat models that some eligible host offers now.
  public var available: [ModelID]
  public var budgetTokens: Int?
  public var dataPolicy: DataPolicy

  public init(
    pattern: String, query: String, models: [ModelID] = [], members: Int? = nil,
    rounds: Int? = nil, quorum: Int? = nil, seed: UInt64, maxTokens: Int? = nil,
    available: [ModelID], budgetTokens: Int? = nil, dataPolicy: DataPolicy = .any
  ) {
    self.pattern = pattern
    self.query = query
    self.models = models
    self.members = members
    self.rounds = rounds
    self.quorum = quorum
    self.seed = seed
    self.maxTokens = maxTokens
    self.available = available
    self.budgetTokens = budgetTokens
    self.dataPolicy = dataPolicy
  }
}

/// A directed acyclic graph of tasks, one of which, the sink, writes the answer.
public struct Plan: Equatable, Sendable {
  public var id: PlanID
  public var pattern: String
  public var tasks: [PlanTask]
  public var sink: TaskID
  public var seed: UInt64
  /// For the whole plan, from its start.
  public var deadline: Duration

  public init(
    id: PlanID, pattern: String, tasks: [PlanTask], sink: TaskID, seed: UInt64, deadline: Duration
  ) {
    self.id = id
    self.pattern = pattern
    self.tasks = tasks
    self.sink = sink
    self.seed = seed
    self.deadline = deadline
  }
}

/// How a task uses its inputs.
public enum MergeRule: String, Codable, CaseIterable, Sendable {
  /// It has none.
  case none
  /// A model writes one answer from them.
  case synthesise
}

/// What becomes of the plan when a task fails for good.
public enum FailureRule: String, Codable, CaseIterable, Sendable {
  /// The plan fails, naming the task and the reason.
  case fail
  /// Those that read its output go on without it, as long as their quorum is met.
  case skip
}

/// A task reads another task's output under a name that its instruction knows.
public struct Edge: Hashable, Sendable {
  public var from: TaskID
  public var name: String

  public init(from: TaskID, name: String) {
    self.from = from
    self.name = name
  }
}

/// One piece of work for one agent.
public struct PlanTask: Equatable, Sendable {
  public var id: TaskID
  public var role: AgentRole
  /// Said to the model after the conversation; empty: the conversation is enough.
  public var instruction: String
  public var inputs: [Edge]
  public var merge: MergeRule
  public var onFailure: FailureRule
  /// How many inputs must have succeeded before it may run; nil: all of them.
  public var quorum: Int?
  /// The model it should be done with; nil: the agent chooses.
  public var model: ModelID?
  public var maxTokens: Int?
  /// From the task's start; nil: what is left of the plan's.
  public var deadline: Duration?
  /// Sampling temperature in thousandths; nil: the role's own. Never overrides the client's.
  public var temperatureMilli: Int?
  public var seed: UInt64

  public init(
    id: TaskID, role: AgentRole, instruction: String = "", inputs: [Edge] = [],
    merge: MergeRule = .none, onFailure: FailureRule = .fail, quorum: Int? = nil,
    model: ModelID? = nil, maxTokens: Int? = nil, deadline: Duration? = nil,
    temperatureMilli: Int? = nil, seed: UInt64 = 0
  ) {
    self.id = id
    self.role = role
    self.instruction = instruction
    self.inputs = inputs
    self.merge = merge
    self.onFailure = onFailure
    self.quorum = quorum
    self.model = model
    self.maxTokens = maxTokens
    self.deadline = deadline
    self.temperatureMilli = temperatureMilli
    self.seed = seed
  }
}
