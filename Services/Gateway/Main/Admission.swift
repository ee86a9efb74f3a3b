import ClusterModel
import GatewayCore
import Limits
import Logging
import Metrics
import Overload
import OverloadCore
import ServiceKit
import Synchronization

/// Which requests are answered at once, by client, and what memory they may hold: the shell around
/// `ClientShares`.
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

  /// A request whose head has come. It has no place among those answered yet.
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

  /// Counts and logs what is refused.
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

  /// Takes a place for a request of this client.
  fileprivate func enter(_ client: ClientID) throws(Failure) {
    try refusing { shares throws(Failure) in
      try shares.enter(client)
      // Under the lock: the gauge never goes back to an older count.
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

/// What one request uses: bytes of its body from the first, a place among the requests answered from
/// the last. All is returned when the last holder lets go.
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

  /// Waits until a body may be read. Small ones are read at once.
  /// - Parameter declared: the length that the client announced; 0 means that it announced none.
  /// - Returns: what is to be held until the body is complete; `nil` if there is no need.
  func upload(declared: Int) async throws(Failure) -> UploadGate.Pass? {
    guard declared > Limits.heavyBytes.value else { return nil }
    return try await admission.room(for: declared, client)
  }

  /// Charges the client with bytes of its body that came.
  func receive(_ bytes: Int) throws(Failure) {
    try admission.refusing { shares throws(Failure) in try shares.receive(bytes, from: client) }
    state.withLock { $0.bytes += bytes }
    try hold(bytes)
  }

  /// The body is complete.
  func take() throws(Failure) {
    try admission.enter(client)
    let bytes = state.withLock { state in
      state.isTaken = true
      return state.bytes
    }
    try hold(bytes * (Limits.requestCopies.value - 1))
  }

  /// Charges the process with bytes that are held until this request is over.
  func hold(_ bytes: Int) throws(Failure) {
    guard memory.add(bytes) else { throw admission.refused(admission.memory.overloaded) }
  }

  func enterPlan() throws(Failure) -> PlanPlace {
    try admission.refusing { shares throws(Failure) in try shares.enterPlan(client) }
    return PlanPlace(admission, client)
  }
}

/// A plan among those that its client has under way.
final class PlanPlace: Sendable {
  private let admission: Admission
  private let client: ClientID

  fileprivate init(_ admission: Admission, _ client: ClientID) {
    self.admission = admission
    self.client = client
  }

  deinit { admission.change { $0.leavePlan(client) } }
}
