import ClusterModel
import Limits

/// Requests and tokens of one key. They are counted only for limits that the key has.
struct RateUsage: Sendable {
  private var requestsInMinute = SlidingCount(.minute)
  private var requestsInDay = DayCount()
  private var tokensInMinute = SlidingCount(.minute)
  private var tokensInDay = DayCount()
  private var inFlight: [UInt64: TokenSlots] = [:]
  private var news = News.none
  /// Hours whose counts have changed since the last report. Empty if the key has no limit per day.
  private var changedHours: Set<Int64> = []
  /// Hours of earlier reports that the registry has not confirmed. It may know any of the totals
  /// that were sent, so these hours are sent again, also if their total is 0.
  private var sentHours: Set<Int64> = []

  /// Slots in which a request's estimated tokens are counted. A slot that is `nil` means that the
  /// key has no such limit.
  private struct TokenSlots: Sendable {
    var minute: SlidingCount.Slot?
    var day: SlidingCount.Slot?
  }

  /// Whether the counts of the day differ from the last report to the registry.
  private enum News {
    case none
    /// They differ, and the key is not listed for the next report yet.
    case unlisted
    case listed
  }

  /// Counts a request, or refuses it.
  /// - Returns: the refusal with the longest wait. `nil` means that the request is admitted.
  mutating func admit(
    _ reservation: RateReservation, _ share: RateShare, at now: Instant
  ) -> RateRefusal? {
    let second = now.second
    if let refusal = refusal(of: reservation, share, at: second) { return refusal }
    let limits = share.limits
    if limits.requestsPerMinute != nil { _ = requestsInMinute.add(1, at: second) }
    if limits.requestsPerDay != nil {
      _ = requestsInDay.add(1, at: second)
      recordNews(of: now.hour)
    }
    var slots = TokenSlots()
    if limits.tokensPerMinute != nil {
      slots.minute = tokensInMinute.add(reservation.tokens, at: second)
    }
    if limits.tokensPerDay != nil {
      slots.day = tokensInDay.add(reservation.tokens, at: second)
      recordNews(of: now.hour)
    }
    inFlight[reservation.number] = slots
    return nil
  }

  /// The refusal with the longest wait. `nil` means that the request would be admitted.
  mutating func refusal(
    of reservation: RateReservation, _ share: RateShare, at now: Instant
  ) -> RateRefusal? {
    refusal(of: reservation, share, at: now.second)
  }

  private mutating func refusal(
    of reservation: RateReservation, _ share: RateShare, at second: Int64
  ) -> RateRefusal? {
    advance(to: second)
    var longest: RateRefusal?
    for limit in RateLimit.all {
      guard let refusal = refusal(reservation, limit, share, at: second) else { continue }
      // A refusal without a waiting time counts as the longest, because the request can never be
      // admitted.
      if let longest, longest.secondsToWait ?? .max >= refusal.secondsToWait ?? .max { continue }
      longest = refusal
    }
    return longest
  }

  /// Replaces the estimated tokens of a request by its true ones. Unused tokens are returned to the
  /// slot of the estimate. Tokens beyond the estimate are added to the current slot.
  mutating func finish(_ reservation: RateReservation, tokens: Int, at now: Instant) {
    guard let slots = inFlight.removeValue(forKey: reservation.number) else { return }
    let second = now.second
    advance(to: second)
    let more = tokens.subtractingCapped(reservation.tokens)
    guard more != 0 else { return }
    if let slot = slots.minute {
      if more > 0 {
        _ = tokensInMinute.add(more, at: second)
      } else {
        tokensInMinute.remove(-more, from: slot)
      }
    }
    if let slot = slots.day {
      if more > 0 {
        _ = tokensInDay.add(more, at: second)
        recordNews(of: now.hour)
      } else {
        tokensInDay.remove(-more, from: slot)
        recordNews(of: tokensInDay.own.number(of: slot))
      }
    }
  }

  private mutating func advance(to second: Int64) {
    requestsInMinute.advance(to: second)
    requestsInDay.advance(to: second)
    tokensInMinute.advance(to: second)
    tokensInDay.advance(to: second)
  }

  // MARK: - Exchange with the registry

  private mutating func recordNews(of hour: Int64) {
    changedHours.insert(hour)
    if news == .none { news = .unlisted }
  }

  /// - Returns: whether the key is to be listed for the next report.
  mutating func listNews() -> Bool {
    guard news == .unlisted else { return false }
    news = .listed
    return true
  }

  /// Makes the next report repeat the hours that are not confirmed.
  /// - Returns: whether the key is to be listed for the next report.
  mutating func repeatNews() -> Bool {
    guard news == .none, !sentHours.isEmpty else { return listNews() }
    news = .unlisted
    return listNews()
  }

  /// Makes the next report contain all counts of the day.
  ///
  /// It contains the current hour also if all counts are zero: the registry's file may have an older
  /// total, which the report replaces.
  ///
  /// - Returns: whether the key is to be listed for the next report.
  mutating func repeatAllHours(at now: Instant) -> Bool {
    sentHours = []
    guard requestsInDay.own.isUsed || tokensInDay.own.isUsed else { return listNews() }
    advance(to: now.second)
    recordNews(of: now.hour)
    let slots = requestsInDay.own.slots + tokensInDay.own.slots
    for slot in slots { recordNews(of: slot.number) }
    return listNews()
  }

  /// The hours that the registry does not know.
  mutating func report(of key: KeyID, at now: Instant) -> DayUse {
    advance(to: now.second)
    news = .none
    requestsInDay.markReported()
    tokensInDay.markReported()
    let oldest = now.hour.subtractingCapped(Int64(DayUse.mostHours - 1))
    // The registry forgets old hours by itself.
    sentHours = sentHours.union(changedHours).filter { (oldest...now.hour).contains($0) }
    changedHours = []
    return DayUse(
      key: key,
      hours: sentHours.sorted().map { hour in
        HourlyUse(
          hour: hour, requests: requestsInDay.own.amount(in: hour),
          tokens: tokensInDay.own.amount(in: hour))
      })
  }

  /// Records that the registry has received the last report.
  mutating func confirm() {
    sentHours = []
    requestsInDay.confirm()
    tokensInDay.confirm()
  }

  /// Records that the registry had no room for the use of some gateway.
  mutating func keepShare() {
    requestsInDay.keepShare()
    tokensInDay.keepShare()
  }

  /// Records the use by other gateway processes.
  mutating func record(_ hours: [HourlyUse], at now: Instant) {
    let second = now.second
    advance(to: second)
    requestsInDay.record(hours.map { (number: $0.hour, amount: $0.requests) }, at: second)
    tokensInDay.record(hours.map { (number: $0.hour, amount: $0.tokens) }, at: second)
  }

  // MARK: - Refusals

  private func refusal(
    _ reservation: RateReservation, _ limit: RateLimit, _ share: RateShare, at second: Int64
  ) -> RateRefusal? {
    guard let value = share.limits[limit] else { return nil }
    let wait: Int64?
    switch limit {
    case .concurrentRequests: wait = inFlight.count < share.part(of: value) ? 0 : 1
    case .requestsPerMinute:
      wait = requestsInMinute.secondsUntil(atMost: share.part(of: value) - 1, at: second)
    case .requestsPerDay: wait = requestsInDay.secondsUntil(1, isWithin: value, share, at: second)
    case .tokensPerMinute:
      let most = max(share.part(of: value) - reservation.tokens, 0)
      wait =
        reservation.tokens > value ? nil : tokensInMinute.secondsUntil(atMost: most, at: second)
    case .tokensPerDay:
      wait =
        reservation.tokens > value
        ? nil : tokensInDay.secondsUntil(reservation.tokens, isWithin: value, share, at: second)
    }
    guard wait != 0 else { return nil }
    return RateRefusal(
      key: reservation.key, limit: limit, value: value, secondsToWait: wait.map { Int($0) })
  }

  // MARK: - Headers and remainders

  mutating func headers(_ share: RateShare, at now: Instant) -> RateLimitHeaders {
    let second = now.second
    advance(to: second)
    func row(_ limit: RateLimit) -> RateLimitHeaders.Row? {
      remainder(limit, share, at: second).map {
        RateLimitHeaders.Row(
          limit: $0.value, remaining: $0.remaining, secondsToReset: $0.secondsToReset ?? 0)
      }
    }
    return RateLimitHeaders(
      requests: RateLimitHeaders.Row.scarcer(row(.requestsPerMinute), row(.requestsPerDay)),
      tokens: RateLimitHeaders.Row.scarcer(row(.tokensPerMinute), row(.tokensPerDay)))
  }

  mutating func remainders(_ share: RateShare, at now: Instant) -> [RateRemainder] {
    let second = now.second
    advance(to: second)
    return RateLimit.all.compactMap { remainder($0, share, at: second) }
  }

  private func remainder(
    _ limit: RateLimit, _ share: RateShare, at second: Int64
  ) -> RateRemainder? {
    guard let value = share.limits[limit] else { return nil }
    let part: Int
    let used: Int
    let secondsToReset: Int64?
    switch limit {
    case .concurrentRequests:
      (part, used, secondsToReset) = (share.part(of: value), inFlight.count, nil)
    case .requestsPerMinute:
      (part, used) = (share.part(of: value), requestsInMinute.sum)
      secondsToReset = requestsInMinute.secondsUntil(atMost: 0, at: second)
    case .requestsPerDay:
      (part, used) = (requestsInDay.part(of: value, share), requestsInDay.own.sum)
      secondsToReset = requestsInDay.secondsToReset(at: second)
    case .tokensPerMinute:
      (part, used) = (share.part(of: value), tokensInMinute.sum)
      secondsToReset = tokensInMinute.secondsUntil(atMost: 0, at: second)
    case .tokensPerDay:
      (part, used) = (tokensInDay.part(of: value, share), tokensInDay.own.sum)
      secondsToReset = tokensInDay.secondsToReset(at: second)
    }
    return RateRemainder(
      limit: limit, value: value, share: part, remaining: max(part.subtractingCapped(used), 0),
      secondsToReset: secondsToReset.map { Int($0) })
  }
}
