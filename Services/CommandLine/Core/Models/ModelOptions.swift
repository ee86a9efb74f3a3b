public import ClusterModel
import Text

/// Options of `tutti models set`, `alias` and `rank`, unchecked.
///
/// All mistakes are reported at once, one per line.
public struct ModelOptions: Sendable {
  /// Models for which the name is an alias.
  public var standsFor: [String] = []
  /// Whether the order of `standsFor` also decides between hosts.
  public var isRanked: Bool?
  public var hostPools: [String] = []
  public var isHidden: Bool?
  public var kind: String?
  public var contextTokens: Int?
  public var minimumVersions: [String] = []
  /// Settings that are removed, by their names.
  public var cleared: [String] = []

  public init() {}

  /// A setting that `--clear` removes.
  public enum Setting: String, CaseIterable, Sendable {
    case alias
    case hosts = "host"
    case hostPools = "pool"
    case kind
    case contextTokens = "context-tokens"
    case minimumVersions = "minimum-version"

    /// Name of the member in JSON.
    var member: String {
      switch self {
      case .alias: "stands_for"
      case .hosts: "hosts"
      case .hostPools: "host_pools"
      case .kind: "kind"
      case .contextTokens: "context_tokens"
      case .minimumVersions: "minimum_versions"
      }
    }
  }

  /// The body of a request that changes a model's record. It has only the given members.
  public func body() throws(ProcessFailure) -> [UInt8] {
    var members: [(String, JSON)] = []
    for (setting, names) in [
      (Setting.alias, standsFor), (.hostPools, hostPools), (.minimumVersions, minimumVersions),
    ] where !names.isEmpty {
      members.append((setting.member, .array(names.map(JSON.string))))
    }
    if let isRanked { members.append(("ranked", .boolean(isRanked))) }
    if let isHidden { members.append(("hidden", .boolean(isHidden))) }
    if let kind { members.append((Setting.kind.member, .string(kind))) }
    if let contextTokens {
      members.append((Setting.contextTokens.member, .integer(contextTokens)))
    }
    let mistakes = mistakes(given: Set(members.map(\.0)))
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    members += cleared.compactMap(Setting.init(rawValue:)).map { ($0.member, .null) }
    guard !members.isEmpty else {
      throw ProcessFailure(
        .usage, "no setting to change is named; name one, for example --context-tokens 32768")
    }
    return JSON.object(members).encoded
  }

  /// - Parameter given: names of the members that get a value.
  private func mistakes(given: Set<String>) -> [String] {
    var mistakes = [
      kind.flatMap {
        KeyOptions.mistake(in: $0, of: ModelKind.self, option: "kind", "a kind of model")
      }
    ].compactMap(\.self)
    if let contextTokens, contextTokens < 1 {
      mistakes.append("--context-tokens: \(contextTokens) is not a number of tokens")
    }
    for name in cleared {
      if let setting = Setting(rawValue: name) {
        if given.contains(setting.member) {
          mistakes.append("--clear \(name) contradicts --\(name)")
        }
      } else if let mistake = KeyOptions.mistake(
        in: name, of: Setting.self, option: "clear", "a setting")
      {
        mistakes.append(mistake)
      }
    }
    return mistakes
  }

  /// The body of a request that approves hosts for a model.
  ///
  /// - Parameters:
  ///   - present: hosts that are approved already. They stay.
  ///   - added: hosts to approve.
  public static func approval(of added: [String], after present: [String]) -> [UInt8] {
    var hosts = present
    for host in added where !hosts.contains(host) { hosts.append(host) }
    return JSON.object([("hosts", .array(hosts.map(JSON.string)))]).encoded
  }
}
