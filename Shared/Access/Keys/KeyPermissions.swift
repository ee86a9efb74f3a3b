public import ClusterModel
import Limits

/// Models, patterns, data policies and hosts that a key may use. An empty set allows all.
public struct KeyPermissions: Hashable, Sendable {
  public var models: Set<ModelID>
  public var patterns: Set<PatternName>
  /// The least strict of these policies limits the hosts that may receive the key's requests.
  public var dataPolicies: Set<DataPolicy>
  /// Names of host pools. Only hosts of these pools may serve the key's requests.
  public var hostPools: Set<String>

  public static let all = KeyPermissions()

  public init(
    models: Set<ModelID> = [], patterns: Set<PatternName> = [],
    dataPolicies: Set<DataPolicy> = [], hostPools: Set<String> = []
  ) {
    self.models = models
    self.patterns = patterns
    self.dataPolicies = dataPolicies
    self.hostPools = hostPools
  }

  public func allows(_ model: ModelID) -> Bool { models.isEmpty || models.contains(model) }

  public func allows(_ pattern: PatternName) -> Bool {
    patterns.isEmpty || patterns.contains(pattern)
  }

  /// Whether the policy is one of the key's or stricter. A stricter policy only excludes hosts.
  public func allows(_ policy: DataPolicy) -> Bool { policy >= weakestPolicy }

  /// The least strict data policy that the key permits.
  public var weakestPolicy: DataPolicy { dataPolicies.min() ?? .any }

  /// Hosts that may serve the key's requests.
  public var pools: HostPools { HostPools(hostPools) }

  /// Bytes of the names, and 8 more per name. The 8 bytes cover the name's header, and they also
  /// keep a page of many short names within `bus.elements`.
  var textBytes: Int {
    models.reduce(0) { $0.addingCapped($1.name.utf8.count + 8) }
      .addingCapped(hostPools.reduce(0) { $0.addingCapped($1.utf8.count + 8) })
  }
}

extension KeyPermissions: Codable {
  enum CodingKeys: String, CodingKey {
    case models, patterns
    case dataPolicies = "data_policies"
    case hostPools = "host_pools"
  }

  /// Refuses unknown patterns and data policies. If they were dropped, the list could become empty
  /// and allow all.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    func names(_ key: CodingKeys) throws -> [String] {
      try container.decodeIfPresent([String].self, forKey: key) ?? []
    }
    func values<Value: RawRepresentable<String> & Hashable>(_ key: CodingKeys) throws -> Set<Value>
    {
      let names = try names(key)
      let values = Set(names.compactMap(Value.init(rawValue:)))
      guard values.count == Set(names).count else {
        throw DecodingError.dataCorruptedError(
          forKey: key, in: container, debugDescription: "\(key.stringValue) has an unknown name")
      }
      return values
    }
    models = Set(try names(.models).map { ModelID($0) })
    patterns = try values(.patterns)
    dataPolicies = try values(.dataPolicies)
    hostPools = Set(try names(.hostPools))
    try decoder.refuse(problem)
  }

  /// Names are sorted, so that equal permissions have the same text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(models.sorted(), forKey: .models)
    try container.encode(patterns.map(\.rawValue).sorted(), forKey: .patterns)
    try container.encode(dataPolicies.map(\.rawValue).sorted(), forKey: .dataPolicies)
    try container.encode(hostPools.sorted(), forKey: .hostPools)
  }
}

extension KeyPermissions {
  /// The reason why these permissions are not accepted. `nil` means that they are accepted.
  public var problem: String? {
    let lists = [
      (CodingKeys.models, models.map(\.name)), (CodingKeys.hostPools, Array(hostPools)),
    ]
    for (key, names) in lists {
      guard names.count <= Limits.accessListEntries.value else {
        return "\(key.stringValue) has more than \(Limits.accessListEntries.value) names "
          + "(limit \(Limits.accessListEntries.name))"
      }
      guard names.allSatisfy(\.isPrintableName) else {
        return "\(key.stringValue) has an empty name or one with control characters"
      }
    }
    return nil
  }
}
