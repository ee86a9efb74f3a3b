import Limits

/// One key's requests or tokens of the last day: those of this gateway, and those of other gateway
/// processes as the registry last reported them.
///
/// Until the registry reports something, a gateway permits its share of the limit. Afterwards it
/// permits its share of the rest: the limit without the counts that the registry knows.
struct DayCount: Sendable {
  private(set) var own = SlidingCount(.day)
  /// `own` in the last report that the registry has confirmed.
  private var confirmed = SlidingCount(.day)
  /// `own` in the last report.
  private var reported = SlidingCount(.day)
  private var elsewhere = SlidingCount(.day)
  /// Whether the registry had no room for the last report of some gateway. Then it confirms no
  /// report, so this gateway's part does not grow.
  private var keepsShare = false
  /// The hour to which the counts were advanced.
  private var hour: Int64 = 0

  /// - Parameter second: whole seconds of the clock.
  mutating func advance(to second: Int64) {
    let now = second / SlidingCount.Window.day.slotSeconds
    guard now != hour else { return }
    hour = now
    own.advance(to: second)
    confirmed.advance(to: second)
    reported.advance(to: second)
    elsewhere.advance(to: second)
  }

  mutating func add(_ amount: Int, at second: Int64) -> SlidingCount.Slot {
    own.add(amount, at: second)
  }

  mutating func remove(_ amount: Int, from slot: SlidingCount.Slot) {
    own.remove(amount, from: slot)
  }

  // MARK: - Exchange with the registry

  /// Marks the own count as reported.
  mutating func markReported() { reported = own }

  /// Records that the registry has received the last report.
  mutating func confirm() {
    confirmed = reported
    keepsShare = false
  }

  /// Records that the registry had no room for the last report of some gateway.
  mutating func keepShare() { keepsShare = true }

  /// Records the counts of other gateway processes, by the hours of this gateway's clock.
  mutating func record(_ slots: [(number: Int64, amount: Int)], at second: Int64) {
    elsewhere = SlidingCount(.day, slots: slots, at: second)
  }

  // MARK: - Limits

  /// Amount that this gateway may have counted.
  /// - Parameter value: the limit for the whole cluster.
  func part(of value: Int, _ share: RateShare) -> Int {
    let rest = rest(of: value)
    return max(0, confirmed.sum.addingCapped(rest > 0 ? share.part(of: rest) : rest))
  }

  /// Part of a limit that no gateway has used, as the registry knows it. It is negative if the
  /// gateways have exceeded the limit.
  private func rest(of value: Int) -> Int {
    max(value, 0).subtractingCapped(confirmed.sum).subtractingCapped(elsewhere.sum)
  }

  /// Seconds until an amount is within a limit, if nothing else is counted. 0 means that it is
  /// within the limit now.
  ///
  /// An amount that is larger than this gateway's part, but not than the rest of the limit, is
  /// within the limit if this gateway has used nothing of its part. Without this rule, large
  /// requests would become impossible if gateways are added.
  func secondsUntil(
    _ amount: Int, isWithin value: Int, _ share: RateShare, at second: Int64
  ) -> Int64 {
    let part = part(of: value, share)
    if own.sum.addingCapped(amount) <= part { return 0 }
    if own.sum <= confirmed.sum, amount <= rest(of: value) { return 0 }
    let wait = own.merged(with: elsewhere)
      .secondsUntil(atMost: max(0, max(value, 0) - amount), at: second)
    // If only this gateway's part is used up, the registry's next answer may raise it.
    let ownWait =
      share.isShared && !keepsShare
      ? 0 : own.secondsUntil(atMost: max(0, part.subtractingCapped(amount)), at: second)
    return max(1, wait, ownWait)
  }

  /// Seconds until nothing is counted.
  func secondsToReset(at second: Int64) -> Int64 {
    max(own.secondsUntil(atMost: 0, at: second), elsewhere.secondsUntil(atMost: 0, at: second))
  }
}
