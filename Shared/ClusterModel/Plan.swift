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
  /// For all tasks together, prompts included; nil: no limit.
  public var budgetTokens: Int?
  public var dataPolicy: DataPolicy
  /// The hosts that may work on it, with their speed; at most `PlanValidation.maximumHosts`.
  public var hosts: [HostFacts]
  /// Documents that came with the request, without their texts.
  public var documents: [DocumentFacts]
  /// Estimated tokens of the whole conversation.
  public var conversationTokens: Int
  /// The client wants JSON, or gave tools: the answer has one form, and nothing may be added to it.
  public var isStructured: Bool
  /// What became of earlier estimates on these hosts.
  public var correction: EstimateCorrection

  public init(
    pattern: String, query: String, models: [ModelID] = [], members: Int? = nil,
    rounds: Int? = nil, quorum: Int? = nil, seed: UInt64, maxTokens: Int? = nil,
    available: [ModelID], budgetTokens: Int? = nil, dataPolicy: DataPolicy = .any,
    hosts: [HostFacts] = [], documents: [DocumentFacts] = [], conversationTokens: Int = 0,
    isStructured: Bool = false, correction: EstimateCorrection = .none
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
    self.hosts = hosts
    self.documents = documents
    self.conversationTokens = conversationTokens
    self.isStructured = isStructured
    self.correction = correction
  }
}

/// What a planner knows of a host: enough to estimate how long it will take.
public struct HostFacts: Hashable, Sendable {
  public var id: HostID
  /// Chat models it offers.
  public var models: [ModelID]
  /// Requests it can take at once, less those it has.
  public var freeSlots: Int
  /// Tokens a second of one answer, in thousandths; 0: nobody has measured it.
  public var rateMilli: Int
  /// Until the first token; 0: nobody has measured it.
  public var firstTokenMilliseconds: Int
  /// How answers slow each other down there, in percent (`HostSharing`); nil: nobody has measured it.
  public var slowdownPercent: Int?

  public init(
    id: HostID, models: [ModelID], freeSlots: Int = 1, rateMilli: Int = 0,
    firstTokenMilliseconds: Int = 0, slowdownPercent: Int? = nil
  ) {
    self.id = id
    self.models = models
    self.freeSlots = freeSlots
    self.rateMilli = rateMilli
    self.firstTokenMilliseconds = firstTokenMilliseconds
    self.slowdownPercent = slowdownPercent
  }
}

/// What a planner knows of a document.
public struct DocumentFacts: Hashable, Sendable {
  public var name: String
  public var bytes: Int

  public init(name: String, bytes: Int) {
    self.name = name
    self.bytes = bytes
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
  /// Why it is this plan, in a sentence for the trace; empty: it was asked for.
  public var reason: String
  /// How often it was expanded by now.
  public var expansions: Int
  /// What was expected of it, and of the other way; nil: nothing was compared.
  public var estimate: PlanEstimate?

  public init(
    id: PlanID, pattern: String, tasks: [PlanTask], sink: TaskID, seed: UInt64,
    deadline: Duration, reason: String = "", expansions: Int = 0, estimate: PlanEstimate? = nil
  ) {
    self.id = id
    self.pattern = pattern
    self.tasks = tasks
    self.sink = sink
    self.seed = seed
    self.deadline = deadline
    self.reason = reason
    self.expansions = expansions
    self.estimate = estimate
  }
}
