public import Access
public import ClusterModel

/// Rights of a request's key. Without keys in the cluster, a request has all rights.
public struct KeyRights: Hashable, Sendable {
  /// The request's key. `nil` means that the cluster requires no key.
  public let grant: KeyGrant?

  public init(_ grant: KeyGrant?) { self.grant = grant }

  public init(_ key: KeyRecord? = nil) { grant = key.map { KeyGrant($0) } }

  /// `nil` means that the cluster requires no key.
  public var key: KeyRecord? { grant?.record }

  public var keyID: KeyID? { grant?.id }

  /// Whether the key allows only some models.
  public var limitsModels: Bool { grant?.record.permissions.models.isEmpty == false }

  /// The models that the key names. Empty if the key allows all models.
  public var namedModels: [ModelID] {
    limitsModels ? grant?.record.permissions.models.sorted() ?? [] : []
  }

  /// Host pools of the key. A client's request cannot use hosts of other pools.
  public var pools: HostPools { grant?.pools ?? .all }

  /// The least strict data policy that the key permits. It applies to requests that state none.
  public var weakestPolicy: DataPolicy { grant?.weakestPolicy ?? .any }

  /// The table with only the hosts that may serve the key's requests.
  func reachable(_ table: HostTable) -> HostTable {
    table.limited(to: pools, policy: weakestPolicy)
  }

  /// Whether a host that may serve the key's requests offers the model, ready or not.
  func reaches(_ model: ModelID, in table: HostTable) -> Bool {
    guard grant != nil else { return table.offers(model) }
    return table.hosts.contains { host in
      host.trust >= weakestPolicy && pools.admits(tags: host.tags) && host.offers(model)
    }
  }

  /// Returns only the models that the key allows.
  public func allowed(_ models: [ModelID]) -> [ModelID] {
    guard let key, limitsModels else { return models }
    return models.filter(key.permissions.allows)
  }

  /// Whether the key allows a model of hosts.
  func allows(_ model: ModelID) -> Bool { key?.permissions.allows(model) ?? true }

  /// Whether the key has the scope of plans.
  var allowsPlans: Bool { key?.scopes.contains(.plans) ?? true }

  /// Whether the key allows one of Tutti's own model names.
  func allows(ownModel name: String) -> Bool {
    guard let key else { return true }
    guard let pattern = PatternName(rawValue: name) else {
      return key.refusal(of: AccessNeed(.chat)) == nil
    }
    // Without the scope of plans, `tutti/auto` answers directly.
    let scope = pattern == .auto ? AccessScope.chat : .plans
    return key.refusal(of: AccessNeed(scope, pattern: pattern)) == nil
  }

  /// Checks whether the key allows the request and its route.
  /// - Throws: `permission_denied`.
  public func check(_ request: ClientRequest, _ route: GatewayRoute) throws(Failure) {
    guard let grant else { return }
    // A direct request needs no scope in addition to that of its endpoint, which was checked before.
    if grant.allowsAll, case .direct = route { return }
    if let refusal = grant.record.refusal(of: Self.need(request, route)) { throw refusal.failure }
  }

  static func need(_ request: ClientRequest, _ route: GatewayRoute) -> AccessNeed {
    var need = AccessNeed(dataPolicy: request.options.dataPolicy)
    need.models = request.options.models
    switch route {
    // If the request names no model, the gateway chooses one that the key allows.
    case .direct(let model): need.models += [model].compactMap(\.self)
    case .gated(let model, _):
      need.models += [model].compactMap(\.self)
      need.pattern = .auto
    case .plan(let pattern):
      need.scope = .plans
      need.pattern = PatternName(rawValue: pattern)
    }
    return need
  }
}

extension InferenceEndpoint {
  /// The scope that a key needs for requests to this endpoint.
  public var scope: AccessScope {
    switch self {
    case .chatCompletions, .completions: .chat
    case .embeddings: .embeddings
    }
  }
}
