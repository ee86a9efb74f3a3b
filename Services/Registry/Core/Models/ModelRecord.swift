public import ClusterModel
import HostModel
import Limits

/// An admin's settings of one model name.
public struct ModelRecord: Hashable, Codable, Sendable {
  public let id: ModelID
  /// Models of hosts for which this name is an alias, the preferred one first. A host that offers
  /// one of them offers the alias, too, unless this record excludes the host.
  public var standsFor: [ModelID] = []
  /// Whether the order of `standsFor` also decides between hosts. Hosts of a later model then get
  /// requests only if the hosts of earlier ones are busy or fail.
  public var isRanked: Bool {
    get { ranked ?? false }
    set { ranked = newValue ? true : nil }
  }
  /// Absent in records of earlier versions. Never `false`, so that equal records are equal.
  private var ranked: Bool?
  /// Hosts that may serve the model. If this and `hostPools` are empty, the record names no hosts,
  /// and `ModelApproval` decides.
  public var hosts: [HostID] = []
  /// Tags of hosts that may serve the model.
  public var hostPools: [String] = []
  /// Whether lists for clients leave the model out.
  public var isHidden = false
  /// Purpose of the model. `nil` means that it follows from its name.
  public var kind: ModelKind?
  /// Maximum prompt plus completion tokens. `nil` means that the host's own number applies.
  public var contextTokens: Int?
  /// Lowest versions of server software that may serve the model, each like `vLLM=0.6.3`.
  var minimumVersions: [String] = []

  public init(_ id: ModelID) { self.id = id }

  private enum CodingKeys: String, CodingKey {
    case id, hosts, kind, ranked
    case standsFor = "stands_for"
    case hostPools = "host_pools"
    case isHidden = "hidden"
    case contextTokens = "context_tokens"
    case minimumVersions = "minimum_versions"
  }

  /// Whether the record names the hosts that may serve the model.
  var limitsHosts: Bool { !hosts.isEmpty || !hostPools.isEmpty }
}

/// A change of a model's settings. `nil` means that the setting stays.
public struct ModelPatch: Hashable, Sendable {
  var standsFor: [ModelID]?
  var isRanked: Bool?
  var hosts: [HostID]?
  var hostPools: [String]?
  var isHidden: Bool?
  /// New kind. An inner `nil` removes the setting.
  public var kind: ModelKind??
  public var contextTokens: Int??
  var minimumVersions: [String]?

  public init(
    standsFor: [ModelID]? = nil, isRanked: Bool? = nil, hosts: [HostID]? = nil,
    hostPools: [String]? = nil, isHidden: Bool? = nil, kind: ModelKind?? = nil,
    contextTokens: Int?? = nil,
    minimumVersions: [String]? = nil
  ) {
    self.standsFor = standsFor
    self.isRanked = isRanked
    self.hosts = hosts
    self.hostPools = hostPools
    self.isHidden = isHidden
    self.kind = kind
    self.contextTokens = contextTokens
    self.minimumVersions = minimumVersions
  }

  /// Accepted values of `contextTokens`.
  public static let contextTokens = 1...Int(UInt32.max)

  /// - Throws: `invalidRequest` with the name of the wrong member.
  func applied(to record: ModelRecord) throws(Failure) -> ModelRecord {
    var record = record
    if let standsFor {
      record.standsFor = try Self.checked(
        standsFor, "stands_for", atMost: Limits.modelAliasTargets.value,
        "names of models (1 to \(Limits.modelNameBytes.value) bytes, without control characters, "
          + "not \(ModelID.ownPrefix)…)", ModelRegistry.isName)
    }
    if let hosts {
      record.hosts = try Self.checked(
        hosts, "hosts", atMost: Limits.tableHosts.value, "ids of hosts"
      ) { (try? HostAddress.check(id: $0.name)) != nil }
    }
    if let hostPools {
      record.hostPools = try Self.checked(
        hostPools, "host_pools", atMost: Limits.modelRecordPools.value,
        "tags of \(HostTags.rule)", HostTags.isName)
    }
    if let isRanked { record.isRanked = isRanked }
    if let isHidden { record.isHidden = isHidden }
    if let kind { record.kind = kind }
    if let contextTokens {
      guard contextTokens.map(Self.contextTokens.contains) ?? true else {
        throw Failure(
          .invalidRequest,
          "context_tokens must be a whole number from 1 to \(Self.contextTokens.upperBound).",
          param: "context_tokens")
      }
      record.contextTokens = contextTokens
    }
    if let minimumVersions {
      record.minimumVersions = try Self.checked(
        minimumVersions, "minimum_versions", atMost: Limits.modelRecordVersions.value,
        "versions of servers such as vLLM=0.6.3"
      ) { line in
        (1...Limits.hostVersionBytes.value).contains(line.utf8.count)
          && (try? EligibilityRules(minimumVersions: [line])) != nil
      }
    }
    return record
  }

  private static func checked<Item: Hashable>(
    _ items: [Item], _ member: String, atMost limit: Int, _ what: String,
    _ isValid: (Item) -> Bool
  ) throws(Failure) -> [Item] {
    guard items.count <= limit, Set(items).count == items.count, items.allSatisfy(isValid) else {
      throw Failure(
        .invalidRequest, "\(member) must hold at most \(limit) different \(what).", param: member)
    }
    return items
  }
}
