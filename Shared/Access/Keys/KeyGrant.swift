public import ClusterModel

/// A valid key's record with the values that each of the key's requests needs.
///
/// A record has some ten texts and sets, so requests share a reference to it instead of copies.
public final class KeyGrant: Sendable {
  public let record: KeyRecord
  /// Hosts that may serve the key's requests.
  public let pools: HostPools

  public var id: KeyID { record.id }
  public var limits: KeyLimits { record.limits }

  public init(_ record: KeyRecord) {
    self.record = record
    pools = record.permissions.pools
  }
}

extension KeyGrant: Hashable {
  public static func == (left: KeyGrant, right: KeyGrant) -> Bool {
    left === right || left.record == right.record
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(record) }
}
