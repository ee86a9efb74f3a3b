public import ClusterModel
import Limits

/// Maximum resources that one client may use at the same time.
public struct ClientShare: Hashable, Sendable {
  public var requests: Int
  /// Bytes of bodies in memory; `BodyGate` enforces this maximum.
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
/// A request counts only after its body has arrived. A client that uses nothing is removed from the
/// table.
///
/// Clients with keys may share an address. A key that has many places gets none of the last places
/// of the total or of an address, so that no key keeps out the others.
public struct ClientShares: Sendable {
  private struct Use {
    var requests = 0
    var plans = 0

    var isNothing: Bool { requests == 0 && plans == 0 }
  }

  /// The limits apply to requests and plans that begin. Running ones continue even above a lowered
  /// limit.
  public var limits: ClientLimits
  private var uses: [ClientID: Use] = [:]
  /// Requests and plans of each key, by the key's number.
  private var keyUses: [UInt64: Use] = [:]
  /// Requests of all clients that are being answered now.
  public private(set) var requests = 0

  /// - Parameter total: maximum number of requests that are answered at the same time.
  public init(total: Int, remote: ClientShare = .remote, local: ClientShare = .local) {
    self.init(ClientLimits(total: total, remote: remote, local: local))
  }

  init(_ limits: ClientLimits) { self.limits = limits }

  /// Number of clients plus number of keys that use something.
  public var clients: Int { uses.count + keyUses.count }

  // MARK: - Requests

  /// Throws the error that `enter` would throw now. It is called before a body is read, so that a
  /// full gateway does not read the body.
  ///
  /// - Parameter key: number of the request's key. `nil` means that the request has none.
  public func check(_ client: ClientID, key: UInt64? = nil) throws(Failure) {
    guard requests < limits.total else {
      throw Failure(
        .overloaded,
        "the gateway answers \(requests) requests already (limit gateway.max_requests); try again in a "
          + "moment", retryAfter: .seconds(1))
    }
    let share = limits.share(of: client)
    guard uses[client]?.requests ?? 0 < share.requests else {
      let row = client == .local ? Limits.requestsPerLocalClient : Limits.requestsPerClient
      throw Self.refusal("requests under way", row.with(share.requests))
    }
    let own = uses[client]?.requests ?? 0
    try checkReserve("requests under way", key, \.requests, taken: requests, of: limits.total)
    try checkReserve("requests under way", key, \.requests, taken: own, of: share.requests)
  }

  /// Counts a request whose body is complete.
  /// - Parameter key: as for `check(_:key:)`.
  public mutating func enter(_ client: ClientID, key: UInt64? = nil) throws(Failure) {
    try check(client, key: key)
    requests += 1
    uses[client, default: Use()].requests += 1
    if let key { keyUses[key, default: Use()].requests += 1 }
  }

  public mutating func leave(_ client: ClientID, key: UInt64? = nil) {
    requests -= 1
    Self.change(client, in: &uses) { $0.requests -= 1 }
    if let key { Self.change(key, in: &keyUses) { $0.requests -= 1 } }
  }

  /// Refuses a place among the last ones to a key that already has many places.
  private func checkReserve(
    _ what: String, _ key: UInt64?, _ count: KeyPath<Use, Int>, taken: Int, of places: Int
  ) throws(Failure) {
    guard let key else { return }
    let reserve = places / Limits.keyReserve.value
    let used = keyUses[key]?[keyPath: count] ?? 0
    guard taken < places - reserve || used < max(1, reserve / 2) else {
      throw Failure(
        .rateLimited,
        "this key has \(used) \(what) already, and the last \(counted(reserve, "place")) of \(places) "
          + "are for other keys (limit \(Limits.keyReserve.name)); try again in a moment",
        retryAfter: .seconds(1))
    }
  }

  // MARK: - Plans

  /// - Parameter key: as for `check(_:key:)`.
  public mutating func enterPlan(_ client: ClientID, key: UInt64? = nil) throws(Failure) {
    let share = limits.share(of: client)
    let own = uses[client]?.plans ?? 0
    guard own < share.plans else {
      let row = client == .local ? Limits.plansPerLocalClient : Limits.plansPerClient
      throw Self.refusal("plans under way", row.with(share.plans))
    }
    try checkReserve("plans under way", key, \.plans, taken: own, of: share.plans)
    uses[client, default: Use()].plans += 1
    if let key { keyUses[key, default: Use()].plans += 1 }
  }

  public mutating func leavePlan(_ client: ClientID, key: UInt64? = nil) {
    Self.change(client, in: &uses) { $0.plans -= 1 }
    if let key { Self.change(key, in: &keyUses) { $0.plans -= 1 } }
  }

  /// Changes the use of a client or key, and removes the entry if nothing is used any more.
  private static func change<User: Hashable>(
    _ user: User, in uses: inout [User: Use], _ body: (inout Use) -> Void
  ) {
    guard var use = uses[user] else { return }
    body(&use)
    uses[user] = use.isNothing ? nil : use
  }

  private static func refusal(_ what: String, _ limit: Limit) -> Failure {
    Failure(
      .rateLimited,
      "this client has \(limit.value) \(what) already (limit \(limit.name)); try again in a moment",
      retryAfter: .seconds(1))
  }
}
