public import ClusterModel

/// A host that can do tasks, with its measured speed.
public struct HostPlace: Equatable, Sendable {
  public var id: HostID
  /// Chat models that the host offers.
  public var models: Set<ModelID>
  public var trust: DataPolicy
  /// Maximum concurrent requests. `nil` means that the host does not report it.
  public var slots: Int?
  /// Tokens per second of one answer on a host with little other work. `nil` means not measured.
  public var tokensPerSecond: Double?
  /// How much concurrent answers slow each other down, 0 … 1 (`HostSharing`). `nil` means not
  /// measured.
  public var slowdown: Double?
  /// Median time to the first token. `nil` means not measured.
  public var firstToken: Duration?
  /// Requests in flight from all processes, as last published.
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

  /// Returns the ready hosts of the community that offer a chat model.
  /// The operator's own hosts are left out: only `infer()` knows when to fall back to them.
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

/// Requirements of a task on its host, and the expected length of its output.
public struct HostWork: Equatable, Sendable {
  /// Models that may do the task. An empty list means any chat model.
  public var models: [ModelID]
  public var dataPolicy: DataPolicy
  /// Work of one kind is expected to be as long as its ended work.
  public var kind: String
  /// Expected completion tokens until work of this kind has ended.
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

  /// The properties that decide which hosts may do the work.
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
