public import ClusterModel
import Limits

/// Counts each key's requests and tokens, and refuses requests above the key's limits.
///
/// Each gateway counts alone and permits its share: the limit divided by the number of live
/// gateways. The share is rounded up, so that a limit below the number of gateways still permits
/// one request at each gateway. Because of the rounding, all gateways together may exceed a limit
/// by less than one request or token per gateway. They may exceed it by more if single requests are
/// larger than a share: see `admit(_:limits:tokens:at:)`.
///
/// A refused request is not counted. Every operation takes constant time.
public struct RateWindows: Sendable {
  /// Number of live gateways, this one included. Values below 1 count as 1.
  public var gateways: Int

  private var usages: RecentTable<KeyID, RateUsage>
  private var nextNumber: UInt64 = 0

  /// - Parameter maximumKeys: number of keys with counts in memory. A further key replaces the one
  ///   that made no request for longest. `nil` means as many as a full access table has.
  public init(gateways: Int = 1, maximumKeys: Int? = nil) {
    self.gateways = gateways
    usages = RecentTable(capacity: maximumKeys ?? Limits.accessKeys.value)
  }

  /// Number of keys that are counted.
  public var keyCount: Int { usages.count }

  /// Counts a request and its estimated tokens, or refuses it.
  ///
  /// A request that is larger than the gateway's share, but not than the limit, is admitted if the
  /// share is unused. Without this rule, such requests would become impossible if gateways are
  /// added.
  ///
  /// - Parameter tokens: estimated tokens of prompt and answer.
  public mutating func admit(
    _ key: KeyID, limits: KeyLimits, tokens: Int, at now: Instant
  ) -> RateDecision {
    let tokens = min(max(tokens, 0), Limits.accessRateLimit.value)
    let reservation = RateReservation(key: key, tokens: tokens, number: nextNumber)
    guard limits != .unlimited else { return .admitted(reservation) }
    let share = RateShare(limits, of: gateways)
    let refusal = usages.use(key, initial: RateUsage()) { usage in
      usage.admit(reservation, share, at: now)
    }
    if let refusal { return .refused(refusal) }
    nextNumber &+= 1
    return .admitted(reservation)
  }

  /// Why the smallest request of a key would be refused now. `nil` means that it would be admitted.
  ///
  /// This counts no request. It is called before a body is read, so that a key above its limits
  /// causes no work.
  public mutating func refusal(
    of key: KeyID, limits: KeyLimits, at now: Instant
  ) -> RateRefusal? {
    guard limits != .unlimited else { return nil }
    let smallest = RateReservation(key: key, tokens: 1, number: nextNumber)
    let share = RateShare(limits, of: gateways)
    // A key without counted requests is within its limits.
    return usages.change(key) { $0.refusal(of: smallest, share, at: now) } ?? nil
  }

  /// Ends a request, and replaces its estimated tokens by the tokens that it took. Repeated calls
  /// do nothing.
  public mutating func finish(_ reservation: RateReservation, tokens: Int, at now: Instant) {
    let tokens = min(max(tokens, 0), Limits.accessRateLimit.value)
    _ = usages.change(reservation.key) { $0.finish(reservation, tokens: tokens, at: now) }
  }

  /// The key's limits and the unused part of this gateway's share.
  public mutating func headers(
    for key: KeyID, limits: KeyLimits, at now: Instant
  ) -> RateLimitHeaders {
    let share = RateShare(limits, of: gateways)
    var unused = RateUsage()
    return usages.change(key) { $0.headers(share, at: now) } ?? unused.headers(share, at: now)
  }
}

extension RateWindows {
  /// The key's limits in the order of `RateLimit`, each with the unused part of this gateway's
  /// share.
  public mutating func remainders(
    for key: KeyID, limits: KeyLimits, at now: Instant
  ) -> [RateRemainder] {
    let share = RateShare(limits, of: gateways)
    var unused = RateUsage()
    return usages.change(key) { $0.remainders(share, at: now) }
      ?? unused.remainders(share, at: now)
  }
}

/// One limit of a key, and the unused part of this gateway's share of it.
public struct RateRemainder: Hashable, Sendable {
  public let limit: RateLimit
  /// Value for the whole cluster.
  public let value: Int
  /// This gateway's part of the value.
  public let share: Int
  /// The unused part of the share.
  public let remaining: Int
  /// Seconds until the count of requests or tokens is 0, if no request follows. `nil` means that
  /// running requests are counted, and that the time of their end is unknown.
  public let secondsToReset: Int?
}

/// One gateway's part of a key's limits.
struct RateShare {
  let limits: KeyLimits
  private let gateways: Int

  init(_ limits: KeyLimits, of gateways: Int) {
    self.limits = limits
    self.gateways = max(gateways, 1)
  }

  /// The limit divided by the number of gateways, rounded up. `nil` means no limit.
  subscript(_ limit: RateLimit) -> Int? {
    limits[limit].map { value in
      let (quotient, remainder) = max(value, 0).quotientAndRemainder(dividingBy: gateways)
      return remainder == 0 ? quotient : quotient + 1
    }
  }
}
