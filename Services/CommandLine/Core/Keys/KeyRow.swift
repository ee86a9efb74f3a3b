import Access

/// A key as the registry's admin API shows it.
///
/// Scopes and patterns are text, because a newer registry may have some that this command does not
/// know.
public struct KeyRow: Decodable, Hashable, Sendable {
  public let id: String
  public let name: String
  public let account: String
  let scopes: [String]
  let permissions: Permissions
  let limits: KeyLimits
  let state: String
  /// End of the key's validity, in milliseconds since 1970. `nil` means that the key does not
  /// expire.
  let expiresAt: Int64?
  /// Id of the older key that this key replaces. `nil` means that it replaces none.
  public let replaces: String?
  /// Milliseconds since 1970 until which a replaced key stays valid. `nil` means that no newer key
  /// has replaced this key.
  let graceUntil: Int64?

  /// Names that the key may use. An empty list allows all.
  struct Permissions: Decodable, Hashable, Sendable {
    var models: [String] = []
    var patterns: [String] = []
    var dataPolicies: [String] = []
    var hostPools: [String] = []

    init() {}

    enum CodingKeys: String, CodingKey {
      case models, patterns
      case dataPolicies = "data_policies"
      case hostPools = "host_pools"
    }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      models = try members.decodeIfPresent([String].self, forKey: .models) ?? []
      patterns = try members.decodeIfPresent([String].self, forKey: .patterns) ?? []
      dataPolicies = try members.decodeIfPresent([String].self, forKey: .dataPolicies) ?? []
      hostPools = try members.decodeIfPresent([String].self, forKey: .hostPools) ?? []
    }
  }

  enum CodingKeys: String, CodingKey {
    case id, name, account, scopes, permissions, limits, state, replaces
    case expiresAt = "expires_at_ms"
    case graceUntil = "grace_until_ms"
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    id = try members.decode(String.self, forKey: .id)
    name = try members.decode(String.self, forKey: .name)
    account = try members.decode(String.self, forKey: .account)
    scopes = try members.decode([String].self, forKey: .scopes)
    permissions =
      try members.decodeIfPresent(Permissions.self, forKey: .permissions) ?? Permissions()
    limits = try members.decodeIfPresent(KeyLimits.self, forKey: .limits) ?? .unlimited
    state = try members.decode(String.self, forKey: .state)
    expiresAt = try members.decodeIfPresent(Int64.self, forKey: .expiresAt)
    replaces = try members.decodeIfPresent(String.self, forKey: .replaces)
    graceUntil = try members.decodeIfPresent(Int64.self, forKey: .graceUntil)
  }
}

/// Answer to `create` and `rotate`: the record, and the key itself.
public struct NewKey: Decodable, Sendable {
  public let record: KeyRow
  /// The whole key. The registry returns it only once.
  public let key: String

  enum CodingKeys: CodingKey { case key }

  public init(from decoder: any Decoder) throws {
    record = try KeyRow(from: decoder)
    key = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .key)
  }
}

// MARK: - For people

extension KeyRow {
  /// State of the key for a table, with the end of its grace period while the period lasts.
  ///
  /// - Parameter now: milliseconds since 1970.
  func standing(now: Int64) -> String {
    guard state == KeyState.active.rawValue else { return state }
    if let expiresAt, expiresAt <= now { return "expired" }
    guard let graceUntil else { return state }
    return graceUntil <= now ? "replaced" : "replaced, valid until \(KeyTime.text(graceUntil))"
  }

  /// Table of keys.
  public static func table(_ keys: [KeyRow], now: Int64) -> TextTable {
    var table = TextTable([
      ("id", .left), ("name", .left), ("account", .left), ("state", .left), ("scopes", .left),
      ("only", .left), ("limits", .left), ("expires", .left),
    ])
    for key in keys {
      let permissions = key.permissions
      let only =
        permissions.models + permissions.patterns + permissions.dataPolicies
        + permissions.hostPools
      table.append([
        key.id, key.name, key.account, key.standing(now: now), key.scopes.joined(separator: " "),
        only.isEmpty ? "-" : only.joined(separator: ", "),
        key.limitTexts.isEmpty ? "-" : key.limitTexts.joined(separator: ", "),
        key.expiresAt.map(KeyTime.text) ?? "never",
      ])
    }
    return table
  }

  /// All facts about one key, one in each line.
  public func details(now: Int64) -> [String] {
    func names(_ names: [String]) -> String {
      names.isEmpty ? "all" : names.joined(separator: ", ")
    }
    var table = TextTable([("key", .left), ("tutti-\(id)-…", .left)])
    table.append(["name", name])
    table.append(["account", account])
    table.append(["state", standing(now: now)])
    table.append(["scopes", scopes.joined(separator: ", ")])
    table.append(["models", names(permissions.models)])
    table.append(["patterns", names(permissions.patterns)])
    table.append(["data policies", names(permissions.dataPolicies)])
    table.append(["host pools", names(permissions.hostPools)])
    table.append(["limits", limitTexts.isEmpty ? "none" : limitTexts.joined(separator: ", ")])
    table.append(["expires", expiresAt.map(KeyTime.text) ?? "never"])
    if let replaces { table.append(["replaces", replaces]) }
    return table.lines
  }

  private var limitTexts: [String] {
    [
      (limits.requestsPerMinute, "requests/min"), (limits.requestsPerDay, "requests/day"),
      (limits.tokensPerMinute, "tokens/min"), (limits.tokensPerDay, "tokens/day"),
      (limits.concurrentRequests, "at once"),
    ].compactMap { limit, unit in limit.map { "\($0) \(unit)" } }
  }
}
