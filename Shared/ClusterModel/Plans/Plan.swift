/// Complete input of the planner, so the same request gives the same plan.
public struct PlanRequest: Equatable, Sendable {
  /// Model name in the client's request, for example `tutti/ensemble`.
  public var pattern: String
  /// Text of the last user message, cut to 64 KiB.
  public var query: String
  /// Models that the client named. Empty means all eligible models.
  public var models: [ModelID]
  public var members: Int?
  public var rounds: Int?
  public var quorum: Int?
  public var seed: UInt64
  /// The client's `max_tokens`.
  public var maxTokens: Int?
  /// Chat models of eligible hosts from which the planner may choose.
  public var available: [ModelID]
  /// Token budget for all tasks together, including prompts. `nil` means no limit.
  public var budgetTokens: Int?
  public var dataPolicy: DataPolicy
  /// Hosts that may work on the plan, with their speed. At most `PlanValidation.maximumHosts`.
  public var hosts: [HostFacts]
  /// Documents of the request, without their text.
  public var documents: [DocumentFacts]
  /// Estimated tokens of the whole conversation.
  public var conversationTokens: Int
  /// Whether the client wants JSON or gave tools. If so, the answer has a fixed form, and nothing
  /// may be added to it.
  public var isStructured: Bool
  /// Correction factors learned from earlier estimates on these hosts.
  public var correction: EstimateCorrection
  /// Whether the client gave tools. Calls of tools are not compared, so one call answers.
  public var hasTools: Bool
  /// Whether a host offers a model for embeddings that the request may use.
  public var hasEmbedder: Bool
  /// The client's temperature in thousandths. `nil` means that the client set none.
  public var temperatureMilli: Int?
  /// Skills of available models, at most `Limits.planSkills`.
  public var skills: [ModelSkill]
  /// Gains of patterns over available models, at most `Limits.planSkills`.
  public var gains: [PatternGain]

  public init(
    pattern: String, query: String, models: [ModelID] = [], members: Int? = nil,
    rounds: Int? = nil, quorum: Int? = nil, seed: UInt64, maxTokens: Int? = nil,
    available: [ModelID], budgetTokens: Int? = nil, dataPolicy: DataPolicy = .any,
    hosts: [HostFacts] = [], documents: [DocumentFacts] = [], conversationTokens: Int = 0,
    isStructured: Bool = false, correction: EstimateCorrection = .none, hasTools: Bool = false,
    hasEmbedder: Bool = false, temperatureMilli: Int? = nil, skills: [ModelSkill] = [],
    gains: [PatternGain] = []
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
    self.hasTools = hasTools
    self.hasEmbedder = hasEmbedder
    self.temperatureMilli = temperatureMilli
    self.skills = skills
    self.gains = gains
  }
}

/// Facts about a host from which a planner estimates times.
public struct HostFacts: Hashable, Sendable {
  public var id: HostID
  /// Chat models of the host from which the planner may choose.
  public var models: [ModelID]
  /// Slots minus requests in flight.
  public var freeSlots: Int
  /// Tokens per second of one answer, in thousandths. 0 means not measured.
  public var rateMilli: Int
  /// Time to the first token. 0 means not measured.
  public var firstTokenMilliseconds: Int
  /// How much concurrent answers slow each other down, in percent (`HostSharing`). `nil` means not
  /// measured.
  public var slowdownPercent: Int?
  /// Contexts of the models in tokens. A model that is missing has no reported context.
  public var contextTokens: [ModelID: Int]

  public init(
    id: HostID, models: [ModelID], freeSlots: Int = 1, rateMilli: Int = 0,
    firstTokenMilliseconds: Int = 0, slowdownPercent: Int? = nil,
    contextTokens: [ModelID: Int] = [:]
  ) {
    self.id = id
    self.models = models
    self.freeSlots = freeSlots
    self.rateMilli = rateMilli
    self.firstTokenMilliseconds = firstTokenMilliseconds
    self.slowdownPercent = slowdownPercent
    self.contextTokens = contextTokens
  }
}

extension PlanRequest {
  /// The smallest context that the hosts report for each model, in tokens.
  ///
  /// - Parameter models: models that the agent may choose. Empty means all.
  public func contextTokens(of models: [ModelID]) -> [ModelID: Int] {
    var contexts: [ModelID: Int] = [:]
    for host in hosts {
      for (model, tokens) in host.contextTokens where models.isEmpty || models.contains(model) {
        contexts[model] = min(tokens, contexts[model] ?? tokens)
      }
    }
    return contexts
  }
}

/// Facts about a document that the planner sees.
public struct DocumentFacts: Hashable, Sendable {
  public var name: String
  public var bytes: Int

  public init(name: String, bytes: Int) {
    self.name = name
    self.bytes = bytes
  }
}

/// A directed acyclic graph of tasks. One of them, the sink, writes the answer.
public struct Plan: Equatable, Sendable {
  /// Value of `pattern` for an answer by one model call, with or without a plan.
  public static let direct = "direct"

  public var id: PlanID
  /// The pattern's model name, such as `tutti/debate`, or `direct`. `tutti/auto` chooses one.
  public var pattern: String
  public var tasks: [PlanTask]
  public var sink: TaskID
  public var seed: UInt64
  /// Time limit for the whole plan, from its start.
  public var deadline: Duration
  /// Why the planner chose this plan, in a sentence for the trace. Empty means that the client
  /// asked for it.
  public var reason: String
  /// Number of expansions so far.
  public var expansions: Int
  /// Estimated times of the plan and of its alternative. `nil` means that no times were compared.
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
