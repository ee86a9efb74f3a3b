/// One piece of work: for one agent, or, where its merge is mechanical, for the dispatcher itself.
public struct PlanTask: Equatable, Sendable {
  public var id: TaskID
  /// Of no meaning where the merge is mechanical.
  public var role: AgentRole
  /// Said to the model after the conversation; empty: the conversation is enough.
  public var instruction: String
  public var inputs: [Edge]
  public var merge: MergeRule
  public var contract: OutputContract
  public var onFailure: FailureRule
  /// How many inputs must have succeeded before it may run; nil: all of them.
  public var quorum: Int?
  /// The model it should be done with; nil: the agent chooses.
  public var model: ModelID?
  /// Models that it may be done with when no host answers with `model`, in this order; empty: there is
  /// no other way.
  public var alternatives: [ModelID]
  public var maxTokens: Int?
  /// From the task's start; nil: what is left of the plan's.
  public var deadline: Duration?
  /// Its weight when what is left of the plan's time is shared along the longest way to the sink;
  /// nil: it may use all that is left. Shares are computed when a task starts, so time that earlier
  /// ones saved is everybody's.
  public var deadlineShare: Int?
  /// Sampling temperature in thousandths; nil: the profile's. Never overrides the client's.
  public var temperatureMilli: Int?
  /// How to sample where neither the client nor `temperatureMilli` says; nil: the role's own.
  public var profile: SamplingProfile?
  public var seed: UInt64
  /// Where its prompt may go; nil: where the plan's may. Never wider than the plan's.
  public var dataPolicy: DataPolicy?
  /// Whether it is given the client's conversation, or its instruction and inputs alone.
  public var readsConversation: Bool
  /// Names of the documents that it reads; `[PlanTask.everyDocument]`: all of them.
  public var documents: [String]
  /// When it has ended, the planner is asked under this name what shall follow from its output; the
  /// tasks that come back are spliced into the plan. nil: nothing follows.
  public var expansion: String?
  /// Its instruction says that its output stands behind this; what it writes before is for itself alone.
  /// nil: all that it writes is its output.
  public var mark: String?

  public static let everyDocument = "*"

  public init(
    id: TaskID, role: AgentRole, instruction: String = "", inputs: [Edge] = [],
    merge: MergeRule = .none, contract: OutputContract = .text, onFailure: FailureRule = .fail,
    quorum: Int? = nil, model: ModelID? = nil, alternatives: [ModelID] = [], maxTokens: Int? = nil,
    deadline: Duration? = nil,
    deadlineShare: Int? = nil, temperatureMilli: Int? = nil, profile: SamplingProfile? = nil,
    seed: UInt64 = 0, dataPolicy: DataPolicy? = nil, readsConversation: Bool = true,
    documents: [String] = [], expansion: String? = nil, mark: String? = nil
  ) {
    self.id = id
    self.role = role
    self.instruction = instruction
    self.inputs = inputs
    self.merge = merge
    self.contract = contract
    self.onFailure = onFailure
    self.quorum = quorum
    self.model = model
    self.alternatives = alternatives
    self.maxTokens = maxTokens
    self.deadline = deadline
    self.deadlineShare = deadlineShare
    self.temperatureMilli = temperatureMilli
    self.profile = profile
    self.seed = seed
    self.dataPolicy = dataPolicy
    self.readsConversation = readsConversation
    self.documents = documents
    self.expansion = expansion
    self.mark = mark
  }
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

/// How a task uses its inputs.
public enum MergeRule: String, Codable, CaseIterable, Sendable {
  /// It has none.
  case none
  /// One after the other, in the order of the inputs, a blank line between them.
  case concatenate
  /// The last of the inputs that succeeded stands for all of them: a repaired draft for the draft.
  case replace
  /// The one that most of them say, once they are normalised. It ends as soon as what is missing
  /// cannot change the majority.
  case vote
  /// How far they agree, as JSON (`Agreement`); the texts themselves stay where they are.
  case agree
  /// A model writes a shorter text from them.
  case summarise
  /// A model writes one answer from them.
  case synthesise

  /// Whether the dispatcher computes it from the texts alone, at once and at no cost. A merge needs a
  /// model exactly when its result has sentences that no input has.
  public var isMechanical: Bool {
    switch self {
    case .concatenate, .replace, .vote, .agree: true
    case .none, .summarise, .synthesise: false
    }
  }
}

/// What a task's output has to be.
public enum OutputContract: Hashable, Sendable {
  case text
  /// One JSON value that fits a JSON Schema.
  case json(schema: String)
  /// One of these words.
  case choice([String])
  /// An embedding: an array of numbers.
  case vector
}

/// What becomes of the plan when a task fails for good.
public enum FailureRule: String, Codable, CaseIterable, Sendable {
  /// The plan fails, naming the task and the reason.
  case fail
  /// Those that read its output go on without it, as long as their quorum is met.
  case skip
  /// Those that read its output get what it had: what it wrote so far, else its first input.
  case degrade
}

/// How to sample, by the kind of the query. An agent knows the numbers.
public enum SamplingProfile: String, Codable, CaseIterable, Sendable {
  case factual, creative, code, reasoning, extraction
}
