public import ClusterModel

/// A host as a place where tasks are done, with what its speed is known to be.
public struct HostPlace: Equatable, Sendable {
  public var id: HostID
  /// Chat models that it offers.
  public var models: Set<ModelID>
  public var trust: DataPolicy
  /// How many requests it answers at once; nil: it does not tell.
  public var slots: Int?
  /// Of one answer while it works on little else; nil: nobody has measured it.
  public var tokensPerSecond: Double?
  /// How answers slow each other down there, 0 … 1 (`HostSharing`); nil: nobody has measured it.
  public var slowdown: Double?
  /// Until the first token; nil: nobody has measured it.
  public var firstToken: Duration?
  /// Requests of all processes under way, as last published.
  public var inFlight: Int

  public init(
    id: HostID, models: Set<ModelID>, trust: DataPolicy = .local, slots: Int? = nil,
    tokensPerSecond: Double? = nil, slowdown: Double? = nil, firstToken: Duration? = nil,
    inFlight: Int = 0
  ) {
    self.id = id
    self.models = models
    self.trust = trust
    self.slots = slots
    self.tokensPerSecond = tokensPerSecond
    self.slowdown = slowdown
    self.firstToken = firstToken
    self.inFlight = inFlight
  }

  /// Those of the community that are ready; the operator's own are for what nobody else answers, which
  /// `infer()` knows and no schedule does.
  public static func all(in table: HostTable, load: LoadTable?) -> [HostPlace] {
    var loads: [HostID: HostLoad] = [:]
    for host in load?.hosts ?? [] { loads[host.host] = host }
    return table.hosts.compactMap { host in
      guard host.state == .ready, host.tier == .community else { return nil }
      let models = Set(host.models.map(\.id).filter(\.looksLikeChat))
      guard !models.isEmpty else { return nil }
      let load = loads[host.id]
      return HostPlace(
        id: host.id, models: models, trust: host.trust, slots: host.slots,
        tokensPerSecond: load?.tokensPerSecond, slowdown: load?.slowdown,
        firstToken: load?.firstTokenP50,
        inFlight: load?.inFlight ?? 0)
    }
  }
}

/// What a task asks of a host.
public struct HostWork: Equatable, Sendable {
  /// Any of these; empty: any chat model.
  public var models: [ModelID]
  public var dataPolicy: DataPolicy
  /// Works of one kind are expected to be as long as those of it that have ended.
  public var kind: String
  /// What it is expected to write as long as none has.
  public var tokens: Int

  public init(
    models: [ModelID] = [], dataPolicy: DataPolicy = .any, kind: String = "", tokens: Int
  ) {
    self.models = models
    self.dataPolicy = dataPolicy
    self.kind = kind
    self.tokens = tokens
  }

  public init(_ start: TaskStart, expectedTokens: Int) {
    let task = start.order.task
    self.init(
      models: task.model.map { [$0] + task.alternatives } ?? [],
      dataPolicy: start.order.dataPolicy, kind: "\(start.order.plan)/\(start.role.rawValue)",
      tokens: min(task.maxTokens ?? expectedTokens, expectedTokens))
  }

  /// All that decides which hosts may do it.
  struct Wish: Hashable {
    var models: [ModelID]
    var dataPolicy: DataPolicy
  }

  var wish: Wish { Wish(models: models, dataPolicy: dataPolicy) }

  func mayBeDone(at place: HostPlace) -> Bool {
    place.trust >= dataPolicy
      && (models.isEmpty || models.contains { place.models.contains($0) })
  }
}
