import ClusterModel
import GatewayCore
import Limits
import Logging
import Metrics
import Overload
import OverloadCore
import ServiceKit
import Synchronization

/// Admits requests by client and bounds their memory: the shell around `ClientShares`.
final class Admission: Sendable {
  let memory: MemoryBudget
  private let shares: Mutex<ClientShares>
  private let logger: Logger
  private let uploads = UploadGate()
  private let refusals = RateGate()
  private let inFlight = Gauge(label: "tutti_gateway_in_flight")

  init(_ configuration: GatewayConfiguration, memory: MemoryBudget, logger: Logger) {
    shares = Mutex(
      ClientShares(
        total: configuration.maximumRequests, remote: configuration.remoteShare,
        local: configuration.localShare))
    self.memory = memory
    self.logger = logger
  }

  /// Admits a request whose head has arrived. It does not count as being answered yet.
  func arrive() throws(Failure) -> Seat {
    let client = ClientConnection.current?.client ?? .local
    try refusing { shares throws(Failure) in try shares.check(client) }
    let seat = Seat(self, client)
    try seat.hold(Limits.requestFloor.value)
    return seat
  }

  /// Waits until a large body of this client may be read.
  fileprivate func room(for bytes: Int, _ client: ClientID) async throws(Failure) -> UploadGate.Pass
  {
    try await uploads.enter(bytes, client)
  }

  /// Counts and logs refusals.
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
    if let failure { throw refused(failure) }
  }

  fileprivate func refused(_ failure: Failure) -> Failure {
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

  fileprivate func change(_ body: (inout ClientShares) -> Void) {
    shares.withLock { body(&$0) }
  }

  /// Counts a request of this client as being answered.
  fileprivate func enter(_ client: ClientID) throws(Failure) {
    try refusing { shares throws(Failure) in
      try shares.enter(client)
      // Recorded under the lock, so that an older count never overwrites a newer one.
      inFlight.record(shares.requests)
    }
  }

  fileprivate func leave(_ client: ClientID, releasing bytes: Int, isTaken: Bool) {
    change { shares in
      shares.release(bytes, of: client)
      guard isTaken else { return }
      shares.leave(client)
      inFlight.record(shares.requests)
    }
  }
}

/// Resources of one request: bytes from the start of its body, and one request slot after its end.
/// All are released on deinit.
final class Seat: Sendable {
  private struct State {
    var bytes = 0
    var isTaken = false
  }

  private let client: ClientID
  private let admission: Admission
  private let memory: MemoryAccount
  private let state = Mutex(State())

  fileprivate init(_ admission: Admission, _ client: ClientID) {
    self.admission = admission
    self.client = client
    memory = admission.memory.account()
  }

  deinit {
    let (bytes, isTaken) = state.withLock { ($0.bytes, $0.isTaken) }
    admission.leave(client, releasing: bytes, isTaken: isTaken)
  }

  /// The client's address; `nil` means this machine.
  var address: String? { client == .local ? nil : "\(client)" }

  /// Waits until a body may be read. Small bodies need no wait.
  /// - Parameter declared: the length that the client announced; 0 means none.
  /// - Returns: a pass to hold until the body is complete. `nil` means that none is needed.
  func upload(declared: Int) async throws(Failure) -> UploadGate.Pass? {
    guard declared > Limits.heavyBytes.value else { return nil }
    return try await admission.room(for: declared, client)
  }

  /// Charges the client for body bytes that arrived.
  func receive(_ bytes: Int) throws(Failure) {
    try admission.refusing { shares throws(Failure) in try shares.receive(bytes, from: client) }
    state.withLock { $0.bytes += bytes }
    try hold(bytes)
  }

  /// Takes a request slot, now that the body is complete.
  func take() throws(Failure) {
    try admission.enter(client)
    let bytes = state.withLock { state in
      state.isTaken = true
      return state.bytes
    }
    try hold(bytes * (Limits.requestCopies.value - 1))
  }

  /// Charges the process for bytes held until this request ends.
  func hold(_ bytes: Int) throws(Failure) {
    guard memory.add(bytes) else { throw admission.refused(admission.memory.overloaded) }
  }

  func enterPlan() throws(Failure) -> PlanPlace {
    try admission.refusing { shares throws(Failure) in try shares.enterPlan(client) }
    return PlanPlace(admission, client)
  }
}

/// One of a client's running plans; it leaves the count on deinit.
final class PlanPlace: Sendable {
  private let admission: Admission
  private let client: ClientID

  fileprivate init(_ admission: Admission, _ client: ClientID) {
    self.admission = admission
    self.client = client
  }

  deinit { admission.change { $0.leavePlan(client) } }
}
