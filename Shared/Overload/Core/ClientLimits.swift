public import ClusterModel

/// Maximum requests of all clients together, and the share of each client.
public struct ClientLimits: Hashable, Sendable {
  public var total: Int
  /// Share of each remote address.
  public var remote: ClientShare
  /// Share of all programs on this machine together.
  public var local: ClientShare

  public init(total: Int, remote: ClientShare = .remote, local: ClientShare = .local) {
    self.total = total
    self.remote = remote
    self.local = local
  }

  public func share(of client: ClientID) -> ClientShare { client == .local ? local : remote }

  /// The limits with the values that admins set at run time.
  public func overridden(by overrides: RuntimeOverrides) -> ClientLimits {
    var limits = self
    if let total = overrides.integer(.gatewayRequests) { limits.total = total }
    if let count = overrides.integer(.gatewayRequestsPerClient) { limits.remote.requests = count }
    if let count = overrides.integer(.gatewayRequestsPerLocalClient) {
      limits.local.requests = count
    }
    if let count = overrides.integer(.gatewayPlansPerClient) { limits.remote.plans = count }
    if let count = overrides.integer(.gatewayPlansPerLocalClient) { limits.local.plans = count }
    return limits
  }
}
