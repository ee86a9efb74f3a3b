import ClusterModel

/// Requests and tokens of one key. They are counted only for limits that the key has.
struct RateUsage: Sendable {
  private var requestsInMinute = SlidingCount(.minute)
  private var requestsInDay = SlidingCount(.day)
  private var tokensInMinute = SlidingCount(.minute)
  private var tokensInDay = SlidingCount(.day)
  private var inFlight: [UInt64: TokenSlots] = [:]

  /// Slots in which a request's estimated tokens are counted. A slot that is `nil` means that the
  /// key has no such limit.
  private struct TokenSlots: Sendable {
    var minute: SlidingCount.Slot?
    var day: SlidingCount.Slot?
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
    if limits.requestsPerDay != nil { _ = requestsInDay.add(1, at: second) }
    var slots = TokenSlots()
    if limits.tokensPerMinute != nil {
      slots.minute = tokensInMinute.add(reservation.tokens, at: second)
    }
    if limits.tokensPerDay != nil { slots.day = tokensInDay.add(reservation.tokens, at: second) }
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

  mutating func finish(_ reservation: RateReservation, tokens: Int, at now: Instant) {
    guard let slots = inFlight.removeValue(forKey: reservation.number) else { return }
    let second = now.second
    advance(to: second)
    Self.correct(&tokensInMinute, slots.minute, reservation.tokens, tokens, at: second)
    Self.correct(&tokensInDay, slots.day, reservation.tokens, tokens, at: second)
  }

  /// Replaces the estimated tokens of a request by its true ones. Unused tokens are returned to the
  /// slot of the estimate. Tokens beyond the estimate are added to the current slot.
  private static func correct(
    _ count: inout SlidingCount, _ slot: SlidingCount.Slot?, _ estimate: Int, _ tokens: Int,
    at second: Int64
  ) {
    guard let slot else { return }
    if tokens > estimate {
      _ = count.add(tokens - estimate, at: second)
    } else {
      count.remove(estimate - tokens, from: slot)
    }
  }

  private mutating func advance(to second: Int64) {
    requestsInMinute.advance(to: second)
    requestsInDay.advance(to: second)
    tokensInMinute.advance(to: second)
    tokensInDay.advance(to: second)
  }

  // MARK: - Refusals

  private func refusal(
    _ reservation: RateReservation, _ limit: RateLimit, _ share: RateShare, at second: Int64
  ) -> RateRefusal? {
    guard let value = share.limits[limit], let part = share[limit] else { return nil }
    let wait: Int64?
    switch limit {
    case .concurrentRequests: wait = inFlight.count < part ? 0 : 1
    case .requestsPerMinute: wait = requestsInMinute.secondsUntil(atMost: part - 1, at: second)
    case .requestsPerDay: wait = requestsInDay.secondsUntil(atMost: part - 1, at: second)
    case .tokensPerMinute, .tokensPerDay:
      let most = max(part - reservation.tokens, 0)
      wait =
        reservation.tokens > value
        ? nil
        : limit == .tokensPerMinute
          ? tokensInMinute.secondsUntil(atMost: most, at: second)
          : tokensInDay.secondsUntil(atMost: most, at: second)
    }
    guard wait != 0 else { return nil }
    return RateRefusal(
      key: reservation.key, limit: limit, value: value, secondsToWait: wait.map { Int($0) })
  }

  // MARK: - Headers

  mutating func headers(_ share: RateShare, at now: Instant) -> RateLimitHeaders {
    let second = now.second
    advance(to: second)
    func row(_ limit: RateLimit, _ count: SlidingCount) -> RateLimitHeaders.Row? {
      guard let value = share.limits[limit], let part = share[limit] else { return nil }
      return RateLimitHeaders.Row(
        limit: value, remaining: max(part - count.sum, 0),
        secondsToReset: Int(count.secondsUntil(atMost: 0, at: second)))
    }
    return RateLimitHeaders(
      requests: RateLimitHeaders.Row.scarcer(
        row(.requestsPerMinute, requestsInMinute), row(.requestsPerDay, requestsInDay)),
      tokens: RateLimitHeaders.Row.scarcer(
        row(.tokensPerMinute, tokensInMinute), row(.tokensPerDay, tokensInDay)))
  }

  // MARK: - Remainders

  mutating func remainders(_ share: RateShare, at now: Instant) -> [RateRemainder] {
    let second = now.second
    advance(to: second)
    return RateLimit.all.compactMap { limit in
      guard let value = share.limits[limit], let part = share[limit] else { return nil }
      let count: SlidingCount
      switch limit {
      case .concurrentRequests:
        return RateRemainder(
          limit: limit, value: value, share: part, remaining: max(part - inFlight.count, 0),
          secondsToReset: nil)
      case .requestsPerMinute: count = requestsInMinute
      case .requestsPerDay: count = requestsInDay
      case .tokensPerMinute: count = tokensInMinute
      case .tokensPerDay: count = tokensInDay
      }
      return RateRemainder(
        limit: limit, value: value, share: part, remaining: max(part - count.sum, 0),
        secondsToReset: Int(count.secondsUntil(atMost: 0, at: second)))
    }
  }
}
