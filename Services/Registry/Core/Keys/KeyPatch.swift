public import Access
public import ClusterModel
import Limits

/// Members of a key that an admin sets. Absent members keep their values.
public struct KeyPatch: Equatable, Sendable {
  public enum Expiry: Equatable, Sendable {
    case unchanged
    case never
    case at(WallMilliseconds)
  }

  public var name: String?
  public var account: AccountPath?
  var scopes: Set<AccessScope>?
  /// An empty set allows all models. The same rule applies to the other permissions.
  public var models: Set<ModelID>?
  public var patterns: Set<PatternName>?
  public var dataPolicies: Set<DataPolicy>?
  public var hostPools: Set<String>?
  /// New limits by name. `nil` as a value removes the limit.
  var limits: [KeyLimitName: Int?]
  public var expiry: Expiry

  public init(
    name: String? = nil, account: AccountPath? = nil, scopes: Set<AccessScope>? = nil,
    models: Set<ModelID>? = nil, patterns: Set<PatternName>? = nil,
    dataPolicies: Set<DataPolicy>? = nil, hostPools: Set<String>? = nil,
    limits: [KeyLimitName: Int?] = [:], expiry: Expiry = .unchanged
  ) {
    self.name = name
    self.account = account
    self.scopes = scopes
    self.models = models
    self.patterns = patterns
    self.dataPolicies = dataPolicies
    self.hostPools = hostPools
    self.limits = limits
    self.expiry = expiry
  }

  /// Changes the record. If a new value is not valid, the record stays as it was.
  ///
  /// - Throws: `invalidRequest` with the member's name.
  func apply(to record: inout KeyRecord, at now: WallMilliseconds) throws(Failure) {
    var changed = record
    if let name { changed.name = name }
    if let account { changed.account = account }
    if let scopes { changed.scopes = scopes }
    if let models { changed.permissions.models = models }
    if let patterns { changed.permissions.patterns = patterns }
    if let dataPolicies { changed.permissions.dataPolicies = dataPolicies }
    if let hostPools { changed.permissions.hostPools = hostPools }
    for (limit, value) in limits { changed.limits[keyPath: limit.path] = value }
    switch expiry {
    case .unchanged: break
    case .never: changed.expiresAt = nil
    case .at(let time):
      guard time > now, time <= Self.latestExpiry else {
        throw Failure(
          .invalidRequest,
          "expires_at_ms must be a time in the future, in milliseconds since 1970; to stop a key "
            + "now, disable or revoke it.", param: "expires_at_ms")
      }
      changed.expiresAt = time
    }
    try Self.check(changed)
    record = changed
  }

  /// The last millisecond of the year 9999, the last year that RFC 3339 can write.
  static let latestExpiry: WallMilliseconds = 253_402_300_799_999

  private static func check(_ record: KeyRecord) throws(Failure) {
    let longest = Limits.accessNameBytes.value
    guard (1...longest).contains(record.name.utf8.count),
      record.name.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
    else {
      throw Failure(
        .invalidRequest, "name must have 1 to \(longest) bytes without control characters.",
        param: "name")
    }
    guard !record.scopes.isEmpty else {
      throw Failure(
        .invalidRequest, "scopes is empty; to stop a key, disable it.", param: "scopes")
    }
    if let problem = record.limits.problem {
      throw Failure(.invalidRequest, "\(problem).", param: "limits")
    }
    if let problem = record.permissions.problem {
      throw Failure(.invalidRequest, "\(problem).", param: "permissions")
    }
    if let problem = record.problem {
      throw Failure(.invalidRequest, "\(problem).", param: "permissions")
    }
  }
}

/// A limit on the requests of one key, by its name in JSON.
public enum KeyLimitName: String, CaseIterable, Sendable {
  case requestsPerMinute = "requests_per_minute"
  case requestsPerDay = "requests_per_day"
  case tokensPerMinute = "tokens_per_minute"
  case tokensPerDay = "tokens_per_day"
  case concurrentRequests = "concurrent_requests"

  var path: WritableKeyPath<KeyLimits, Int?> {
    switch self {
    case .requestsPerMinute: \.requestsPerMinute
    case .requestsPerDay: \.requestsPerDay
    case .tokensPerMinute: \.tokensPerMinute
    case .tokensPerDay: \.tokensPerDay
    case .concurrentRequests: \.concurrentRequests
    }
  }
}
