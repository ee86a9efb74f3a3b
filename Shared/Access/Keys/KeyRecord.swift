import Limits

/// Time in milliseconds since 1970, UTC. The ledger uses the same unit.
public typealias WallMilliseconds = Int64

/// Whether a key may be used.
public enum KeyState: String, Codable, CaseIterable, Sendable {
  /// The key may be used until it expires or its grace period ends. It can become `disabled` or
  /// `revoked`.
  case active
  /// An admin suspended the key. It can become `active` or `revoked`.
  case disabled
  /// An admin ended the key. This state is final.
  case revoked
}

/// Facts about one key, as the registry stores and publishes them. They do not contain the key.
public struct KeyRecord: Hashable, Sendable {
  public let id: KeyID
  public var name: String
  public var account: AccountPath
  public var hash: KeyHash
  public var scopes: Set<AccessScope>
  public var permissions: KeyPermissions
  public var limits: KeyLimits
  public var state: KeyState
  /// Time at which the key expires. `nil` means that the key does not expire.
  public var expiresAt: WallMilliseconds?
  /// Id of the older key that this one replaces. `nil` means that it replaces none.
  public var replaces: KeyID?
  /// End of the grace period after a newer key replaced this one. `nil` means that no key replaced
  /// it.
  public var graceUntil: WallMilliseconds?

  public init(
    id: KeyID, name: String, account: AccountPath, hash: KeyHash, scopes: Set<AccessScope>,
    permissions: KeyPermissions = .all, limits: KeyLimits = .unlimited, state: KeyState = .active,
    expiresAt: WallMilliseconds? = nil, replaces: KeyID? = nil,
    graceUntil: WallMilliseconds? = nil
  ) {
    self.id = id
    self.name = name
    self.account = account
    self.hash = hash
    self.scopes = scopes
    self.permissions = permissions
    self.limits = limits
    self.state = state
    self.expiresAt = expiresAt
    self.replaces = replaces
    self.graceUntil = graceUntil
  }

  /// Estimated bytes of the record in a page: its texts, and numbers of fixed size.
  var pageBytes: Int {
    256 + name.utf8.count.addingCapped(permissions.textBytes)
  }
}

extension KeyRecord: Codable {
  enum CodingKeys: String, CodingKey {
    case id, name, account, hash, scopes, permissions, limits, state, replaces
    case expiresAt = "expires_at"
    case graceUntil = "grace_until"
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    id = try container.decode(KeyID.self, forKey: .id)
    name = try container.decode(String.self, forKey: .name)
    account = try container.decode(AccountPath.self, forKey: .account)
    hash = try container.decode(KeyHash.self, forKey: .hash)
    scopes = Set(try container.decode([AccessScope].self, forKey: .scopes))
    permissions = try container.decodeIfPresent(KeyPermissions.self, forKey: .permissions) ?? .all
    limits = try container.decodeIfPresent(KeyLimits.self, forKey: .limits) ?? .unlimited
    state = try container.decode(KeyState.self, forKey: .state)
    expiresAt = try container.decodeIfPresent(WallMilliseconds.self, forKey: .expiresAt)
    replaces = try container.decodeIfPresent(KeyID.self, forKey: .replaces)
    graceUntil = try container.decodeIfPresent(WallMilliseconds.self, forKey: .graceUntil)
    try decoder.refuse(problem)
  }

  /// Scopes are sorted, so that equal records have the same text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(id, forKey: .id)
    try container.encode(name, forKey: .name)
    try container.encode(account, forKey: .account)
    try container.encode(hash, forKey: .hash)
    try container.encode(scopes.map(\.rawValue).sorted(), forKey: .scopes)
    try container.encode(permissions, forKey: .permissions)
    try container.encode(limits, forKey: .limits)
    try container.encode(state, forKey: .state)
    try container.encodeIfPresent(expiresAt, forKey: .expiresAt)
    try container.encodeIfPresent(replaces, forKey: .replaces)
    try container.encodeIfPresent(graceUntil, forKey: .graceUntil)
  }
}

extension KeyRecord {
  /// The reason why gateways would refuse this record. `nil` means that the record is valid.
  public var problem: String? {
    guard name.isPrintableName else { return "a key's name is empty or has control characters" }
    guard pageBytes <= Limits.accessRecordBytes.value else {
      return "the key's name and lists have more than \(Limits.accessRecordBytes.value) bytes "
        + "(limit \(Limits.accessRecordBytes.name))"
    }
    return limits.problem ?? permissions.problem
  }
}

extension String {
  /// Whether the text is not empty and has no control characters.
  var isPrintableName: Bool {
    !isEmpty && utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
  }
}

extension Decoder {
  /// Throws an error if there is a problem. `nil` means that there is none.
  func refuse(_ problem: String?) throws {
    guard let problem else { return }
    throw DecodingError.dataCorrupted(
      DecodingError.Context(codingPath: codingPath, debugDescription: problem))
  }
}
