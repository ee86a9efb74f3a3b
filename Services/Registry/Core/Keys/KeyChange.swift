public import Access
public import ClusterModel

/// A planned change of keys. The caller stores the change, then calls `KeyRegistry.apply`.
public struct KeyChange: Equatable, Sendable {
  /// The key that the change is about.
  public let subject: KeyID
  /// Changed and new records. Empty means that nothing changes.
  public var saved: [KeyRecord] = []
  /// An ended key that is removed, so that there is room for a new one. `nil` means that no key is
  /// removed.
  public var removed: KeyID?
  /// The new key, to be shown once. `nil` means that the change makes no key.
  public var key: APIKey?
}

extension Failure.Code {
  public static let keyNotFound = Failure.Code(rawValue: "key_not_found")
  /// The record is not in the state that the caller expects, because another admin has changed it.
  public static let conflict = Failure.Code(rawValue: "conflict")
  /// The key's state does not permit the change.
  public static let keyEnded = Failure.Code(rawValue: "key_ended")
}
