import Access
import ClusterModel
import Limits
import Logging
import Metrics
import Overload
import OverloadCore
import ServiceKit
import Synchronization

/// Admits requests by client and bounds their memory. It is the shell around `ClientShares`.
final class Admission: Sendable {
  let memory: MemoryBudget
  let pace = AnswerPace()
  /// The limits of the configuration.
  private let configured: ClientLimits
  private let shares: Mutex<ClientShares>
  private let logger: Logger
  private let bodies = BodyGate()
  private let refusals = RateGate()
  private let inFlight = Gauge(label: "tutti_gateway_in_flight")

  init(_ shares: ClientShares, memory: MemoryBudget, logger: Logger) {
    configured = shares.limits
    self.shares = Mutex(shares)
    self.memory = memory
    self.logger = logger
  }

  /// Applies values that admins set at run time.
  func apply(_ overrides: RuntimeOverrides) {
    let limits = configured.overridden(by: overrides)
    shares.withLock { $0.limits = limits }
  }

  /// Admits a request whose head has arrived. The request takes no slot yet.
  ///
  /// - Parameter key: the request's key. `nil` means that the cluster requires none.
  func admit(key: KeyID? = nil) throws(Failure) -> RequestReservation {
    let client = ClientConnection.current?.client ?? .local
    try refusing { shares throws(Failure) in try shares.check(client, key: key?.number) }
    let reservation = RequestReservation(self, client, key?.number)
    try reservation.charge(Limits.requestFloor.value)
    return reservation
  }

  /// Waits until a body of this size may be read.
  fileprivate func waitForBody(
    _ bytes: Int, of client: ClientID, key: UInt64?
  ) async throws(Failure) -> BodyGate.Pass {
    let limit =
      client == .local ? Limits.requestBytesPerLocalClient : Limits.requestBytesPerClient
    do throws(Failure) {
      return try await bodies.enter(
        bytes, BodyOwner(client, key: key),
        share: configured.share(of: client).requestBytes, limit: limit.name)
    } catch {
      throw error.code == .cancelled ? error : recordRefusal(error)
    }
  }

  /// Changes the shares. If they refuse the change, the refusal is counted and logged.
  fileprivate func refusing(
    _ body: (inout ClientShares) throws(Failure) -> Void
  ) throws(Failure) {
    let failure = shares.withLock { shares -> Failure? in
      do throws(Failure) {
        try body(&shares)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw recordRefusal(failure) }
  }

  /// Counts and logs a refusal.
  /// - Returns: the failure, for the caller to throw.
  fileprivate func recordRefusal(_ failure: Failure) -> Failure {
    Counter(
      label: "tutti_gateway_refused_total", dimensions: [("code", failure.code.rawValue)]
    ).increment()
    if let skipped = refusals.pass() {
      logger.notice(
        "refused a request above a limit",
        metadata: ["reason": "\(failure.message)", "skipped": "\(skipped)"])
    }
    return failure
  }

  /// Counts a request of this client that is now being answered.
  fileprivate func enter(_ client: ClientID, _ key: UInt64?) throws(Failure) {
    try refusing { shares throws(Failure) in
      try shares.enter(client, key: key)
      // The gauge is set under the lock, so that an older count never overwrites a newer one.
      inFlight.record(shares.requests)
    }
  }

  fileprivate func leave(_ client: ClientID, _ key: UInt64?) {
    shares.withLock { shares in
      shares.leave(client, key: key)
      inFlight.record(shares.requests)
    }
  }

  fileprivate func leavePlan(_ client: ClientID, _ key: UInt64?) {
    shares.withLock { $0.leavePlan(client, key: key) }
  }
}

/// Resources that one admitted request uses. All of them are released on deinit.
///
/// The bytes of the body are charged as they arrive. A request slot is taken after the last byte.
final class RequestReservation: Sendable {
  private struct State {
    var bodyBytes = 0
    var hasSlot = false
    /// Room for the body. `nil` means that no room is reserved.
    var body: BodyGate.Pass?
  }

  private let client: ClientID
  /// Number of the request's key. `nil` means that the request has no key.
  private let key: UInt64?
  private let admission: Admission
  private let memory: MemoryAccount
  private let state = Mutex(State())

  fileprivate init(_ admission: Admission, _ client: ClientID, _ key: UInt64?) {
    self.admission = admission
    self.client = client
    self.key = key
    memory = admission.memory.account()
  }

  deinit {
    if state.withLock({ $0.hasSlot }) { admission.leave(client, key) }
  }

  /// The client's address. `nil` means this machine.
  var address: String? { client == .local ? nil : "\(client)" }

  /// Waits for the client's turn to begin a request.
  /// - Throws: `cancelled` if the client disconnects before its turn.
  func takeTurn() async throws(Failure) {
    if let connection = ClientConnection.current {
      let turn = BodyOwner(client, key: key).turn
      await connection.delay(by: admission.pace.delay(of: turn))
      await connection.takeTurn(of: turn)
    }
    guard !Task.isCancelled else { throw Failure(.cancelled, "the client has left") }
  }

  /// Waits until the body may be read, and keeps room for it until the request ends. A small body
  /// needs neither.
  /// - Parameter bytes: the most bytes that the body may have.
  func reserveBody(_ bytes: Int) async throws(Failure) {
    guard bytes > Limits.smallBody.value else { return }
    let pass = try await admission.waitForBody(bytes, of: client, key: key)
    state.withLock { $0.body = pass }
  }

  /// Whether room for the body is reserved.
  var hasBodyRoom: Bool { state.withLock { $0.body != nil } }

  /// Releases the room that the complete body does not need.
  /// - Parameter bytes: size of the body in memory.
  func setBody(_ bytes: Int) {
    state.withLock { $0.body }?.shrink(to: bytes)
  }

  /// Charges the process for memory that the body takes.
  func chargeBody(_ bytes: Int) throws(Failure) {
    state.withLock { $0.bodyBytes += bytes }
    try charge(bytes)
  }

  /// Takes a request slot after the body is complete.
  func takeSlot() throws(Failure) {
    try admission.enter(client, key)
    let bytes = state.withLock { state in
      state.hasSlot = true
      return state.bodyBytes
    }
    try charge(bytes * (Limits.requestCopies.value - 1))
  }

  /// Charges the process for bytes that it holds until this request ends.
  func charge(_ bytes: Int) throws(Failure) {
    guard memory.add(bytes) else { throw admission.recordRefusal(admission.memory.overloaded) }
  }

  func reservePlan() throws(Failure) -> PlanReservation {
    try admission.refusing { shares throws(Failure) in try shares.enterPlan(client, key: key) }
    return PlanReservation(admission, client, key)
  }
}

/// Counts one running plan of a client until deinit.
final class PlanReservation: Sendable {
  private let admission: Admission
  private let client: ClientID
  private let key: UInt64?

  fileprivate init(_ admission: Admission, _ client: ClientID, _ key: UInt64?) {
    self.admission = admission
    self.client = client
    self.key = key
  }

  deinit { admission.leavePlan(client, key) }
}

extension BodyOwner {
  fileprivate init(_ client: ClientID, key: UInt64?) {
    self = key.map { .key($0) } ?? .address(client)
  }
}
