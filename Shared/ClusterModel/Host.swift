/// How a backend is spoken to.
public enum HostDialect: String, Codable, CaseIterable, Sendable {
  /// `/v1/chat/completions` and its family: llama.cpp, vLLM, LM Studio, LlamaFarm, most clouds.
  case openai
  /// `/v1/messages`.
  case anthropic
  /// `/api/chat`, in lines of JSON.
  case ollama
}

/// How a host is asked to go on with an answer that another began.
public enum ResumeWay: String, Codable, CaseIterable, Sendable {
  /// vLLM: the answer so far is the last message, and a member of the request says to go on with it.
  case continueFinalMessage = "continue_final_message"
  /// llama.cpp, Ollama, some of Anthropic's models: a trailing assistant message is a prefix.
  case trailingAssistant = "trailing_assistant"
  /// Any model that follows instructions: it is told to go on, with the tail as an anchor.
  case instruct
}

/// Whose machine it is: `fallback` hosts are the operator's own, used when nobody else can.
public enum HostTier: String, Codable, CaseIterable, Sendable {
  case community, fallback
}

/// Which requests may go to a host: one at least as demanding as the request's `data_policy`.
/// `local` hosts run on the operator's machines, `trusted` ones belong to somebody they trust.
public enum DataPolicy: String, Codable, CaseIterable, Comparable, Sendable {
  case any, trusted, local

  private var strictness: Int {
    switch self {
    case .any: 0
    case .trusted: 1
    case .local: 2
    }
  }

  public static func < (left: DataPolicy, right: DataPolicy) -> Bool {
    left.strictness < right.strictness
  }
}

public enum HostState: String, Codable, CaseIterable, Sendable {
  /// Just added. Can become `ready` or `unreachable` at its first probe, `suspended` by an admin.
  case unknown
  /// Its last probe was answered. Can become `unreachable` or `suspended`.
  case ready
  /// Its last probes failed. Can become `ready` or `suspended`.
  case unreachable
  /// An admin took it out of service. Becomes `unknown` when resumed.
  case suspended
}

/// A model that a host says it serves.
public struct ModelOffer: Hashable, Codable, Sendable {
  public var id: ModelID
  /// Longest prompt plus completion in tokens; nil if the host does not tell.
  public var contextTokens: Int?
  /// Further members of its entry in the host's list, for `/v1/models`: `"owned_by":"vllm",…`,
  /// without braces.
  public var facts: String

  public init(id: ModelID, contextTokens: Int? = nil, facts: String = "") {
    self.id = id
    self.contextTokens = contextTokens
    self.facts = facts
  }
}

/// One line of the host table.
public struct Host: Hashable, Codable, Sendable {
  public var id: HostID
  /// Base URL without `/v1`, for example `http://127.0.0.1:11434`.
  public var url: String
  /// Its paths follow the base URL without `/v1`: `…/v1beta/openai/chat/completions`.
  public var omitsV1: Bool
  public var dialect: HostDialect
  public var resume: ResumeWay
  /// Where the secret lies that this host asks for, never the secret: `env:NAME` or `file:/path`,
  /// looked up by the process that asks the host. nil: it asks for none.
  public var credential: String?
  public var tier: HostTier
  public var trust: DataPolicy
  public var state: HostState
  /// Why it is not ready, for an operator; empty when it is.
  public var reason: String
  public var models: [ModelOffer]
  /// How many requests it answers at once; nil if it does not tell.
  public var slots: Int?
  /// Version of its server software; nil if it does not tell.
  public var version: String?
  /// Round trip of the last answered probe.
  public var probeMilliseconds: Int?
  /// Credits for a million tokens; 0 is free.
  public var pricePerMillion: Int

  public init(
    id: HostID, url: String, omitsV1: Bool = false, dialect: HostDialect = .openai,
    resume: ResumeWay = .instruct, credential: String? = nil, tier: HostTier = .community,
    trust: DataPolicy = .any,
    state: HostState = .unknown,
    reason: String = "", models: [ModelOffer] = [], slots: Int? = nil, version: String? = nil,
    probeMilliseconds: Int? = nil, pricePerMillion: Int = 0
  ) {
    self.id = id
    self.url = url
    self.omitsV1 = omitsV1
    self.dialect = dialect
    self.resume = resume
    self.credential = credential
    self.tier = tier
    self.trust = trust
    self.state = state
    self.reason = reason
    self.models = models
    self.slots = slots
    self.version = version
    self.probeMilliseconds = probeMilliseconds
    self.pricePerMillion = pricePerMillion
  }

  public func offers(_ model: ModelID) -> Bool { models.contains { $0.id == model } }
}

/// A host as an admin described it. What is nil is learned from the host's own answers.
public struct HostRecord: Hashable, Sendable {
  /// With `slots` as the admin gave them; its dialect and resume way count only where they are said
  /// below.
  public var host: Host
  public var dialect: HostDialect?
  public var resume: ResumeWay?
  public var omitsV1: Bool?
  /// Models that an admin named, for a host that does not list them. Empty means as it lists.
  public var models: [ModelID]

  public init(
    _ host: Host, dialect: HostDialect? = nil, resume: ResumeWay? = nil, omitsV1: Bool? = nil,
    models: [ModelID] = []
  ) {
    self.host = host
    self.dialect = dialect
    self.resume = resume
    self.omitsV1 = omitsV1
    self.models = models
  }
}

/// Every host the registry knows, as it last published them.
public struct HostTable: Equatable, Sendable {
  /// The registry's incarnation: a new registry counts revisions from zero again.
  public var epoch: UInt64
  public var revision: UInt64
  public var hosts: [Host]

  public static let empty = HostTable(epoch: 0, revision: 0, hosts: [])

  public init(epoch: UInt64, revision: UInt64, hosts: [Host]) {
    self.epoch = epoch
    self.revision = revision
    self.hosts = hosts
  }

  /// Models that some ready host offers, each once, sorted.
  public var readyModels: [ModelID] {
    Set(hosts.lazy.filter { $0.state == .ready }.flatMap(\.models).map(\.id)).sorted()
  }
}
