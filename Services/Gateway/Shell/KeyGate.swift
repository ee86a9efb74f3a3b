import Access
import Clocks
import ClusterModel
import GatewayCore
import Synchronization

/// Counts the requests of keys in this gateway.
final class KeyGate: Sendable {
  private let gateways: @Sendable () -> Int
  private let rates = Mutex(RateWindows())
  private let clock = ProcessClock()

  /// - Parameter gateways: number of live gateways, which share each key's limits.
  init(gateways: @escaping @Sendable () -> Int) { self.gateways = gateways }

  /// Counts a request against its key's limits.
  /// - Parameter tokens: estimated tokens of prompt and answer.
  /// - Returns: `nil` if the cluster requires no key.
  func admit(_ rights: KeyRights, tokens: Int) throws(Failure) -> KeyUse? {
    guard let key = rights.key else { return nil }
    let now = clock.now
    let live = gateways()
    let decision = rates.withLock { rates in
      rates.gateways = live
      return rates.admit(key.id, limits: key.limits, tokens: tokens, at: now)
    }
    switch decision {
    case .admitted(let reservation): return KeyUse(self, key, reservation)
    case .refused(let refusal): throw refusal.failure
    }
  }

  /// The `x-ratelimit-*` headers of a request's key, for answers and refusals.
  func fields(for rights: KeyRights) -> [RateLimitHeaders.Field] {
    guard let key = rights.key, key.limits != .unlimited else { return [] }
    let now = clock.now
    return rates.withLock { $0.headers(for: key.id, limits: key.limits, at: now).fields }
  }

  fileprivate func finish(_ reservation: RateReservation, tokens: Int) {
    let now = clock.now
    rates.withLock { $0.finish(reservation, tokens: tokens, at: now) }
  }
}

/// One request that counts against its key's limits, until it ends.
final class KeyUse: Sendable {
  let key: KeyRecord
  private let gate: KeyGate
  private let reservation: RateReservation

  fileprivate init(_ gate: KeyGate, _ key: KeyRecord, _ reservation: RateReservation) {
    self.gate = gate
    self.key = key
    self.reservation = reservation
  }

  /// A request without an answer took no tokens.
  deinit { gate.finish(reservation, tokens: 0) }

  /// Replaces the estimate by the tokens that the request took. Later calls do nothing.
  func finish(tokens: Int) { gate.finish(reservation, tokens: tokens) }
}
