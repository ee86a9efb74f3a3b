import Access
import Clocks
import ClusterModel
import GatewayCore
import HTTPTypes
import Hummingbird
import Metrics
import OverloadCore
import ServiceKit
import Synchronization
import Telemetry

/// Checks clients' keys against this gateway's copy, and counts their requests.
///
/// No check needs the registry: known keys work while it is away, and wrong ones cost it nothing.
final class KeyGate: Sendable {
  private struct State {
    var attempts = FailedAttempts()
    var rates = RateWindows()
  }

  private let table: @Sendable () -> AccessTable?
  private let gateways: @Sendable () -> Int
  private let state = Mutex(State())
  private let clock = ProcessClock()
  private let refused = Metrics.Counter(label: "tutti_gateway_keys_refused_total")

  /// - Parameters:
  ///   - table: the newest table of keys.
  ///   - gateways: number of live gateways, which share each key's limits.
  init(
    table: @escaping @Sendable () -> AccessTable?, gateways: @escaping @Sendable () -> Int
  ) {
    self.table = table
    self.gateways = gateways
  }

  /// Whether requests need a key. True until the first table has arrived.
  var requiresKeys: Bool { table()?.isOpen != true }

  /// Identifies the client of a request whose head has arrived.
  /// - Parameter scope: `nil` means that any valid key is enough.
  func identify(
    _ request: Request, for scope: AccessScope?, from client: ClientID
  ) throws(Failure) -> KeyRights {
    guard let table = table() else {
      throw Failure(
        .overloaded, "The gateway has just started and does not know the keys yet; try again.",
        retryAfter: .seconds(1))
    }
    guard !table.isOpen else { return KeyRights() }
    let presented = PresentedKey(request)
    let source = "\(client)"
    let now = clock.now
    if let failure = state.withLock({ $0.attempts.refusal(source, presented, at: now) }) {
      refused.increment()
      throw failure
    }
    let decision = table.check(
      presented, for: AccessNeed(scope), at: UnixTime.microseconds() / 1_000)
    state.withLock { $0.attempts.record(decision, from: source, at: now) }
    switch decision {
    case .open: return KeyRights()
    case .allowed(let record): return KeyRights(record)
    case .refused(let refusal):
      refused.increment()
      throw refusal.failure
    }
  }

  /// Counts a request against its key's limits.
  /// - Parameter tokens: estimated tokens of prompt and answer.
  func admit(_ rights: KeyRights, tokens: Int) throws(Failure) -> KeyUse? {
    guard let key = rights.key else { return nil }
    let now = clock.now
    let live = gateways()
    let decision = state.withLock { state in
      state.rates.gateways = live
      return state.rates.admit(key.id, limits: key.limits, tokens: tokens, at: now)
    }
    switch decision {
    case .admitted(let reservation): return KeyUse(self, key, reservation)
    case .refused(let refusal):
      refused.increment()
      throw refusal.failure
    }
  }

  /// The `x-ratelimit-*` headers of a key.
  func fields(for key: KeyRecord) -> [RateLimitHeaders.Field] {
    guard key.limits != .unlimited else { return [] }
    let now = clock.now
    return state.withLock { $0.rates.headers(for: key.id, limits: key.limits, at: now).fields }
  }

  fileprivate func finish(_ reservation: RateReservation, tokens: Int) {
    let now = clock.now
    state.withLock { $0.rates.finish(reservation, tokens: tokens, at: now) }
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

  var fields: [RateLimitHeaders.Field] { gate.fields(for: key) }
}

extension PresentedKey {
  init(_ request: Request) {
    self.init(
      authorization: request.headers[values: .authorization],
      apiKeys: request.headers[values: .xAPIKey] + request.headers[values: .apiKey],
      query: request.uri.query ?? "")
  }
}

extension HTTPField.Name {
  static let xAPIKey = HTTPField.Name("x-api-key")!
  static let apiKey = HTTPField.Name("api-key")!
}
