import Limits

/// The client's request, byte for byte. Nothing in it is decoded and encoded again.
public struct Conversation: Equatable, Sendable {
  /// The request's `messages` array.
  public var messagesJSON: [UInt8]
  /// The members of the request that the sink inherits, in order. `messages`, `model` and a few
  /// others are not among them.
  public var parameters: [Parameter]

  public init(messagesJSON: [UInt8], parameters: [Parameter] = []) {
    self.messagesJSON = messagesJSON
    self.parameters = parameters
  }

  public struct Parameter: Equatable, Sendable {
    public var name: String
    public var json: [UInt8]

    public init(name: String, json: [UInt8]) {
      self.name = name
      self.json = json
    }
  }
}

/// Tokens of one or more model calls.
public struct Usage: Hashable, Codable, Sendable {
  /// All prompt tokens, including the cached ones.
  public private(set) var promptTokens: Int
  /// Prompt tokens that the host had in its cache, 0 … `promptTokens`. 0 if the host reported none.
  public private(set) var cachedTokens: Int
  public var completionTokens: Int
  /// Whether Tutti counted some of the tokens, because a host did not report them.
  public var estimated: Bool

  private enum CodingKeys: String, CodingKey {
    case estimated
    case promptTokens = "prompt_tokens"
    case cachedTokens = "cached_tokens"
    case completionTokens = "completion_tokens"
  }

  public static let zero = Usage(promptTokens: 0, completionTokens: 0)

  /// - Parameter cachedTokens: clamped to 0 … `promptTokens`.
  public init(
    promptTokens: Int, cachedTokens: Int = 0, completionTokens: Int, estimated: Bool = false
  ) {
    self.promptTokens = promptTokens
    self.cachedTokens = max(0, min(cachedTokens, promptTokens))
    self.completionTokens = completionTokens
    self.estimated = estimated
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      promptTokens: try members.decode(Int.self, forKey: .promptTokens),
      // Earlier versions did not write this member.
      cachedTokens: try members.decodeIfPresent(Int.self, forKey: .cachedTokens) ?? 0,
      completionTokens: try members.decode(Int.self, forKey: .completionTokens),
      estimated: try members.decode(Bool.self, forKey: .estimated))
  }

  public var totalTokens: Int { promptTokens.addingCapped(completionTokens) }

  /// Largest token count accepted from a host, client or peer.
  ///
  /// It is far above the longest context, and sums and costs of such counts do not overflow.
  public static let mostTokens = 100_000_000

  /// Clamps a token count reported by a host, client or peer to 0 … `mostTokens`.
  public static func bounded(_ tokens: Int) -> Int { min(max(0, tokens), mostTokens) }

  /// Lowers the prompt tokens to `most`, and the cached tokens with them.
  public mutating func limitPrompt(to most: Int) {
    self = Usage(
      promptTokens: min(promptTokens, most), cachedTokens: cachedTokens,
      completionTokens: completionTokens, estimated: estimated)
  }

  public static func + (left: Usage, right: Usage) -> Usage {
    Usage(
      promptTokens: left.promptTokens.addingCapped(right.promptTokens),
      cachedTokens: left.cachedTokens.addingCapped(right.cachedTokens),
      completionTokens: left.completionTokens.addingCapped(right.completionTokens),
      estimated: left.estimated || right.estimated)
  }
}

/// One task as an agent receives it.
public struct TaskOrder: Equatable, Sendable {
  public var plan: PlanID
  public var task: PlanTask
  public var conversation: Conversation
  public var inputs: [NamedInput]
  /// Whether the task is the sink, which inherits the client's parameters and streams its deltas to
  /// the client.
  public var isSink: Bool
  public var dataPolicy: DataPolicy
  /// Host pools of the client's key, as in `PlanOrder`.
  public var pools: HostPools
  /// Models that may do the task if it names none, as in `PlanOrder`.
  public var models: AllowedModels
  /// Hosts in use by other tasks of the plan. `infer()` avoids them if it has a choice.
  public var avoidHosts: [HostID]
  public var terms: InferenceTerms
  /// Documents that the task reads.
  public var documents: [Document]
  /// Text of the answer that a lost agent has already sent. New deltas continue after it.
  public var prefix: String
  /// Host on which the dispatcher placed the task. `infer()` asks another one if this one cannot
  /// answer. `nil` means that `infer()` chooses.
  public var host: HostID?
  /// Whether the plan has a token budget. The agent then skips optional model calls.
  public var sparesTokens: Bool
  /// Whether the answer contains this task's output word for word, although it is not the sink.
  public var isPart: Bool
  /// Client that sent the request, as in `PlanOrder`. Agents use it only to tell clients apart.
  public var client: String

  public init(
    plan: PlanID, task: PlanTask, conversation: Conversation, inputs: [NamedInput] = [],
    isSink: Bool, dataPolicy: DataPolicy = .any, pools: HostPools = .all,
    models: AllowedModels = .all, avoidHosts: [HostID] = [],
    terms: InferenceTerms = InferenceTerms(), documents: [Document] = [], prefix: String = "",
    host: HostID? = nil, sparesTokens: Bool = false, isPart: Bool = false, client: String = ""
  ) {
    self.plan = plan
    self.task = task
    self.conversation = conversation
    self.inputs = inputs
    self.isSink = isSink
    self.dataPolicy = dataPolicy
    self.pools = pools
    self.models = models
    self.avoidHosts = avoidHosts
    self.terms = terms
    self.documents = documents
    self.prefix = prefix
    self.host = host
    self.sparesTokens = sparesTokens
    self.isPart = isPart
    self.client = client
  }

  public struct NamedInput: Equatable, Sendable {
    public var name: String
    public var text: String
    /// Agreement of the other inputs with this one, in thousandths. `nil` means that the inputs
    /// were not compared.
    public var weightMilli: Int?

    public init(name: String, text: String, weightMilli: Int? = nil) {
      self.name = name
      self.text = text
      self.weightMilli = weightMilli
    }
  }
}

/// A document that came with a request.
public struct Document: Hashable, Sendable {
  public var name: String
  public var text: String

  public init(name: String, text: String) {
    self.name = name
    self.text = text
  }
}

/// Event that an agent sends while it works. The last one is `finished`, unless the stream fails.
public enum TaskEvent: Equatable, Sendable {
  /// The host sent the first token.
  case began(TaskBegan)
  case delta(TaskDelta)
  case finished(TaskReport)
}

public struct TaskBegan: Equatable, Sendable {
  public var host: HostID
  public var model: ModelID
  public var firstTokenMilliseconds: Int
  /// Documents that did not fit the prompt. Empty means that the task read all its documents whole.
  public var excerpts: [DocumentExcerpt]

  public init(
    host: HostID, model: ModelID, firstTokenMilliseconds: Int, excerpts: [DocumentExcerpt] = []
  ) {
    self.host = host
    self.model = model
    self.firstTokenMilliseconds = firstTokenMilliseconds
    self.excerpts = excerpts
  }
}

/// A document of which a prompt holds only a part.
public struct DocumentExcerpt: Hashable, Sendable {
  /// The document's name.
  public var document: String
  /// Size of the document.
  public var bytes: Int
  /// Bytes of the document in the prompt.
  public var readBytes: Int

  public init(document: String, bytes: Int, readBytes: Int) {
    self.document = document
    self.bytes = bytes
    self.readBytes = readBytes
  }
}

/// A chunk of an answer.
public struct TaskDelta: Equatable, Sendable {
  /// Text that the chunk appends to the answer.
  public var text: String
  /// The chunk's whole `delta` object, byte for byte, if it holds more than text (tool calls …).
  public var deltaJSON: [UInt8]?

  public init(text: String, deltaJSON: [UInt8]? = nil) {
    self.text = text
    self.deltaJSON = deltaJSON
  }
}

public struct TaskReport: Equatable, Sendable {
  public var host: HostID
  public var model: ModelID
  public var usage: Usage
  public var firstTokenMilliseconds: Int
  public var totalMilliseconds: Int
  public var finishReason: String
  public var output: String
  /// Whether the output meets the task's contract.
  public var contractMet: Bool
  /// The inferences whose hosts are known, at most `Limits.taskInferences`. Their tokens are a part
  /// of `usage`. The rest is paid to `host`.
  public var inferences: [TaskInference]

  public init(
    host: HostID, model: ModelID, usage: Usage, firstTokenMilliseconds: Int,
    totalMilliseconds: Int, finishReason: String, output: String, contractMet: Bool = true,
    inferences: [TaskInference] = []
  ) {
    self.host = host
    self.model = model
    self.usage = usage
    self.firstTokenMilliseconds = firstTokenMilliseconds
    self.totalMilliseconds = totalMilliseconds
    self.finishReason = finishReason
    self.output = output
    self.contractMet = contractMet
    self.inferences = inferences
  }
}

/// One plan as a dispatcher receives it.
public struct PlanOrder: Equatable, Sendable {
  /// A task that an earlier dispatcher skipped.
  public struct Skipped: Equatable, Sendable {
    public var reason: String
    /// Tokens that the skipped task used.
    public var usage: Usage

    public init(reason: String, usage: Usage = .zero) {
      self.reason = reason
      self.usage = usage
    }
  }

  public var plan: Plan
  public var conversation: Conversation
  /// Outputs that an earlier dispatcher received. Their tasks are not run again.
  public var finished: [TaskID: TaskReport]
  /// Tasks that an earlier dispatcher skipped. They stay skipped, so that an answer that has begun
  /// continues from the same inputs.
  public var skipped: [TaskID: Skipped]
  public var dataPolicy: DataPolicy
  /// Host pools of the client's key. No task may go to a host outside of them.
  public var pools: HostPools
  /// Models that tasks may use if they name none.
  public var models: AllowedModels
  /// Settings for the inferences of all tasks.
  public var terms: InferenceTerms
  /// Request that the plan was made from. Expansions need it. `nil` means that the plan has no
  /// expansions.
  public var request: PlanRequest?
  public var documents: [Document]
  /// Client that sent the request. Dispatchers schedule clients fairly. Empty means that the client
  /// is unknown.
  public var client: String
  /// Text of the answer that the client already received from an earlier dispatcher.
  public var sinkPrefix: String
  /// Whether the client receives the answer in one piece at the end. If so, the dispatcher may
  /// replace text that it has already sent.
  public var isWhole: Bool
  /// Number of this dispatch of the plan, from 1. The second one is a failover.
  public var dispatch: Int

  public init(
    plan: Plan, conversation: Conversation, finished: [TaskID: TaskReport] = [:],
    skipped: [TaskID: Skipped] = [:], dataPolicy: DataPolicy = .any, pools: HostPools = .all,
    models: AllowedModels = .all, terms: InferenceTerms = InferenceTerms(),
    request: PlanRequest? = nil, documents: [Document] = [], client: String = "",
    sinkPrefix: String = "", isWhole: Bool = false, dispatch: Int = 1
  ) {
    self.plan = plan
    self.conversation = conversation
    self.finished = finished
    self.skipped = skipped
    self.dataPolicy = dataPolicy
    self.pools = pools
    self.models = models
    self.terms = terms
    self.request = request
    self.documents = documents
    self.client = client
    self.sinkPrefix = sinkPrefix
    self.isWhole = isWhole
    self.dispatch = dispatch
  }
}

public enum TaskStatus: String, Codable, CaseIterable, Sendable {
  case done
  /// The task failed, could not run, or was no longer needed. Its plan continues without it.
  case skipped
  /// The task ran without some of its inputs, or failed and handed on a substitute output.
  case degraded
  /// The task failed and its plan failed with it.
  case failed
}

/// Event that a dispatcher sends while it runs a plan. The last one is `finished`, unless the
/// stream fails.
public enum PlanEvent: Equatable, Sendable {
  case started(task: TaskID, role: AgentRole, agent: String, attempt: Int)
  case firstToken(task: TaskID, TaskBegan)
  case ended(TaskEnded)
  /// The task's output led to more tasks. The plan is now `plan.splicing(sub, at: task)`.
  case expanded(task: TaskID, SubPlan)
  /// A chunk of the answer, from the sink.
  case delta(TaskDelta)
  case finished(PlanFinished)
}

public struct TaskEnded: Equatable, Sendable {
  public var task: TaskID
  public var role: AgentRole
  /// Peer name of the last agent that worked on the task. Empty if no agent did.
  public var agent: String
  public var status: TaskStatus
  /// Why the status is not `done`. Empty if the status is `done`.
  public var reason: String
  /// Output and usage of the task. `nil` means that the task was skipped or failed without usage.
  public var report: TaskReport?
  /// The task whose output stands in for this task's. `nil` means that the output is its own. For
  /// a choice it is the chosen task.
  public var textOf: TaskID?
  /// Facts of the choice. `nil` means that the task made no choice.
  public var choice: ChoiceFacts?

  public init(
    task: TaskID, role: AgentRole, agent: String, status: TaskStatus, reason: String = "",
    report: TaskReport? = nil, textOf: TaskID? = nil, choice: ChoiceFacts? = nil
  ) {
    self.task = task
    self.role = role
    self.agent = agent
    self.status = status
    self.reason = reason
    self.report = report
    self.textOf = textOf
    self.choice = choice
  }
}

public struct PlanFinished: Equatable, Sendable {
  public var finishReason: String
  /// Sum over all tasks.
  public var usage: Usage
  public var sinkUsage: Usage

  public init(finishReason: String, usage: Usage, sinkUsage: Usage) {
    self.finishReason = finishReason
    self.usage = usage
    self.sinkUsage = sinkUsage
  }
}
