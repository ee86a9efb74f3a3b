public import ClusterModel

/// A host to which work is assigned before the host is asked.
///
/// The dispatcher assigns tasks to the hosts of its view. The planner assigns the parts of a split
/// to the hosts of its facts.
public struct SchedulableHost: Equatable, Sendable {
  public var id: HostID
  /// Chat models that the host offers.
  public var models: Set<ModelID>
  var trust: DataPolicy
  /// Names of its host pools.
  var tags: [String]
  /// Maximum concurrent requests. `nil` means that the host does not report it.
  public var slots: Int?
  public var speed: HostSpeed
  /// Requests in flight from all processes, as last published.
  public var inFlight: Int

  public init(
    id: HostID, models: Set<ModelID>, trust: DataPolicy = .local, slots: Int? = nil,
    speed: HostSpeed = HostSpeed(), inFlight: Int = 0, tags: [String] = []
  ) {
    self.id = id
    self.models = models
    self.trust = trust
    self.tags = tags
    self.slots = slots
    self.speed = speed
    self.inFlight = inFlight
  }

  /// The community's hosts that may serve a chat request now.
  ///
  /// The operator's own hosts are left out, because only `infer()` knows when to fall back to them.
  public static func all(in view: HostView) -> [SchedulableHost] {
    view.serving(HostNeed(.anyChat)).compactMap { entry in
      guard entry.host.tier == .community else { return nil }
      return SchedulableHost(
        id: entry.host.id,
        models: Set(entry.host.models.filter(\.isChat).map(\.id)), trust: entry.host.trust,
        slots: entry.host.slots, speed: entry.activity.speed, inFlight: entry.activity.inFlight,
        tags: entry.host.tags)
    }
  }

  /// Whether the host may serve one of these models under this policy and for these pools. The
  /// caller has already checked that the host may serve chat requests now.
  ///
  /// - Parameters:
  ///   - models: an empty list means any chat model that `allowed` admits.
  ///   - allowed: models that may be used if `models` is empty.
  public func mayServe(
    _ models: [ModelID], _ policy: DataPolicy, _ pools: HostPools = .all,
    _ allowed: AllowedModels = .all
  ) -> Bool {
    trust >= policy && pools.admits(tags: tags)
      && (models.isEmpty
        ? allowed.admitsAny(of: self.models) : models.contains { self.models.contains($0) })
  }
}
