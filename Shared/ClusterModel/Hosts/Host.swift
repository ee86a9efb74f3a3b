/// The API that a host speaks.
public enum HostDialect: String, Codable, CaseIterable, Sendable {
  /// `/v1/chat/completions` and related paths: llama.cpp, vLLM, LM Studio, LlamaFarm, most clouds.
  case openai
  /// `/v1/messages`.
  case anthropic
  /// `/api/chat`, with one JSON object per line.
  case ollama
}

/// How a host is asked to continue an answer that another host began.
public enum ResumeWay: String, Codable, CaseIterable, Sendable {
  /// vLLM: the answer so far is the last message, and a request parameter asks to continue it.
  case continueFinalMessage = "continue_final_message"
  /// llama.cpp, Ollama, some Anthropic models: a trailing assistant message is a prefix.
  case trailingAssistant = "trailing_assistant"
  /// Any model that follows instructions: the prompt asks it to repeat the end of the answer, as an
  /// anchor, and to continue.
  case instruct
}

/// Owner of a host. `fallback` hosts are the operator's own. They are asked only after another host
/// missed a deadline, or if no other host is eligible.
public enum HostTier: String, Codable, CaseIterable, Sendable {
  case community, fallback
}

/// How far a host is trusted with data.
///
/// A request may go to hosts whose trust is at least its `data_policy`. `local` hosts run on the
/// operator's machines. `trusted` hosts belong to people the operator trusts.
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
  /// Not probed since it was added, resumed or restored. Becomes `ready` or `unreachable` at its
  /// first probe, `suspended` by an admin.
  case unknown
  /// A probe succeeded, and at most a few failed since. Can become `unreachable` or `suspended`.
  case ready
  /// The last probe failed, and usually earlier ones, too. Can become `ready` or `suspended`.
  case unreachable
  /// An admin took the host out of service. Becomes `unknown` when resumed.
  case suspended
}

/// A model that a host offers, by the name that clients use.
public struct ModelOffer: Hashable, Sendable {
  public var id: ModelID { didSet { suggestedKind = hostModel.suggestedKind } }
  /// Maximum prompt plus completion tokens. `nil` means that the host does not report it.
  public var contextTokens: Int?
  /// Other members of the model's entry in the host's list, for `/v1/models`:
  /// `"owned_by":"vllm",…`, without braces.
  public var facts: String
  /// The host's own name of the model if `id` is an alias. `nil` means that the host uses `id`.
  public var upstream: ModelID? { didSet { suggestedKind = hostModel.suggestedKind } }
  /// Purpose that an admin gave the model. `nil` means that the purpose follows from the model's
  /// name.
  public var kind: ModelKind?
  /// Whether the model is left out of `/v1/models`. Requests for a hidden model are answered.
  public var isHidden: Bool
  /// Position of the model in the list of a ranked alias. Hosts of a higher rank are asked only if no
  /// host of a lower one has a free slot, or if these hosts fail. 0 for all other models.
  public var rank: Int
  /// Purpose that the host's name of the model suggests. It is stored, because every decision needs
  /// it for every model of every host.
  private var suggestedKind: ModelKind

  public init(
    id: ModelID, contextTokens: Int? = nil, facts: String = "", upstream: ModelID? = nil,
    kind: ModelKind? = nil, isHidden: Bool = false, rank: Int = 0
  ) {
    self.id = id
    self.contextTokens = contextTokens
    self.facts = facts
    self.upstream = upstream
    self.kind = kind
    self.isHidden = isHidden
    self.rank = rank
    suggestedKind = (upstream ?? id).suggestedKind
  }

  /// The name that the host knows.
  var hostModel: ModelID { upstream ?? id }

  /// Whether the model answers conversations with text.
  public var isChat: Bool { kind ?? suggestedKind == .chat }

  public var isEmbedding: Bool { kind ?? suggestedKind == .embeddings }
}

/// Purpose of a model.
public enum ModelKind: String, Codable, CaseIterable, Sendable {
  /// Answers conversations with text.
  case chat
  case embeddings
  /// Pictures, sound, ranking or moderation. Only requests that name the model get it.
  case other
}

/// One row of the host table.
public struct Host: Hashable, Sendable {
  public var id: HostID
  /// Base URL without `/v1`, for example `http://127.0.0.1:11434`.
  public var url: String
  /// Whether paths follow the base URL without `/v1`, as in `…/v1beta/openai/chat/completions`.
  public var omitsV1: Bool
  public var dialect: HostDialect
  public var resume: ResumeWay
  /// Reference to the host's secret, never the secret itself: `env:NAME` or `file:/path`. The
  /// process that calls the host resolves it. `nil` means that the host needs no secret.
  public var credential: String?
  public var tier: HostTier
  public var trust: DataPolicy
  public var state: HostState
  /// Why the host is not ready, for an operator. Empty if it is ready.
  public var reason: String
  public var models: [ModelOffer]
  /// Maximum requests that the host answers at the same time. `nil` means that the host does not
  /// report it.
  public var slots: Int?
  /// Version of the host's server software. `nil` means that the host does not report it.
  public var version: String?
  /// Round trip of the last answered probe.
  public var probeMilliseconds: Int?
  /// Price that an admin stated. `nil` means that no admin has stated one.
  public var price: HostPrice?
  /// Names of the host pools that the host belongs to, sorted.
  public var tags: [String]
  /// Where the host is, for an operator. `nil` means that no admin named it.
  public var region: String?

  public init(
    id: HostID, url: String, omitsV1: Bool = false, dialect: HostDialect = .openai,
    resume: ResumeWay = .instruct, credential: String? = nil, tier: HostTier = .community,
    trust: DataPolicy = .any,
    state: HostState = .unknown,
    reason: String = "", models: [ModelOffer] = [], slots: Int? = nil, version: String? = nil,
    probeMilliseconds: Int? = nil, price: HostPrice? = nil, tags: [String] = [],
    region: String? = nil
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
    self.price = price
    self.tags = tags
    self.region = region
  }

  /// Whether requests at the host cost nothing.
  ///
  /// A host with a credential probably sends bills, so it is free only if an admin stated that price.
  public var isFree: Bool { price.map { $0 == .free } ?? (credential == nil) }

  public func offers(_ model: ModelID) -> Bool { models.contains { $0.id == model } }

  /// The host's own name of a model, which differs for an alias.
  public func hostModel(of model: ModelID) -> ModelID {
    models.first { $0.id == model }?.hostModel ?? model
  }
}

/// A host as an admin configured it. Fields that are `nil` are learned by probing the host.
public struct HostRecord: Hashable, Sendable {
  /// The host with the admin's `slots`. Its `dialect`, `resume` and `omitsV1` are placeholders if
  /// the fields below are `nil`.
  public var host: Host
  public var dialect: HostDialect?
  public var resume: ResumeWay?
  public var omitsV1: Bool?
  /// Models that an admin named, for a host that does not list them. Empty means the host's own
  /// list.
  public var models: [ModelID]
  /// Whether the host is suspended because an admin drained it.
  public var isDrained: Bool

  public init(
    _ host: Host, dialect: HostDialect? = nil, resume: ResumeWay? = nil, omitsV1: Bool? = nil,
    models: [ModelID] = [], isDrained: Bool = false
  ) {
    self.host = host
    self.dialect = dialect
    self.resume = resume
    self.omitsV1 = omitsV1
    self.models = models
    self.isDrained = isDrained
  }
}
