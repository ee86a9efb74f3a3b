import ClusterModel
import Limits

/// Requests and tokens of one key. They are counted only for limits that the key has.
struct RateUsage: Sendable {
  private var requestsInMinute = SlidingCount(.minute)
  private var requestsInDay = DayCount()
  private var tokensInMinute = SlidingCount(.minute)
  private var tokensInDay = DayCount()
  private var inFlight: [UInt64: InFlight] = [:]
  private var news = News.none
  /// Hours whose counts have changed since the last report. Empty if the key has no limit per day.
  private var changedHours: Set<Int64> = []
  /// Hours of earlier reports that the registry has not confirmed. It may know any of the totals
  /// that were sent, so these hours are sent again, also if their total is 0.
  private var sentHours: Set<Int64> = []

  /// A running request, and the slots in which it and its estimated tokens are counted. A slot that
  /// is `nil` means that the key has no such limit.
  private struct InFlight: Sendable {
    /// Estimated tokens of prompt and answer.
    var tokens: Int
    var minute: SlidingCount.Slot?
    var day: SlidingCount.Slot?
    /// The slot of the request itself.
    var requestsDay: SlidingCount.Slot?
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
    var request = InFlight(tokens: reservation.tokens)
    if limits.requestsPerMinute != nil { _ = requestsInMinute.add(1, at: second) }
    if limits.requestsPerDay != nil {
      request.requestsDay = requestsInDay.add(1, at: second)
      recordNews(of: now.hour)
    }
    if limits.tokensPerMinute != nil {
      request.minute = tokensInMinute.add(reservation.tokens, at: second)
    }
    if limits.tokensPerDay != nil {
      request.day = tokensInDay.add(reservation.tokens, at: second)
      recordNews(of: now.hour)
    }
    inFlight[reservation.number] = request
    return nil
  }

  /// Replaces the estimated tokens of a running request by a higher estimate. A lower one changes
  /// nothing.
  ///
  /// An estimate above a limit counts as the whole limit. So such a request may only run if nothing
  /// else is counted.
  ///
  /// - Parameter mayRefuse: whether the request may be refused. If not, the tokens are counted even
  ///   above the limits.
  /// - Returns: the refusal with the longest wait. The former estimate then stays.
  mutating func raise(
    _ reservation: RateReservation, to tokens: Int, _ share: RateShare, mayRefuse: Bool,
    at now: Instant
  ) -> RateRefusal? {
    guard let former = inFlight[reservation.number], tokens > former.tokens else { return nil }
    let second = now.second
    advance(to: second)
    // The request's own tokens must not count twice.
    removeTokens(former.tokens, of: former)
    let refusal = mayRefuse ? tokenRefusal(of: reservation, tokens, share, at: second) : nil
    let amount = refusal == nil ? tokens : former.tokens
    var request = former
    request.tokens = amount
    if former.minute != nil { request.minute = tokensInMinute.add(amount, at: second) }
    if former.day != nil {
      request.day = tokensInDay.add(amount, at: second)
      recordNews(of: now.hour)
    }
    inFlight[reservation.number] = request
    return refusal
  }

  private func tokenRefusal(
    of reservation: RateReservation, _ tokens: Int, _ share: RateShare, at second: Int64
  ) -> RateRefusal? {
    let limits = [RateLimit.tokensPerMinute, .tokensPerDay]
    let refusals = limits.compactMap { limit -> RateRefusal? in
      guard let value = share.limits[limit] else { return nil }
      let larger = RateReservation(
        key: reservation.key, tokens: min(tokens, value), number: reservation.number)
      return refusal(larger, limit, share, at: second)
    }
    return refusals.max { ($0.secondsToWait ?? .max) < ($1.secondsToWait ?? .max) }
  }

  private mutating func removeTokens(_ tokens: Int, of request: InFlight) {
    if let slot = request.minute { tokensInMinute.remove(tokens, from: slot) }
    if let slot = request.day {
      tokensInDay.remove(tokens, from: slot)
      recordNews(of: tokensInDay.own.number(of: slot))
    }
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
  ///
  /// - Parameter wasRefused: whether the request was refused before any work. Such a request does not
  ///   count against the limit per day.
  mutating func finish(
    _ reservation: RateReservation, tokens: Int, wasRefused: Bool, at now: Instant
  ) {
    guard let request = inFlight.removeValue(forKey: reservation.number) else { return }
    let second = now.second
    advance(to: second)
    if wasRefused, let slot = request.requestsDay {
      requestsInDay.remove(1, from: slot)
      recordNews(of: requestsInDay.own.number(of: slot))
    }
    let more = tokens.subtractingCapped(request.tokens)
    if more < 0 { removeTokens(-more, of: request) }
    guard more > 0 else { return }
    if request.minute != nil { _ = tokensInMinute.add(more, at: second) }
    if request.day != nil {
      _ = tokensInDay.add(more, at: second)
      recordNews(of: now.hour)
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
