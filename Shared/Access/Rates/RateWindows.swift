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
/// The registry adds up the counts of a day over all gateway processes (`KeyUseExchange`). Of such a
/// limit, a gateway permits its share of the part that no process has used. All gateways together
/// may then exceed the limit by the use that the registry did not know yet.
///
/// A request that `admit` refuses is not counted. One that is refused later is handled by
/// `finish(_:tokens:wasRefused:at:)`. Every operation on one key takes constant time. The times are
/// counted from 1970, so that the hours of all processes are the same.
public struct RateWindows: Sendable {
  /// Number of live gateways, this one included. Values below 1 count as 1.
  public var gateways: Int
  /// Whether the registry answers, so that this gateway's part of a day's limit grows with the
  /// parts that other gateways do not use.
  var isShared = false

  private var usages: RecentTable<KeyID, RateUsage>
  private var nextNumber: UInt64 = 0
  /// Keys whose counts of the day are in the next report.
  private var listed: [KeyID] = []

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
    let share = RateShare(limits, of: gateways, isShared: isShared)
    let (refusal, hasNews) = usages.use(key, initial: RateUsage()) { usage in
      (usage.admit(reservation, share, at: now), usage.listNews())
    }
    if hasNews { list(key) }
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
    let share = RateShare(limits, of: gateways, isShared: isShared)
    // A key without counted requests is within its limits.
    return usages.change(key) { $0.refusal(of: smallest, share, at: now) } ?? nil
  }

  /// Counts more estimated tokens for a running request, or refuses it. A lower estimate changes
  /// nothing.
  ///
  /// An estimate above a limit of tokens counts as the whole limit, so that such a request runs if
  /// nothing else is counted.
  ///
  /// - Parameters:
  ///   - tokens: estimated tokens of the whole request.
  ///   - mayRefuse: whether the request may be refused. If not, the tokens are counted even above
  ///     the limits.
  /// - Returns: `nil` if the tokens are counted.
  public mutating func raise(
    _ reservation: RateReservation, limits: KeyLimits, to tokens: Int, mayRefuse: Bool,
    at now: Instant
  ) -> RateRefusal? {
    let tokens = min(max(tokens, 0), Limits.accessRateLimit.value)
    let share = RateShare(limits, of: gateways, isShared: isShared)
    let outcome = usages.change(reservation.key) { usage in
      let refusal = usage.raise(reservation, to: tokens, share, mayRefuse: mayRefuse, at: now)
      return (refusal: refusal, hasNews: usage.listNews())
    }
    if outcome?.hasNews == true { list(reservation.key) }
    return outcome?.refusal
  }

  /// Ends a request, and replaces its estimated tokens by the tokens that it took. Repeated calls
  /// do nothing.
  ///
  /// - Parameter wasRefused: whether the request was refused before any work. It then does not count
  ///   against the limit of requests per day, but still against the one per minute.
  public mutating func finish(
    _ reservation: RateReservation, tokens: Int, wasRefused: Bool = false, at now: Instant
  ) {
    let tokens = min(max(tokens, 0), Limits.accessRateLimit.value)
    let hasNews = usages.change(reservation.key) { usage in
      usage.finish(reservation, tokens: tokens, wasRefused: wasRefused, at: now)
      return usage.listNews()
    }
    if hasNews == true { list(reservation.key) }
  }

  /// The key's limits and the unused part of this gateway's share.
  public mutating func headers(
    for key: KeyID, limits: KeyLimits, at now: Instant
  ) -> RateLimitHeaders {
    let share = RateShare(limits, of: gateways, isShared: isShared)
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
    let share = RateShare(limits, of: gateways, isShared: isShared)
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
  /// Whether the registry adds up the counts of the day over all gateways.
  let isShared: Bool
  private let gateways: Int

  init(_ limits: KeyLimits, of gateways: Int, isShared: Bool) {
    self.limits = limits
    self.isShared = isShared
    self.gateways = max(gateways, 1)
  }

  /// An amount divided by the number of gateways, rounded up.
  func part(of amount: Int) -> Int {
    let (quotient, remainder) = max(amount, 0).quotientAndRemainder(dividingBy: gateways)
    return remainder == 0 ? quotient : quotient + 1
  }
}

// MARK: - Exchange with the registry

extension RateWindows {
  private mutating func list(_ key: KeyID) {
    listed.append(key)
    guard listed.count > 2 * Limits.accessKeys.value else { return }
    // A key that lost its place in the table was listed again when it got another one.
    let known = Set(listed)
    listed = usages.keys.filter(known.contains)
  }

  /// Whether the next report has keys.
  var hasChanges: Bool { !listed.isEmpty }

  /// Whether the next report is full.
  var hasManyChanges: Bool { listed.count >= Limits.accessUseBatch.value }

  /// The hours that have changed since the last confirmed report, for at most
  /// `Limits.accessUseBatch` keys.
  mutating func takeChanges(at now: Instant) -> [DayUse] {
    let keys = Array(listed.prefix(Limits.accessUseBatch.value))
    listed.removeFirst(keys.count)
    var uses: [DayUse] = []
    for key in keys {
      // A key that made no request for long may have lost its place in the table.
      guard let use = usages.change(key, { $0.report(of: key, at: now) }) else { continue }
      uses.append(use)
    }
    return uses
  }

  /// Records that the registry has received the last report about these keys.
  mutating func confirm(_ keys: [KeyID]) {
    for key in keys { _ = usages.change(key) { $0.confirm() } }
  }

  /// Records that the registry had no room for the use of these keys. This gateway's parts of their
  /// limits do not grow.
  mutating func keepShare(of keys: [KeyID]) {
    for key in keys { _ = usages.change(key) { $0.keepShare() } }
  }

  /// Lists keys for the next report, because the last one was lost.
  mutating func reportAgain(_ keys: [KeyID]) {
    for key in keys where usages.change(key, { $0.repeatNews() }) == true { list(key) }
  }

  /// Lists all keys with counts of the day for the next reports, because the registry is a new one.
  mutating func reportAllAgain(at now: Instant) {
    for key in usages.keys where usages.change(key, { $0.repeatAllHours(at: now) }) == true {
      list(key)
    }
  }

  /// Records the use of keys by other gateway processes.
  mutating func record(_ uses: [DayUse], at now: Instant) {
    for use in uses {
      usages.use(use.key, initial: RateUsage()) { $0.record(use.hours, at: now) }
    }
  }
}
