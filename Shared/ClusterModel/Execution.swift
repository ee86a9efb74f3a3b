import Limits

/// What the client said, byte for byte: nothing of it is decoded to be encoded again.
public struct Conversation: Equatable, Sendable {
  /// The request's `messages` array.
  public var messagesJSON: [UInt8]
  /// The request's other members, in their order; the sink inherits all of them.
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
  public var promptTokens: Int
  public var completionTokens: Int
  /// True when the host did not report them and they were counted here.
  public var estimated: Bool

  public static let zero = Usage(promptTokens: 0, completionTokens: 0)

  public init(promptTokens: Int, completionTokens: Int, estimated: Bool = false) {
    self.promptTokens = promptTokens
    self.completionTokens = completionTokens
    self.estimated = estimated
  }

  public var totalTokens: Int { promptTokens.addingCapped(completionTokens) }

  /// As many tokens as anybody else may say that a text has: a hundred times the longest context, and
  /// sums of it, and what it costs, stay numbers.
  public static let mostTokens = 100_000_000

  /// A count that somebody else made.
  public static func bounded(_ tokens: Int) -> Int { min(max(0, tokens), mostTokens) }

  public static func + (left: Usage, right: Usage) -> Usage {
    Usage(
      promptTokens: left.promptTokens.addingCapped(right.promptTokens),
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
  /// The sink inherits the client's parameters and streams its deltas to the client.
  public var isSink: Bool
  public var dataPolicy: DataPolicy
  /// Hosts that other tasks of the plan are using, to be avoided where there is a choice.
  public var avoidHosts: [HostID]
  public var terms: InferenceTerms
  /// Those that the task reads.
  public var documents: [Document]
  /// What a lost agent already wrote of the answer; the deltas go on behind it.
  public var prefix: String
  /// The host that is expected to finish it first, where the dispatcher can tell; a wish, because it may
  /// be gone by now. nil: the agent chooses.
  public var host: HostID?
  /// The plan may spend only so many tokens: none goes into what the task can do without.
  public var sparesTokens: Bool
  /// It is not the sink, but the answer has what it writes, word for word.
  public var isPart: Bool
  /// Whose request it is, as in `PlanOrder`. Agents use it only to tell clients apart.
  public var client: String

  public init(
    plan: PlanID, task: PlanTask, conversation: Conversation, inputs: [NamedInput] = [],
    isSink: Bool, dataPolicy: DataPolicy = .any, avoidHosts: [HostID] = [],
    terms: InferenceTerms = InferenceTerms(), documents: [Document] = [], prefix: String = "",
    host: HostID? = nil, sparesTokens: Bool = false, isPart: Bool = false, client: String = ""
  ) {
    self.plan = plan
    self.task = task
    self.conversation = conversation
    self.inputs = inputs
    self.isSink = isSink
    self.dataPolicy = dataPolicy
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
    /// How far the other inputs say the same, in thousandths; nil: nobody compared them.
    public var weightMilli: Int?

    public init(name: String, text: String, weightMilli: Int? = nil) {
      self.name = name
      self.text = text
      self.weightMilli = weightMilli
    }
  }
}

/// A text that came with a request.
public struct Document: Hashable, Sendable {
  public var name: String
  public var text: String

  public init(name: String, text: String) {
    self.name = name
    self.text = text
  }
}

/// What an agent reports while it works. Ends with `finished`, or the stream fails.
public enum TaskEvent: Equatable, Sendable {
  /// The first token is there.
  case began(TaskBegan)
  case delta(TaskDelta)
  case finished(TaskReport)
}

public struct TaskBegan: Equatable, Sendable {
  public var host: HostID
  public var model: ModelID
  public var firstTokenMilliseconds: Int

  public init(host: HostID, model: ModelID, firstTokenMilliseconds: Int) {
    self.host = host
    self.model = model
    self.firstTokenMilliseconds = firstTokenMilliseconds
  }
}

/// A piece of an answer.
public struct TaskDelta: Equatable, Sendable {
  /// What it adds to the answer's text.
  public var text: String
  /// The chunk's whole `delta` object, byte for byte, when it holds more than text (tool calls …).
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
  /// Whether the output is what the task's contract asks for.
  public var contractMet: Bool

  public init(
    host: HostID, model: ModelID, usage: Usage, firstTokenMilliseconds: Int,
    totalMilliseconds: Int, finishReason: String, output: String, contractMet: Bool = true
  ) {
    self.host = host
    self.model = model
    self.usage = usage
    self.firstTokenMilliseconds = firstTokenMilliseconds
    self.totalMilliseconds = totalMilliseconds
    self.finishReason = finishReason
    self.output = output
    self.contractMet = contractMet
  }
}

/// One plan as a dispatcher receives it.
public struct PlanOrder: Equatable, Sendable {
  /// A task that an earlier dispatcher went on without.
  public struct Skipped: Equatable, Sendable {
    public var reason: String
    /// What it cost all the same.
    public var usage: Usage

    public init(reason: String, usage: Usage = .zero) {
      self.reason = reason
      self.usage = usage
    }
  }

  public var plan: Plan
  public var conversation: Conversation
  /// Outputs that an earlier dispatcher already got; those tasks are not run again.
  public var finished: [TaskID: TaskReport]
  /// Neither are these, or an answer that has begun would go on from other inputs.
  public var skipped: [TaskID: Skipped]
  public var dataPolicy: DataPolicy
  /// For the inferences of all its tasks.
  public var terms: InferenceTerms
  /// What the plan was made from, which its expansions need; nil: it has none.
  public var request: PlanRequest?
  public var documents: [Document]
  /// Whose request it is; dispatchers are fair between clients. Empty: nobody's in particular.
  public var client: String
  /// What the client already has of the answer, from an earlier dispatcher.
  public var sinkPrefix: String
  /// The client gets the answer in one piece at its end: until then something else may stand in for it.
  public var isWhole: Bool

  public init(
    plan: Plan, conversation: Conversation, finished: [TaskID: TaskReport] = [:],
    skipped: [TaskID: Skipped] = [:], dataPolicy: DataPolicy = .any,
    terms: InferenceTerms = InferenceTerms(),
    request: PlanRequest? = nil, documents: [Document] = [], client: String = "",
    sinkPrefix: String = "", isWhole: Bool = false
  ) {
    self.plan = plan
    self.conversation = conversation
    self.finished = finished
    self.skipped = skipped
    self.dataPolicy = dataPolicy
    self.terms = terms
    self.request = request
    self.documents = documents
    self.client = client
    self.sinkPrefix = sinkPrefix
    self.isWhole = isWhole
  }
}

public enum TaskStatus: String, Codable, CaseIterable, Sendable {
  case done
  /// It failed and its plan goes on without it.
  case skipped
  /// It ran without some of its inputs.
  case degraded
  /// It failed, and its plan with it.
  case failed
}

/// What a dispatcher reports while it runs a plan. Ends with `finished`, or the stream fails.
public enum PlanEvent: Equatable, Sendable {
  case started(task: TaskID, role: AgentRole, agent: String, attempt: Int)
  case firstToken(task: TaskID, TaskBegan)
  case ended(TaskEnded)
  /// The task's output led to more tasks: the plan is now `plan.splicing(sub, at: task)`.
  case expanded(task: TaskID, SubPlan)
  /// Of the sink: a piece of the answer.
  case delta(TaskDelta)
  case finished(PlanFinished)
}

public struct TaskEnded: Equatable, Sendable {
  public var task: TaskID
  public var role: AgentRole
  /// Peer name of the agent that worked on it last; empty if none did.
  public var agent: String
  public var status: TaskStatus
  /// Why it is not `done`; empty when it is.
  public var reason: String
  /// Present when it is `done` or `degraded`.
  public var report: TaskReport?

  public init(
    task: TaskID, role: AgentRole, agent: String, status: TaskStatus, reason: String = "",
    report: TaskReport? = nil
  ) {
    self.task = task
    self.role = role
    self.agent = agent
    self.status = status
    self.reason = reason
    self.report = report
  }
}

public struct PlanFinished: Equatable, Sendable {
  public var finishReason: String
  /// Summed over all tasks.
  public var usage: Usage
  public var sinkUsage: Usage

  public init(finishReason: String, usage: Usage, sinkUsage: Usage) {
    self.finishReason = finishReason
    self.usage = usage
    self.sinkUsage = sinkUsage
  }
}
