import Access
import Clocks
import ClusterModel
import GatewayCore
import Limits
import Money
import Synchronization
import Telemetry

/// Counts and limits the requests of keys in this gateway.
final class KeyGate: Sendable {
  private let gateways: LiveGateways
  private let rates = Mutex(RateWindows())
  private let traffic = Mutex(KeyTraffic())
  /// Usage of requests that cost nothing. The registry counts all other requests.
  private let free: Mutex<DailyUsage>
  private let start = UnixTime.milliseconds()
  private let clock = ProcessClock()

  /// Time since 1970, by a clock that never jumps.
  private var now: Instant { clock.now.advanced(by: .milliseconds(start)) }

  /// - Parameter gateways: returns the number of live gateways, which share each key's limits.
  init(gateways: @escaping @Sendable () -> Int) {
    self.gateways = LiveGateways(gateways)
    free = Mutex(DailyUsage(maximumRows: Limits.usageFreeRows.value))
  }

  /// Checks whether a key may make a request now. It is called before the body is read.
  func check(_ rights: KeyRights) throws(Failure) {
    guard let key = rights.grant else { return }
    let limits = key.limits
    guard limits != .unlimited else { return }
    let now = now
    let live = gateways.count(at: now)
    let refusal = rates.withLock { rates in
      rates.gateways = live
      return rates.refusal(of: key.id, limits: limits, at: now)
    }
    if let refusal { throw refusal.failure }
  }

  /// Counts a request against its key's limits.
  /// - Parameter tokens: estimated tokens of prompt and answer.
  /// - Returns: `nil` if the cluster requires no key.
  func admit(_ rights: KeyRights, tokens: Int) throws(Failure) -> KeyUse? {
    guard let key = rights.grant else { return nil }
    let limits = key.limits
    guard limits != .unlimited else { return KeyUse(self, key.id, limits, nil) }
    let now = now
    let live = gateways.count(at: now)
    let decision = rates.withLock { rates in
      rates.gateways = live
      return rates.admit(key.id, limits: limits, tokens: tokens, at: now)
    }
    switch decision {
    case .admitted(let reservation): return KeyUse(self, key.id, limits, reservation)
    case .refused(let refusal): throw refusal.failure
    }
  }

  /// The `x-ratelimit-*` headers of a request's key, for answers and refusals. `nil` means that the
  /// key has no limits or that the cluster requires no key.
  func headers(for rights: KeyRights) -> RateLimitHeaders? {
    guard let key = rights.grant else { return nil }
    let limits = key.limits
    guard limits != .unlimited else { return nil }
    let now = now
    return rates.withLock { $0.headers(for: key.id, limits: limits, at: now) }
  }

  /// The limits of a key, each with the part that is left in this gateway.
  func remainders(for key: KeyRecord) -> [RateRemainder] {
    guard key.limits != .unlimited else { return [] }
    let now = now
    let live = gateways.count(at: now)
    return rates.withLock { rates in
      rates.gateways = live
      return rates.remainders(for: key.id, limits: key.limits, at: now)
    }
  }

  /// Requests of a key that this gateway answered and that cost nothing.
  func freeUse(of key: KeyID, days: ClosedRange<Int64>) -> UsageAnswer.FreeUse {
    free.withLock { free in
      UsageAnswer.FreeUse(rows: free.rows(of: .key("\(key)"), days: days), since: start)
    }
  }

  // MARK: - Exchange with the registry

  /// The next report of the day's use of keys.
  func useReport(_ exchange: inout KeyUseExchange) -> KeyUseReport {
    let now = now
    return rates.withLock { exchange.report(&$0, at: now) }
  }

  /// Records the registry's answer to the last report.
  /// - Returns: whether the next report is due at once.
  func receive(_ table: KeyUseTable, _ exchange: inout KeyUseExchange) -> Bool {
    let now = now
    return rates.withLock { exchange.receive(table, &$0, at: now) }
  }

  /// Records that the registry did not answer the last report.
  func fail(_ exchange: inout KeyUseExchange) {
    rates.withLock { exchange.fail(&$0) }
  }

  /// Metrics of the requests by key.
  var families: [MetricFamily] { traffic.withLock { $0 }.families }

  /// Ends a request, and counts the tokens that it took.
  /// - Parameters:
  ///   - reservation: the request's part of the key's limits. `nil` means that it has none.
  ///   - freeModel, wasRefused: as for `KeyUse.finish(_:freeModel:wasRefused:)`.
  fileprivate func finish(
    _ reservation: RateReservation?, of key: KeyID, _ usage: Usage, freeModel: String?,
    wasRefused: Bool
  ) {
    let now = now
    if let reservation {
      rates.withLock {
        $0.finish(reservation, tokens: usage.totalTokens, wasRefused: wasRefused, at: now)
      }
    }
    traffic.withLock { $0.record(key, usage, at: now) }
    guard let freeModel, usage.totalTokens > 0 else { return }
    let tokens = TokenUsage(usage)
    let time = UnixTime.milliseconds()
    free.withLock {
      $0.record(.key("\(key)"), model: freeModel, tokens, cost: .zero, at: time)
    }
  }

  /// Counts more estimated tokens for a running request.
  /// - Returns: the refusal, if the tokens exceed a limit and `mayRefuse` is true.
  fileprivate func raise(
    _ reservation: RateReservation, _ limits: KeyLimits, to tokens: Int, mayRefuse: Bool
  ) -> RateRefusal? {
    let now = now
    let live = gateways.count(at: now)
    return rates.withLock { rates in
      rates.gateways = live
      return rates.raise(
        reservation, limits: limits, to: tokens, mayRefuse: mayRefuse, at: now)
    }
  }

  /// Ends a request that had no answer, so it took no tokens.
  fileprivate func release(_ reservation: RateReservation) {
    let now = now
    rates.withLock { $0.finish(reservation, tokens: 0, at: now) }
  }
}

/// Number of live gateways, at most a second old. It is cached because each count takes the bus's
/// lock.
private final class LiveGateways: Sendable {
  private static let lifetime = Duration.seconds(1)

  private let gateways: @Sendable () -> Int
  private let last = Mutex<(count: Int, time: Instant)?>(nil)

  init(_ gateways: @escaping @Sendable () -> Int) { self.gateways = gateways }

  func count(at now: Instant) -> Int {
    let known = last.withLock { last in
      last.flatMap { now < $0.time.advanced(by: Self.lifetime) ? $0.count : nil }
    }
    if let known { return known }
    let count = gateways()
    last.withLock { $0 = (count, now) }
    return count
  }
}

/// One request that counts as a concurrent request of its key until it ends.
final class KeyUse: Sendable {
  private let key: KeyID
  private let gate: KeyGate
  /// Limits of the key when the request was admitted.
  private let limits: KeyLimits
  /// `nil` means that the key has no limits, or that the request has ended.
  private let reservation: Mutex<RateReservation?>

  fileprivate init(
    _ gate: KeyGate, _ key: KeyID, _ limits: KeyLimits, _ reservation: RateReservation?
  ) {
    self.gate = gate
    self.key = key
    self.limits = limits
    self.reservation = Mutex(reservation)
  }

  /// A request that ends without `finish(_:freeModel:)` had no answer.
  deinit {
    if let reservation = takeReservation() { gate.release(reservation) }
  }

  /// Counts more estimated tokens. An estimate that is not above the former one changes nothing.
  /// - Parameter mayRefuse: whether the request may still be refused. If not, the tokens are counted
  ///   even above the limits.
  func raise(to tokens: Int, mayRefuse: Bool) throws(Failure) {
    guard let reservation = reservation.withLock({ $0 }) else { return }
    if let refusal = gate.raise(reservation, limits, to: tokens, mayRefuse: mayRefuse) {
      throw refusal.failure
    }
  }

  /// Counts the tokens that the request took, in place of the estimate. It is called at most once.
  /// - Parameters:
  ///   - freeModel: model of a request that cost nothing. `nil` means that the request was billed.
  ///   - wasRefused: whether the request was refused before any host was asked. It then does not
  ///     count against the limit of requests per day.
  func finish(_ usage: Usage, freeModel: String?, wasRefused: Bool = false) {
    gate.finish(
      takeReservation(), of: key, usage, freeModel: freeModel, wasRefused: wasRefused)
  }

  private func takeReservation() -> RateReservation? { reservation.withLock { $0.take() } }
}

extension KeyTraffic {
  /// The metric families. The list is empty before the first request with a key.
  fileprivate var families: [MetricFamily] {
    let series = series
    guard !series.isEmpty else { return [] }
    let tokens = series.flatMap { label, counts in
      [("prompt", counts.promptTokens), ("completion", counts.completionTokens)].map {
        kind, count in
        MetricFamily.Sample(
          labels: [Attribute("key", label), Attribute("kind", kind)], value: Double(count))
      }
    }
    let requests = series.map { label, counts in
      MetricFamily.Sample(labels: [Attribute("key", label)], value: Double(counts.requests))
    }
    return [
      ("tutti_gateway_key_tokens_total", tokens), ("tutti_gateway_key_requests_total", requests),
    ].compactMap { name, samples in
      MetricCatalogue.tutti[name].map {
        MetricFamily(name: name, help: $0.help, kind: $0.kind, samples: samples)
      }
    }
  }
}
