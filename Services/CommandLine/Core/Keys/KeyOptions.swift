import Access
public import ClusterModel
import Limits
import Text

/// Options of `tutti keys create` and `tutti keys set`, unchecked.
///
/// All mistakes are reported at once, one per line.
public struct KeyOptions: Sendable {
  /// `nil` means that `set` keeps the name.
  public var name: String?
  /// `nil` means that `create` uses the default account, and `set` keeps the account.
  public var account: String?
  public var scopes: [String] = []
  public var models: [String] = []
  public var patterns: [String] = []
  public var dataPolicies: [String] = []
  public var hostPools: [String] = []
  public var requestsPerMinute: Int?
  public var requestsPerDay: Int?
  public var tokensPerMinute: Int?
  public var tokensPerDay: Int?
  public var concurrentRequests: Int?
  public var expires: String?
  /// Restrictions that `set` removes, by the names of their options.
  public var cleared: [String] = []

  public init() {}

  /// A restriction that `--clear` removes.
  public enum Restriction: String, CaseIterable, Sendable {
    case models = "model"
    case patterns = "pattern"
    case dataPolicies = "data-policy"
    case hostPools = "host-pool"
    case requestsPerMinute = "requests-per-minute"
    case tokensPerMinute = "tokens-per-minute"
    case requestsPerDay = "requests-per-day"
    case tokensPerDay = "tokens-per-day"
    case concurrentRequests = "concurrent"

    /// Name of the member in JSON.
    var member: String {
      switch self {
      case .models: "models"
      case .patterns: "patterns"
      case .dataPolicies: "data_policies"
      case .hostPools: "host_pools"
      case .requestsPerMinute: "requests_per_minute"
      case .tokensPerMinute: "tokens_per_minute"
      case .requestsPerDay: "requests_per_day"
      case .tokensPerDay: "tokens_per_day"
      case .concurrentRequests: "concurrent_requests"
      }
    }
  }

  /// The body of a request that creates or changes a key. It has only the given members, and the
  /// registry keeps all other members. So two admins can change different properties at the same
  /// time.
  ///
  /// - Parameter now: milliseconds since 1970.
  public func body(now: Int64) throws(ProcessFailure) -> [UInt8] {
    var mistakes = Mistakes()
    checkNames(&mistakes)
    checkRestrictions(&mistakes)
    var members: [(String, JSON)] = []
    if let name { members.append(("name", .string(name))) }
    if let account { members.append(("account", .string(account))) }
    if !scopes.isEmpty { members.append(("scopes", Self.names(scopes))) }
    if !permissions.isEmpty { members.append(("permissions", .object(permissions))) }
    if !limits.isEmpty { members.append(("limits", .object(limits))) }
    if let expires {
      do throws(ProcessFailure) {
        let time = try KeyTime.expiry(expires, now: now)
        members.append(("expires_at_ms", time.map { .integer(Int(clamping: $0)) } ?? .null))
      } catch {
        mistakes.add(error.message)
      }
    }
    try mistakes.raise()
    guard !members.isEmpty else {
      throw ProcessFailure(
        .usage, "no property to change is named; name one, for example --tokens-per-day 100000")
    }
    return JSON.object(members).encoded
  }

  // MARK: - Checks

  private struct Mistakes {
    private var lines: [String] = []

    mutating func add(_ line: String?) {
      if let line { lines.append(line) }
    }

    func raise() throws(ProcessFailure) {
      guard lines.isEmpty else { throw ProcessFailure(.usage, lines.joined(separator: "\n")) }
    }
  }

  private func checkNames(_ mistakes: inout Mistakes) {
    if let name {
      if APIKey(name) != nil {
        mistakes.add("the name is a whole key; keys are made by the registry, choose another name")
      } else if name.utf8.isEmpty || !name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) {
        mistakes.add("the name is empty or has control characters")
      }
    }
    if let account, AccountPath(account) == nil {
      mistakes.add(
        "--account: “\(account.cut(toBytes: 40))” is not an account such as acme or acme/research: "
          + "each part has 1 to \(AccountPath.maximumNameBytes) characters of a–z, 0–9, -, _ and .")
    }
    for scope in scopes {
      mistakes.add(Self.mistake(in: scope, of: AccessScope.self, option: "scope", "a scope"))
    }
    for model in models {
      if PatternName(rawValue: model) != nil {
        mistakes.add("--model: \(model) is a pattern; name it with --pattern")
      } else if model.utf8.isEmpty || !model.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) {
        mistakes.add("--model: a name is empty or has control characters")
      }
    }
    for pattern in patterns {
      mistakes.add(
        Self.mistake(
          in: pattern, of: PatternName.self, option: "pattern", "a pattern", prefix: "tutti/"))
    }
    for policy in dataPolicies {
      mistakes.add(
        Self.mistake(in: policy, of: DataPolicy.self, option: "data-policy", "a data policy"))
    }
    for pool in hostPools where !HostTags.isName(pool) {
      mistakes.add(
        "--host-pool: “\(pool.cut(toBytes: 40))” is no tag of a host: a tag has \(HostTags.rule)")
    }
  }

  private func checkRestrictions(_ mistakes: inout Mistakes) {
    for name in cleared {
      mistakes.add(
        Self.mistake(in: name, of: Restriction.self, option: "clear", "a restriction"))
    }
    let largest = Limits.accessRateLimit.value
    for case (let limit, let value?) in givenLimits where !(1...largest).contains(value) {
      mistakes.add(
        "--\(limit.rawValue): \(value) is not from 1 to \(largest); `tutti keys disable` stops a "
          + "key")
    }
    let given =
      givenLimits.filter { $0.1 != nil }.map(\.0) + givenNames.filter { !$0.1.isEmpty }.map(\.0)
    for restriction in given where isCleared(restriction) {
      mistakes.add("--clear \(restriction.rawValue) contradicts --\(restriction.rawValue)")
    }
  }

  /// Message that a name is not one of the choices, with similar choices. `nil` means that it is
  /// one.
  ///
  /// - Parameter prefix: beginning of all choices, which people may omit.
  static func mistake<Choice: CaseIterable & RawRepresentable<String>>(
    in name: String, of _: Choice.Type, option: String, _ noun: String, prefix: String = ""
  ) -> String? {
    guard Choice(rawValue: name) == nil else { return nil }
    let known = Choice.allCases.map(\.rawValue)
    let near = NearNames.near(name.hasPrefix(prefix) ? name : prefix + name, among: known)
    let advice =
      near.isEmpty
      ? "choose from \(known.joined(separator: ", "))"
      : "did you mean \(near.joined(separator: " or "))?"
    return "--\(option): “\(name.cut(toBytes: 40))” is not \(noun); \(advice)"
  }

  // MARK: - Members

  private var givenNames: [(Restriction, [String])] {
    [
      (.models, models), (.patterns, patterns), (.dataPolicies, dataPolicies),
      (.hostPools, hostPools),
    ]
  }

  private var givenLimits: [(Restriction, Int?)] {
    [
      (.requestsPerMinute, requestsPerMinute), (.tokensPerMinute, tokensPerMinute),
      (.requestsPerDay, requestsPerDay), (.tokensPerDay, tokensPerDay),
      (.concurrentRequests, concurrentRequests),
    ]
  }

  /// Members of the request for names that were given or cleared. A cleared member is an empty
  /// array, which allows all names.
  private var permissions: [(String, JSON)] {
    givenNames.filter { !$0.1.isEmpty || isCleared($0.0) }
      .map { ($0.0.member, Self.names($0.1)) }
  }

  /// Members of the request for limits that were given or cleared. A cleared member is `null`,
  /// which means no limit.
  private var limits: [(String, JSON)] {
    givenLimits.filter { $0.1 != nil || isCleared($0.0) }
      .map { ($0.0.member, $0.1.map(JSON.integer) ?? .null) }
  }

  private func isCleared(_ restriction: Restriction) -> Bool {
    cleared.contains(restriction.rawValue)
  }

  private static func names(_ names: [String]) -> JSON { .array(names.map(JSON.string)) }
}
