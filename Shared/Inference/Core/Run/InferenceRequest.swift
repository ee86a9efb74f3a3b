public import ClusterModel

/// One request for one model, independent of the host that answers it.
public struct InferenceRequest: Hashable, Sendable {
  public var endpoint: InferenceEndpoint
  /// `nil` means any chat model.
  public var model: ModelID?
  /// The client's JSON object. A host gets it translated into its dialect. For OpenAI's dialect,
  /// only a few members are edited, and all other bytes stay.
  public var body: [UInt8]
  /// Whether the body asks for a stream. Must agree with `stream` in the body.
  public var stream: Bool
  public var trace: TraceContext
  /// Ids of the gateways that the request passed, oldest first. A host may be a gateway itself.
  public var hops: [String]
  /// UTF-8 text of the answer that the client already has from another process. Empty means that
  /// the answer starts at its beginning.
  ///
  /// The run resumes after this text, as after a failed host. The text's tokens count towards
  /// `max_tokens`.
  public var prefix: [UInt8]
  /// Changes that undo additions by Tutti that `body` already has. If a host refuses an addition,
  /// it is asked again without this addition.
  var undoable: RequestForm
  /// Headers of the client that are passed to a host.
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

/// Constraints on how a request may be answered.
public struct InferenceConstraints: Hashable, Sendable {
  /// `nil` means the default of the process: `InferenceLimits.race`.
  public var race: RaceMode?
  public var deadlines: Deadlines
  var dataPolicy: DataPolicy
  /// Host pools of the client's key.
  var pools: HostPools
  /// Hosts to use only if no other host is available.
  var avoid: [HostID]
  /// The host to ask first, if it is eligible. Other hosts remain for failover.
  var prefer: HostID?
  /// The only host that may be asked.
  var require: HostID?
  /// Affinity key. Requests with equal affinity keys prefer the same host, because it has the
  /// conversation's prefix in its cache. If this host is busy, another host is chosen. `nil` means
  /// no such preference.
  public var affinity: [UInt8]?
  /// The client that sent the request. The client is recorded so that the failures of its requests
  /// alone cannot close a host to all clients. `nil` means that Tutti itself sends the request.
  public var client: ClientFingerprint?
  /// Seed for random choices. The same seed, request and `ClusterView` give the same choice.
  public var seed: UInt64

  public init(
    race: RaceMode? = nil, deadlines: Deadlines = .standard, dataPolicy: DataPolicy = .any,
    pools: HostPools = .all,
    avoid: [HostID] = [], prefer: HostID? = nil, require: HostID? = nil, affinity: [UInt8]? = nil,
    client: ClientFingerprint? = nil, seed: UInt64
  ) {
    self.race = race
    self.deadlines = deadlines
    self.dataPolicy = dataPolicy
    self.pools = pools
    self.avoid = avoid
    self.prefer = prefer
    self.require = require
    self.affinity = affinity
    self.client = client
    self.seed = seed
  }
}
