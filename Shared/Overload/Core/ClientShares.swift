public import ClusterModel
import Limits

/// Maximum resources that one client may use at once.
public struct ClientShare: Hashable, Sendable {
  public var requests: Int
  public var requestBytes: Int
  public var plans: Int

  public init(requests: Int, requestBytes: Int, plans: Int) {
    self.requests = requests
    self.requestBytes = requestBytes
    self.plans = plans
  }

  public static let remote = ClientShare(
    requests: Limits.requestsPerClient.value, requestBytes: Limits.requestBytesPerClient.value,
    plans: Limits.plansPerClient.value)
  public static let local = ClientShare(
    requests: Limits.requestsPerLocalClient.value,
    requestBytes: Limits.requestBytesPerLocalClient.value,
    plans: Limits.plansPerLocalClient.value)
}

/// Counts the resources each client uses and enforces the client's share and the total.
///
/// A request whose body is still arriving does not count as a request; only its received bytes are
/// charged. A client that uses nothing is removed from the table.
public struct ClientShares: Sendable {
  private struct Use {
    var requests = 0
    var bytes = 0
    var plans = 0

    var isNothing: Bool { requests == 0 && bytes == 0 && plans == 0 }
  }

  /// Apply to requests and plans that begin. Running ones continue above a lower limit.
  public var limits: ClientLimits
  private var uses: [ClientID: Use] = [:]
  /// Requests of all clients that are being answered now.
  public private(set) var requests = 0

  /// - Parameter total: maximum number of requests answered at once.
  public init(total: Int, remote: ClientShare = .remote, local: ClientShare = .local) {
    self.init(ClientLimits(total: total, remote: remote, local: local))
  }

  public init(_ limits: ClientLimits) { self.limits = limits }

  public var clients: Int { uses.count }

  private func share(of client: ClientID) -> ClientShare {
    client == .local ? limits.local : limits.remote
  }

  // MARK: - Requests

  /// Throws the error that `enter` would throw now. Called before a body is read, so that a full
  /// gateway does not read it.
  public func check(_ client: ClientID) throws(Failure) {
    guard requests < limits.total else {
      throw Failure(
        .overloaded,
        "the gateway answers \(requests) requests already (limit gateway.max_requests); try again in a "
          + "moment", retryAfter: .seconds(1))
    }
    let share = share(of: client)
    guard uses[client]?.requests ?? 0 < share.requests else {
      let row = client == .local ? Limits.requestsPerLocalClient : Limits.requestsPerClient
      throw Self.refusal("requests under way", row.with(share.requests))
    }
  }

  /// Counts a request whose body is complete.
  public mutating func enter(_ client: ClientID) throws(Failure) {
    try check(client)
    requests += 1
    uses[client, default: Use()].requests += 1
  }

  public mutating func leave(_ client: ClientID) {
    requests -= 1
    change(client) { $0.requests -= 1 }
  }

  // MARK: - Bytes of requests

  public mutating func receive(_ bytes: Int, from client: ClientID) throws(Failure) {
    let share = share(of: client)
    let sum = (uses[client]?.bytes ?? 0).addingCapped(bytes)
    guard sum <= share.requestBytes else {
      let row = client == .local ? Limits.requestBytesPerLocalClient : Limits.requestBytesPerClient
      throw Self.refusal("bytes of requests under way", row.with(share.requestBytes))
    }
    uses[client, default: Use()].bytes = sum
  }

  public mutating func release(_ bytes: Int, of client: ClientID) {
    change(client) { $0.bytes -= bytes }
  }

  // MARK: - Plans

  public mutating func enterPlan(_ client: ClientID) throws(Failure) {
    let share = share(of: client)
    guard uses[client]?.plans ?? 0 < share.plans else {
      let row = client == .local ? Limits.plansPerLocalClient : Limits.plansPerClient
      throw Self.refusal("plans under way", row.with(share.plans))
    }
    uses[client, default: Use()].plans += 1
  }

  public mutating func leavePlan(_ client: ClientID) { change(client) { $0.plans -= 1 } }

  private mutating func change(_ client: ClientID, _ body: (inout Use) -> Void) {
    guard var use = uses[client] else { return }
    body(&use)
    uses[client] = use.isNothing ? nil : use
  }

  private static func refusal(_ what: String, _ limit: Limit) -> Failure {
    Failure(
      .rateLimited,
      "this client has \(limit.value) \(what) already (limit \(limit.name)); try again in a moment",
      retryAfter: .seconds(1))
  }
}
