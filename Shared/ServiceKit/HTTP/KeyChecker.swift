public import Access
import Clocks
public import ClusterModel
import HTTPTypes
public import Hummingbird
import Metrics
import OverloadCore
import Synchronization
import Telemetry

/// Checks the keys of HTTP requests against this process's copy of the access table.
///
/// No check needs the registry. So known keys work while the registry is away, and wrong keys cause
/// no work there.
public final class KeyChecker: Sendable {
  private let access: AccessDirectory
  private let attempts = Mutex(FailedAttempts<ClientID>())
  private let clock = ProcessClock()
  private let refused = Counter(label: "tutti_keys_refused_total")

  /// Whether requests need a key even if no key was ever created.
  private let isStrict: Bool

  public init(_ access: AccessDirectory, isStrict: Bool = false) {
    self.access = access
    self.isStrict = isStrict
  }

  /// Whether requests may be answered without a key. `nil` means that no table has arrived yet.
  public var isOpen: Bool? { isStrict ? false : access.table?.isOpen }

  /// Checks the key of the request that is being answered.
  ///
  /// - Parameter need: what the key must permit.
  /// - Returns: the key's record. `nil` means that the cluster requires no key.
  /// - Throws: `invalid_api_key`, `permission_denied`, `rate_limited` after many wrong keys, or
  ///   `overloaded` before the first table has arrived.
  public func check(
    _ request: Request, for need: AccessNeed
  ) throws(Failure) -> KeyRecord? {
    try grant(request, for: need)?.record
  }

  /// Checks the key like `check`, and with the same errors.
  ///
  /// - Returns: the key's record as a reference. `nil` means that the cluster requires no key.
  public func grant(
    _ request: Request, for need: AccessNeed
  ) throws(Failure) -> KeyGrant? {
    let verified = ClientConnection.current?.verifiedKey
    let grant = try valid(request, for: need, verified)
    verified?.ofRequest = grant?.id
    return grant
  }

  /// - Parameter verified: the key that the request's connection presented before. `nil` means that
  ///   the request has no connection.
  private func valid(
    _ request: Request, for need: AccessNeed, _ verified: VerifiedKey?
  ) throws(Failure) -> KeyGrant? {
    guard let table = access.table else { throw Self.noTable }
    guard !table.isOpen else {
      if isStrict { throw AccessRefusal.missing.failure }
      return nil
    }
    let now = clock.now
    let header = verified == nil ? nil : request.onlyKeyHeader
    if let verified, let header,
      let grant = verified.grant(presentedAs: header, in: table.version, at: now),
      grant.permits(need, at: UnixTime.milliseconds())
    {
      return grant
    }
    let presented = PresentedKey(request)
    let admission = attempts.withLock { $0.admit(Self.source, presented, at: now) }
    if case .refused(let failure) = admission {
      refused.increment()
      throw failure
    }
    let decision = table.check(
      presented, for: need, at: UnixTime.milliseconds())
    switch decision {
    case .open: return nil
    case .allowed(let record):
      if admission == .unknown { recordOutcome(decision, at: now) }
      let grant = table.grant(of: record.id) ?? KeyGrant(record)
      if let verified, let header {
        verified.remember(grant, presentedAs: header, in: table.version, at: now)
      }
      return grant
    case .refused(let refusal):
      recordOutcome(decision, at: now)
      refused.increment()
      throw refusal.failure
    }
  }

  private static let noTable = Failure(
    .overloaded, "This process has just started and does not know the keys yet; try again.",
    retryAfter: .seconds(1))

  private func recordOutcome(_ decision: AccessDecision, at now: Instant) {
    attempts.withLock { $0.record(decision, from: Self.source, at: now) }
  }

  /// The client of the request that is being answered.
  private static var source: ClientID { ClientConnection.current?.client ?? .local }
}

extension KeyChecker {
  /// Checks the admin token of the request that is being answered.
  ///
  /// - Parameter matches: compares the token.
  /// - Returns: whether the token is right.
  /// - Throws: `rate_limited` after many wrong keys or tokens.
  public func checkToken(_ matches: () -> Bool) throws(Failure) -> Bool {
    let now = clock.now
    let admission = attempts.withLock { $0.admitToken(Self.source, at: now) }
    if case .refused(let failure) = admission {
      refused.increment()
      throw failure
    }
    let isRight = matches()
    attempts.withLock { $0.recordToken(isRight: isRight, from: Self.source, at: now) }
    if !isRight { refused.increment() }
    return isRight
  }
}

extension KeyChecker {
  /// Checks whether a request may read the metrics of this process.
  ///
  /// After the first key was created, or if the cluster always requires keys, the request needs a
  /// key with the scope `metrics`. A process that cannot check keys refuses all requests then.
  ///
  /// - Throws: the errors of `check`, or `permission_denied` from a process that cannot check keys.
  func checkMetrics(_ request: Request, of service: ServiceName) throws(Failure) {
    guard !service.knowsKeys else {
      _ = try check(request, for: AccessNeed(.metrics))
      return
    }
    guard let isOpen else { throw Self.noTable }
    guard isOpen else {
      throw Failure(
        .permissionDenied,
        "The service \(service) does not know the keys, so it shows its metrics to no client. The "
          + "monitor's /metrics has them, with a key with the scope metrics; cluster.open_metrics "
          + "opens them.")
    }
  }
}

extension PresentedKey {
  public init(_ request: Request) {
    self.init(
      authorization: request.headers[values: .authorization],
      apiKeys: request.headers[values: .xAPIKey] + request.headers[values: .apiKey],
      query: request.uri.query ?? "")
  }
}
