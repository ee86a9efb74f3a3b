/// One unit of work, for one agent or, if its merge is mechanical, for the dispatcher.
public struct PlanTask: Equatable, Sendable {
  public var id: TaskID
  /// Role of the agent that runs the task. Ignored if the merge is mechanical.
  public var role: AgentRole
  /// Instruction to the model after the conversation. Empty means that the conversation suffices.
  public var instruction: String
  public var inputs: [Edge]
  public var merge: MergeRule
  public var contract: OutputContract
  public var onFailure: FailureRule
  /// Minimum number of successful inputs before the task may run. `nil` means all of them.
  public var quorum: Int?
  /// Preferred model. `nil` means that the agent chooses.
  public var model: ModelID?
  /// Models to fall back to, in this order, if no host answers with `model`. Empty means no
  /// fallback.
  public var alternatives: [ModelID]
  public var maxTokens: Int?
  /// Time limit from the task's start. `nil` means the rest of the plan's time.
  public var deadline: Duration?
  /// Weight of the task when the plan's remaining time is shared along the heaviest path from the
  /// task to the sink. Shares are computed when a task starts, so time that earlier tasks saved
  /// benefits all later ones. `nil` means that the task may use all the remaining time.
  public var deadlineShare: Int?
  /// Sampling temperature in thousandths. It never overrides the client's. `nil` means the
  /// profile's.
  public var temperatureMilli: Int?
  /// Sampling profile if neither the client nor `temperatureMilli` sets the sampling. `nil` means
  /// the role's own profile.
  public var profile: SamplingProfile?
  public var seed: UInt64
  /// Hosts that may see the task's prompt, never more than the plan's policy allows. `nil` means
  /// the plan's policy.
  public var dataPolicy: DataPolicy?
  /// Whether the task reads the client's conversation. If not, it reads only its instruction,
  /// inputs and documents.
  public var readsConversation: Bool
  /// Names of the documents that the task reads. `[PlanTask.everyDocument]` means all of them.
  public var documents: [String]
  /// Part of each document that the task reads. `nil` means the whole documents.
  public var documentPart: DocumentPart?
  /// Name of the expansion that the planner computes from the task's output. The resulting tasks
  /// are spliced into the plan. `nil` means no expansion.
  public var expansion: String?
  /// Text after which the output begins, as the instruction asks. Text before it is the model's
  /// working notes. `nil` means that the whole text is the output.
  public var mark: String?
  /// Whose question the task asks.
  public var asking: Asking
  /// Order among the inputs of a `choose` task: the task starts when all inputs of lower stages
  /// have ended and the choice is still open. 0 means at once. It has no effect on other tasks.
  public var stage: Int
  /// Kind of the answer. A task has one exactly if its merge is `choose`.
  public var kind: AnswerKind?

  public static let everyDocument = "*"

  public init(
    id: TaskID, role: AgentRole, instruction: String = "", inputs: [Edge] = [],
    merge: MergeRule = .none, contract: OutputContract = .text, onFailure: FailureRule = .fail,
    quorum: Int? = nil, model: ModelID? = nil, alternatives: [ModelID] = [], maxTokens: Int? = nil,
    deadline: Duration? = nil,
    deadlineShare: Int? = nil, temperatureMilli: Int? = nil, profile: SamplingProfile? = nil,
    seed: UInt64 = 0, dataPolicy: DataPolicy? = nil, readsConversation: Bool = true,
    documents: [String] = [], documentPart: DocumentPart? = nil, expansion: String? = nil,
    mark: String? = nil, asking: Asking = .role, stage: Int = 0, kind: AnswerKind? = nil
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
    self.documentPart = documentPart
    self.expansion = expansion
    self.mark = mark
    self.asking = asking
    self.stage = stage
    self.kind = kind
  }
}

/// Whose question a task asks its model.
public enum Asking: String, Codable, CaseIterable, Sendable {
  /// The role's: its system prompt, instruction, sampling and limits.
  case role
  /// The client's request as a direct call sends it: the client's messages byte for byte, its
  /// parameters and its seed. The output is not normalised.
  case client
  /// As `client`, but with the task's own seed, and with its temperature instead of the client's if
  /// it has one.
  case variation
}

/// One of several parts of a document that are about equally long.
public struct DocumentPart: Hashable, Sendable {
  /// Number of the part, from 1 to `count`.
  public var number: Int
  public var count: Int

  public init(number: Int, count: Int) {
    self.number = number
    self.count = count
  }
}

/// An input: a task reads another task's output under a name that its instruction uses.
public struct Edge: Hashable, Sendable {
  public var from: TaskID
  public var name: String
  /// Use of the input by a `choose` task. All inputs of other tasks are drafts.
  public var use: EdgeUse
  /// Weight of the input's vote in a `choose` task, from 1 to 1,000 thousandths.
  public var weightMilli: Int

  public init(from: TaskID, name: String, use: EdgeUse = .draft, weightMilli: Int = 1_000) {
    self.from = from
    self.name = name
    self.use = use
    self.weightMilli = weightMilli
  }
}

/// Use of an input by a `choose` task.
public enum EdgeUse: String, Codable, CaseIterable, Sendable {
  /// An answer that was written without sight of the others. The first one is the anchor.
  case draft
  /// An answer whose author has seen other answers. It is no independent evidence.
  case revision
  /// Similarities of the drafts by their meaning, no answer.
  case meanings
}

/// How a task combines its inputs.
public enum MergeRule: String, Codable, CaseIterable, Sendable {
  /// The task has no inputs.
  case none
  /// Inputs in order, with a blank line between them.
  case concatenate
  /// The last input that succeeded. For example, a repaired draft replaces the draft.
  case replace
  /// The most frequent answer of the inputs after normalisation. The vote ends as soon as the
  /// missing inputs cannot change the winner.
  case vote
  /// The merge gives no text; the task's expansion compares the inputs.
  case agree
  /// One of the inputs, word for word: the one with the best form and the most support by the
  /// others. The choice is made as soon as the missing inputs cannot change it.
  case choose
  /// A model writes a shorter text from the inputs.
  case summarise
  /// A model writes one answer from the inputs.
  case synthesise

  /// Whether the dispatcher computes the merge from the texts alone, immediately and at no cost. A
  /// merge needs a model exactly if its result has sentences that no input has.
  public var isMechanical: Bool {
    switch self {
    case .concatenate, .replace, .vote, .agree, .choose: true
    case .none, .summarise, .synthesise: false
    }
  }
}

/// Required form of a task's output.
public enum OutputContract: Hashable, Sendable {
  case text
  /// One JSON value that fits a JSON Schema.
  case json(schema: String)
  /// One of the given words.
  case choice([String])
  /// An embedding: an array of numbers.
  case vector
}

/// Effect on the plan of a task that fails after all attempts.
public enum FailureRule: String, Codable, CaseIterable, Sendable {
  /// The plan fails and reports the task and the reason.
  case fail
  /// Readers of the output run without it, if their quorum is met.
  case skip
  /// Readers get a substitute: the text written so far, otherwise the first input.
  case degrade
}

/// Sampling profile for a kind of query. The agents map it to numbers.
public enum SamplingProfile: String, Codable, CaseIterable, Sendable {
  case factual, creative, code, reasoning, extraction
}
