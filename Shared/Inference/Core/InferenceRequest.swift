public import ClusterModel

/// What is asked of a host.
public enum InferenceEndpoint: String, CaseIterable, Sendable {
  case chatCompletions = "/v1/chat/completions"
  case completions = "/v1/completions"
  case embeddings = "/v1/embeddings"
}

/// One question for one model, wherever it is answered.
public struct InferenceRequest: Hashable, Sendable {
  public var endpoint: InferenceEndpoint
  /// nil: any chat model.
  public var model: ModelID?
  /// The client's JSON object. On the way to a host `model` is rewritten and `tutti` removed; every
  /// other byte stays.
  public var body: [UInt8]
  /// Whether the body asks for a stream; it must say so itself too.
  public var stream: Bool
  public var trace: TraceContext
  /// Ids of the gateways it came through, oldest first: a host may be a gateway itself.
  public var hops: [String]
  /// UTF-8 text of the answer that whoever asks has already, from an earlier process: the answer is
  /// what follows it, as if a first host had died behind it. The tokens that it took count towards
  /// `max_tokens`. Empty: the answer begins at the beginning.
  public var prefix: [UInt8]
  /// Changes that undo what the body holds besides the client's own members. A host that refuses an
  /// addition is asked again without it.
  public var undoable: RequestForm
  /// Headers of the client that go to a host.
  public var headers: [UpstreamRequest.Header]

  public init(
    endpoint: InferenceEndpoint, model: ModelID?, body: [UInt8], stream: Bool,
    trace: TraceContext, hops: [String] = [], prefix: [UInt8] = [], undoable: RequestForm = [],
    headers: [UpstreamRequest.Header] = []
  ) {
    self.endpoint = endpoint
    self.model = model
    self.body = body
    self.stream = stream
    self.trace = trace
    self.hops = hops
    self.prefix = prefix
    self.undoable = undoable
    self.headers = headers
  }
}

/// How it may be answered.
public struct InferenceConstraints: Hashable, Sendable {
  /// nil: the hosts' price decides: `dual` where nobody asks for any, else `hedged`.
  public var race: RaceMode?
  public var deadlines: Deadlines
  public var dataPolicy: DataPolicy
  /// Hosts to leave alone as long as there is another.
  public var avoid: [HostID]
  /// The host to ask first, where it may be asked; the others remain for when it fails.
  public var prefer: HostID?
  /// Only this host.
  public var require: HostID?
  /// Equal keys prefer equal hosts when load does not decide: the host that knows the conversation
  /// has its prefix cached.
  public var affinity: [UInt8]?
  /// Whose request it is, so that one client's failures are not held against a host by all. `nil`
  /// means a request of Tutti's own.
  public var client: ClientFingerprint?
  /// The same seed, request and host table give the same choice.
  public var seed: UInt64

  public init(
    race: RaceMode? = nil, deadlines: Deadlines = .standard, dataPolicy: DataPolicy = .any,
    avoid: [HostID] = [], prefer: HostID? = nil, require: HostID? = nil, affinity: [UInt8]? = nil,
    client: ClientFingerprint? = nil, seed: UInt64
  ) {
    self.race = race
    self.deadlines = deadlines
    self.dataPolicy = dataPolicy
    self.avoid = avoid
    self.prefer = prefer
    self.require = require
    self.affinity = affinity
    self.client = client
    self.seed = seed
  }
}
