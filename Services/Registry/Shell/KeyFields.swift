import Access
import ClusterModel
import Hummingbird
import Limits
import RegistryCore

/// The body of a request that creates or changes a key.
struct KeyFields {
  private let fields: JSONFields

  init(_ request: Request) async throws {
    // An empty body is accepted here. Only a new key requires a member, its `name`, and the
    // registry reports if that is missing.
    fields = try await JSONFields(request, isOptional: true)
  }

  func settings() throws -> KeyPatch {
    try fields.allow(["name", "account", "scopes", "permissions", "limits", "expires_at_ms"])
    var patch = KeyPatch(
      name: try fields.text("name"), account: try account(),
      scopes: try fields["scopes"].isNothing ? nil : fields.choices("scopes"),
      limits: try limits(), expiry: try expiry())
    if let permissions = try fields.object("permissions") {
      try permissions.allow(["models", "patterns", "data_policies", "host_pools"])
      patch.models = try permissions.texts("models").map { Set($0.map { ModelID($0) }) }
      patch.patterns = try permissions.choices("patterns")
      patch.dataPolicies = try permissions.choices("data_policies")
      patch.hostPools = try permissions.texts("host_pools").map { names in
        guard names.allSatisfy(HostTags.isName) else {
          // No host can have such a tag, so no host would serve the key's requests.
          throw permissions.wrong("host_pools", "an array of names of \(HostTags.rule), or null")
        }
        return Set(names)
      }
    }
    return patch
  }

  /// The grace period of a rotation in milliseconds.
  func grace() throws -> WallMilliseconds {
    try fields.allow(["grace_ms"])
    return try fields.integer("grace_ms", in: 0...Limits.accessGrace.value).map {
      WallMilliseconds($0)
    }
      ?? KeyRegistry.defaultGrace
  }

  private func account() throws -> AccountPath? {
    guard let text = try fields.text("account") else { return nil }
    guard let account = AccountPath(text) else {
      throw fields.wrong(
        "account",
        "ORGANISATION or ORGANISATION/TEAM, each with 1 to \(AccountPath.maximumNameBytes) "
          + "characters of a–z, 0–9, -, _ and .")
    }
    return account
  }

  /// New limits of the key. `null` removes a limit.
  private func limits() throws -> [KeyLimitName: Int?] {
    guard let given = try fields.object("limits") else { return [:] }
    try given.allow(Set(KeyLimitName.allCases.map(\.rawValue)))
    var limits: [KeyLimitName: Int?] = [:]
    for name in KeyLimitName.allCases where given[name.rawValue] != nil {
      let value = try given.integer(name.rawValue, in: 1...Limits.accessRateLimit.value)
      limits.updateValue(value, forKey: name)
    }
    return limits
  }

  /// New expiry of the key. `null` means that the key does not expire.
  private func expiry() throws -> KeyPatch.Expiry {
    switch fields["expires_at_ms"] {
    case nil: return .unchanged
    case .null: return .never
    case .integer(let time): return .at(WallMilliseconds(time))
    default: throw fields.wrong("expires_at_ms", "milliseconds since 1970, or null")
    }
  }
}

extension JSONScalar? {
  /// Whether the member is absent or `null`.
  fileprivate var isNothing: Bool {
    switch self {
    case nil, .null: true
    default: false
    }
  }
}
