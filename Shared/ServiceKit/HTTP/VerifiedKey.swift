import Access
import ClusterModel
import HTTPTypes
import Hummingbird
import Synchronization

/// The key that the last requests of a connection presented, if it was valid.
///
/// The next request of the connection usually presents the same header. Comparing headers costs
/// less than parsing and hashing the key again. The comparison takes the same time whichever bytes
/// differ, because a proxy may send requests of several clients on one connection.
final class VerifiedKey: Sendable {
  private struct Entry {
    /// Name of the header that contains the key.
    let name: HTTPField.Name
    /// Value of that header.
    let value: [UInt8]
    /// Version of the access table with which the header was checked. A change of any key ends the
    /// entry.
    let version: AccessTableVersion
    let grant: KeyGrant
    let checkedAt: Instant
  }

  /// Time after which a key is checked in full again. Each full check also records that the
  /// client's address used the key.
  static let lifetime = Duration.seconds(10)

  private let entry = Mutex<Entry?>(nil)
  private let current = Mutex<KeyID?>(nil)

  /// The valid key of the request that is being answered. `nil` means that it has none, or that its
  /// key is not checked yet. It must be set to `nil` before a request is answered.
  var ofRequest: KeyID? {
    get { current.withLock(\.self) }
    set { current.withLock { $0 = newValue } }
  }

  /// Remembers a key after a full check.
  /// - Parameter header: the only header of the request that contains a key.
  func remember(
    _ grant: KeyGrant, presentedAs header: KeyHeader, in version: AccessTableVersion,
    at now: Instant
  ) {
    let new = Entry(
      name: header.name, value: Array(header.value.utf8), version: version, grant: grant,
      checkedAt: now)
    entry.withLock { $0 = new }
  }

  /// The key of a request, if the same header was valid a short time ago. The caller must check the
  /// expiry and the permissions of the key.
  func grant(
    presentedAs header: KeyHeader, in version: AccessTableVersion, at now: Instant
  ) -> KeyGrant? {
    entry.withLock { entry in
      guard let entry, entry.version == version,
        now < entry.checkedAt.advanced(by: Self.lifetime), now >= entry.checkedAt,
        header.name == entry.name, Self.isEqual(header.value, entry.value)
      else { return nil }
      return entry.grant
    }
  }

  private static func isEqual(_ value: String, _ known: [UInt8]) -> Bool {
    guard value.utf8.count == known.count else { return false }
    var difference: UInt8 = 0
    for (left, right) in zip(value.utf8, known) { difference |= left ^ right }
    return difference == 0
  }
}

/// The only header of a request that contains a key, as received.
struct KeyHeader: Hashable, Sendable {
  /// Name of the header. The same value is another key in another header, because only
  /// `Authorization` has a scheme.
  let name: HTTPField.Name
  let value: String
}

extension Request {
  /// The header that contains a key, if no other part of the request can contain one. `nil` means
  /// that the request must be read in full.
  var onlyKeyHeader: KeyHeader? {
    guard uri.query == nil else { return nil }
    var found: KeyHeader?
    for field in headers {
      switch field.name {
      case .authorization, .xAPIKey, .apiKey:
        guard found == nil else { return nil }
        found = KeyHeader(name: field.name, value: field.value)
      default: break
      }
    }
    return found
  }
}
