public import Access
public import ClusterModel

/// A planned change of the keys. The caller stores it, then calls `KeyRegistry.apply`.
public struct KeyChange: Equatable, Sendable {
  /// The key that the change is about.
  public let subject: KeyID
  /// Changed and new records. Empty means that nothing changes.
  public var saved: [KeyRecord] = []
  /// A key that can never be used again and makes room for a new one.
  public var removed: KeyID?
  /// The new key, to be shown once. `nil` means that the change makes no key.
  public var key: APIKey?
}

extension Failure.Code {
  public static let keyNotFound = Failure.Code(rawValue: "key_not_found")
  /// The record is not in the state that the caller expects: another admin has changed it.
  public static let conflict = Failure.Code(rawValue: "conflict")
  /// The key's state does not permit the change.
  public static let keyEnded = Failure.Code(rawValue: "key_ended")
}
