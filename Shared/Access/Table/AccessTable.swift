import Limits

/// A process's copy of the facts about all keys, as the registry publishes them. The process checks
/// keys with it, without a call to the registry.
public struct AccessTable: Hashable, Sendable {
  public let version: AccessTableVersion
  /// Whether no key was ever created, so that requests need none. It is `false` if the cluster has
  /// had keys, even if the table has none.
  public let isOpen: Bool
  private let pepper: KeyPepper
  private let grants: [KeyID: KeyGrant]

  /// Makes a table. Leaves out records beyond `access.keys`, and records whose id an earlier record
  /// has.
  ///
  /// - Parameter isOpen: whether requests need no key. It is ignored if there are records, because
  ///   an open table accepts every request.
  public init(
    version: AccessTableVersion, isOpen: Bool, pepper: KeyPepper, records: some Sequence<KeyRecord>
  ) {
    self.version = version
    self.pepper = pepper
    grants = Dictionary(
      records.prefix(Limits.accessKeys.value).map { ($0.id, KeyGrant($0)) },
      uniquingKeysWith: { first, _ in first })
    self.isOpen = isOpen && grants.isEmpty
  }

  public var count: Int { grants.count }

  public subscript(_ id: KeyID) -> KeyRecord? { grants[id]?.record }

  /// The grant of a key that `check` allowed. All requests of the key share it.
  public func grant(of id: KeyID) -> KeyGrant? { grants[id] }

  /// Why a key that was valid at the admission of its request is not valid now. `nil` means that
  /// the key is still valid. Scopes and permissions are not checked.
  public func refusal(of id: KeyID, at now: WallMilliseconds) -> AccessRefusal? {
    guard !isOpen else { return nil }
    guard let grant = grants[id] else { return AccessRefusal(.unknown, key: id) }
    return grant.record.refusal(at: now).map { AccessRefusal($0, key: id) }
  }

  /// Decides whether a request with this key may do what it needs.
  ///
  /// A well-formed key is hashed once, whether or not its id is known, so that the time of the
  /// check does not show which ids exist. Facts about a key are disclosed only to its holder.
  public func check(
    _ presented: PresentedKey, for need: AccessNeed, at now: WallMilliseconds
  ) -> AccessDecision {
    guard !isOpen else { return .open }
    let key: APIKey
    switch presented {
    case .absent: return .refused(AccessRefusal(.missing))
    case .unusable(let problem): return .refused(AccessRefusal(.unusable(problem)))
    case .key(let value): key = value
    }
    let record = grants[key.id]?.record
    let isEqual = KeyHash(of: key, pepper: pepper) == (record?.hash ?? .placeholder)
    guard let record, isEqual else {
      return .refused(AccessRefusal(.unknown, key: key.id))
    }
    if let reason = record.refusal(at: now) ?? record.reason(against: need) {
      return .refused(AccessRefusal(reason, key: key.id))
    }
    return .allowed(record)
  }
}

extension KeyRecord {
  /// The reason why the key is not valid. `nil` means that the key is valid.
  func refusal(at now: WallMilliseconds) -> AccessRefusal.Reason? {
    switch state {
    case .revoked: return .revoked
    case .disabled: return .disabled
    case .active: break
    }
    if let graceUntil, now >= graceUntil { return .replaced }
    if let expiresAt, now >= expiresAt { return .expired }
    return nil
  }

  /// Why the key does not permit the request. `nil` means that the key permits it. The key's
  /// validity is not checked.
  public func refusal(of need: AccessNeed) -> AccessRefusal? {
    reason(against: need).map { AccessRefusal($0, key: id) }
  }

  func reason(against need: AccessNeed) -> AccessRefusal.Reason? {
    if let scope = need.scope, !scopes.contains(scope) { return .scope(scope) }
    if let pattern = need.pattern, !permissions.allows(pattern) { return .pattern }
    if !need.models.allSatisfy(permissions.allows) { return .model }
    if let policy = need.dataPolicy, !permissions.allows(policy) { return .dataPolicy }
    return nil
  }
}
