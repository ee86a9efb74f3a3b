public import ClusterModel
import Limits

/// Rate of cheap answers for each client. Refusals and pages are cheap, so a client can ask for
/// thousands of them per second. Above the rate, answers are delayed.
///
/// A client has a burst, and then one answer per interval. The values are limits in
/// `Limits.cheapAnswers` and `Limits.cheapBurst`. Health checks, and requests whose client
/// left, count as a part of a cheap answer.
public struct ClientPace: Sendable {
  /// The reason for which a client is charged.
  public enum Charge: Sendable {
    /// A refusal or a page.
    case answer
    /// An answer to a health check (`Limits.healthAnswers`).
    case healthCheck
    /// A request whose client left before its answer (`Limits.abandonedRequests`).
    case abandoned

    /// Average pause between two of these without delay.
    var interval: Duration {
      let perSecond =
        switch self {
        case .answer: Limits.cheapAnswers.value
        case .healthCheck: Limits.healthAnswers.value
        case .abandoned: Limits.abandonedRequests.value
        }
      return .microseconds(1_000_000 / Int64(perSecond))
    }
  }

  /// Average pause between two cheap answers of a client without delay.
  private static let interval = Charge.answer.interval
  /// Time that a rested client is ahead of its rate.
  private static let lead = interval * Limits.cheapBurst.value
  /// Longest delay. Clients wait less patiently for an error than for an answer.
  static let longestDelay = Duration.seconds(1)
  /// Clients that are remembered, some 100 bytes each. Further clients are not delayed.
  static let mostClients = 4_096

  /// The time at which a client has its whole burst again.
  private var rested: [UInt64: Instant] = [:]
  /// The time at which a full table is searched again for clients that have rested.
  private var nextSearch = Instant.zero

  public init() {}

  /// Counts one cheap answer, or what counts as a part of one.
  /// - Returns: the delay of the answer.
  public mutating func take(
    _ client: UInt64, for charge: Charge = .answer, at now: Instant
  ) -> Duration {
    if rested.count >= Self.mostClients, rested[client] == nil {
      // The search takes some 100 µs, and a flood from many addresses must not cause one per answer.
      guard now >= nextSearch else { return .zero }
      rested = rested.filter { $0.value > now }
      nextSearch = now.advanced(by: Self.interval)
      guard rested.count < Self.mostClients else { return .zero }
    }
    let latest = now.advanced(by: Self.lead + Self.longestDelay)
    let next = min(max(rested[client] ?? now, now).advanced(by: charge.interval), latest)
    rested[client] = next
    return delay(of: client, at: now)
  }

  /// The delay of a client's next request. It is positive after more cheap answers than the rate
  /// permits.
  public func delay(of client: UInt64, at now: Instant) -> Duration {
    guard let rested = rested[client] else { return .zero }
    return max(.zero, now.duration(to: rested) - Self.lead)
  }
}
