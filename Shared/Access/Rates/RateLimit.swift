public import ClusterModel

/// Kind of a limit that a key can have.
public enum RateLimit: String, CaseIterable, Sendable {
  case concurrentRequests = "concurrent_requests"
  case requestsPerMinute = "requests_per_minute"
  case requestsPerDay = "requests_per_day"
  case tokensPerMinute = "tokens_per_minute"
  case tokensPerDay = "tokens_per_day"

  /// `allCases` as a stored value, because making it for each request would cost time.
  static let all = Array(allCases)

  /// The limit with its value, such as "10 requests per minute".
  func text(_ value: Int) -> String {
    switch self {
    case .concurrentRequests: "\(counted(value, "request")) at the same time"
    case .requestsPerMinute: "\(counted(value, "request")) per minute"
    case .requestsPerDay: "\(counted(value, "request")) per day"
    case .tokensPerMinute: "\(counted(value, "token")) per minute"
    case .tokensPerDay: "\(counted(value, "token")) per day"
    }
  }
}

extension KeyLimits {
  /// Value of a limit. `nil` means no limit.
  subscript(_ limit: RateLimit) -> Int? {
    switch limit {
    case .concurrentRequests: concurrentRequests
    case .requestsPerMinute: requestsPerMinute
    case .requestsPerDay: requestsPerDay
    case .tokensPerMinute: tokensPerMinute
    case .tokensPerDay: tokensPerDay
    }
  }
}

public enum RateDecision: Hashable, Sendable {
  case admitted(RateReservation)
  case refused(RateRefusal)
}

/// An admitted request's part of the key's limits. The request holds it until `RateWindows.finish`.
public struct RateReservation: Hashable, Sendable {
  public let key: KeyID
  /// Estimated tokens of prompt and answer.
  public let tokens: Int
  let number: UInt64
}

/// The limit that refuses a request, and when to try again.
public struct RateRefusal: Hashable, Sendable {
  public let key: KeyID
  public let limit: RateLimit
  /// Value of the limit for the whole cluster.
  public let value: Int
  /// `nil` means that waiting does not help, because the request alone is larger than the limit.
  public let secondsToWait: Int?

  public var failure: Failure {
    guard let secondsToWait else {
      return Failure(
        .rateLimited,
        "The request may take more tokens than the key tutti-\(key) may use: its limit is "
          + "\(limit.text(value)). Set a lower max_tokens or shorten the prompt.")
    }
    return Failure(
      .rateLimited,
      "The key tutti-\(key) has reached its limit of \(limit.text(value)). Try again in "
        + "\(counted(secondsToWait, "second")), or ask an admin for a higher limit.",
      retryAfter: .seconds(secondsToWait))
  }
}
