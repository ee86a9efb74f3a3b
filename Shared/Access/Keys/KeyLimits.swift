import Limits

/// Limits on the requests of one key. A member that is `nil` means no limit.
public struct KeyLimits: Hashable, Sendable {
  public var requestsPerMinute: Int?
  public var requestsPerDay: Int?
  public var tokensPerMinute: Int?
  public var tokensPerDay: Int?
  public var concurrentRequests: Int?

  public static let unlimited = KeyLimits()

  public init(
    requestsPerMinute: Int? = nil, requestsPerDay: Int? = nil, tokensPerMinute: Int? = nil,
    tokensPerDay: Int? = nil, concurrentRequests: Int? = nil
  ) {
    self.requestsPerMinute = requestsPerMinute
    self.requestsPerDay = requestsPerDay
    self.tokensPerMinute = tokensPerMinute
    self.tokensPerDay = tokensPerDay
    self.concurrentRequests = concurrentRequests
  }
}

extension KeyLimits: Codable {
  enum CodingKeys: String, CodingKey {
    case requestsPerMinute = "requests_per_minute"
    case requestsPerDay = "requests_per_day"
    case tokensPerMinute = "tokens_per_minute"
    case tokensPerDay = "tokens_per_day"
    case concurrentRequests = "concurrent_requests"
  }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    requestsPerMinute = try container.decodeIfPresent(Int.self, forKey: .requestsPerMinute)
    requestsPerDay = try container.decodeIfPresent(Int.self, forKey: .requestsPerDay)
    tokensPerMinute = try container.decodeIfPresent(Int.self, forKey: .tokensPerMinute)
    tokensPerDay = try container.decodeIfPresent(Int.self, forKey: .tokensPerDay)
    concurrentRequests = try container.decodeIfPresent(Int.self, forKey: .concurrentRequests)
    try decoder.refuse(problem)
  }
}

extension KeyLimits {
  /// The reason why these limits are not accepted. `nil` means that they are accepted.
  public var problem: String? {
    let rows: [(CodingKeys, Int?)] = [
      (.requestsPerMinute, requestsPerMinute), (.requestsPerDay, requestsPerDay),
      (.tokensPerMinute, tokensPerMinute), (.tokensPerDay, tokensPerDay),
      (.concurrentRequests, concurrentRequests),
    ]
    for case (let key, let value?) in rows
    where !(1...Limits.accessRateLimit.value).contains(value) {
      return "\(key.stringValue) is not between 1 and \(Limits.accessRateLimit.value); "
        + "to stop a key, disable it"
    }
    return nil
  }
}
