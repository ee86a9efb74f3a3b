public import ClusterModel

/// A valid key's record with the values that each of the key's requests needs.
///
/// A record has some ten texts and sets, so requests share a reference to it instead of copies.
public final class KeyGrant: Sendable {
  public let record: KeyRecord
  /// Hosts that may serve the key's requests.
  public let pools: HostPools
  /// The least strict data policy that the key permits.
  public let weakestPolicy: DataPolicy
  /// Text of the key's id.
  public let idText: String
  /// Whether the key may use all models, patterns and data policies.
  public let allowsAll: Bool
  /// Whether the validity of the key has an end.
  private let hasEnd: Bool

  public var id: KeyID { record.id }
  public var limits: KeyLimits { record.limits }

  public init(_ record: KeyRecord) {
    self.record = record
    pools = record.permissions.pools
    weakestPolicy = record.permissions.weakestPolicy
    idText = record.id.description
    let permissions = record.permissions
    allowsAll =
      permissions.models.isEmpty && permissions.patterns.isEmpty
      && permissions.dataPolicies.isEmpty
    hasEnd = record.expiresAt != nil || record.graceUntil != nil
  }

  /// Whether a request may do what it needs with this key. The caller has already checked the
  /// secret.
  ///
  /// - Parameter now: the present time. It is read only if the validity of the key has an end.
  public func permits(_ need: AccessNeed, at now: @autoclosure () -> WallMilliseconds) -> Bool {
    record.refusal(at: hasEnd ? now() : 0) == nil && record.reason(against: need) == nil
  }
}

extension KeyGrant: Hashable {
  public static func == (left: KeyGrant, right: KeyGrant) -> Bool {
    left === right || left.record == right.record
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(record) }
}
