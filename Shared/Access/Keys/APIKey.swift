import Limits

/// A client's key, `tutti-<id>-<secret>`. Its descriptions do not contain the secret.
public struct APIKey: Hashable, Sendable {
  public let id: KeyID
  private let secret: Bytes32

  /// Number of random bytes that make a key.
  public static let randomByteCount = 48

  private static let prefix = Array("tutti-".utf8)
  private static let separator = UInt8(ascii: "-")
  private static let secretOffset = prefix.count + KeyID.characterCount + 1
  static let characterCount = secretOffset + Bytes32.base64Count

  /// Makes a new key.
  ///
  /// - Parameter random: 48 bytes of the system's generator. 60 bits of the first 16 bytes become
  ///   the id, and the other 32 bytes become the secret. Any other count gives `nil`.
  public init?(random: some Collection<UInt8>) {
    guard random.count == Self.randomByteCount, let secret = Bytes32(random.dropFirst(16)) else {
      return nil
    }
    id = KeyID(random: random.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    self.secret = secret
  }

  /// Parses a key. The text is read only if it has the length of a key.
  public init?(_ text: some Collection<UInt8>) {
    // Counting a collection may take linear time, so a text above `access.key_bytes` is refused
    // before it is counted.
    guard
      text.index(
        text.startIndex, offsetBy: Limits.accessKeyBytes.value + 1, limitedBy: text.endIndex)
        == nil,
      text.count == Self.characterCount, text.starts(with: Self.prefix)
    else { return nil }
    let rest = text.dropFirst(Self.prefix.count)
    guard let id = KeyID(rest.prefix(KeyID.characterCount)),
      rest.dropFirst(KeyID.characterCount).first == Self.separator,
      let secret = Bytes32(base64URL: text.dropFirst(Self.secretOffset))
    else { return nil }
    self.id = id
    self.secret = secret
  }

  public init?(_ text: String) { self.init(text.utf8) }

  /// The whole key, to be shown once to the admin who made it.
  public var revealed: String { String(decoding: text, as: UTF8.self) }

  /// The bytes of the whole key.
  var text: [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(Self.characterCount)
    text += Self.prefix
    id.append(to: &text)
    text.append(Self.separator)
    secret.appendBase64URL(to: &text)
    return text
  }
}

extension APIKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// The key without its secret.
  public var description: String { "tutti-\(id)-***" }
  public var debugDescription: String { description }
  /// The mirror is empty, so that `dump` and test failures do not print the secret.
  public var customMirror: Mirror { Mirror(self, children: []) }
}
