internal import Crypto

/// Secret of the cluster with which keys are hashed. A table of hashes is useless without it.
public struct KeyPepper: Sendable {
  /// The pepper in the form that the hash function takes. It is made once, not for each request.
  fileprivate final class HashKey: Sendable {
    let key: SymmetricKey

    init(_ secret: Bytes32) { key = SymmetricKey(data: secret.bytes) }
  }

  private let secret: Bytes32
  fileprivate let hashKey: HashKey

  public static let byteCount = Bytes32.count

  /// Stands for the pepper in tables without keys.
  static let placeholder = KeyPepper(secret: .zero)

  private init(secret: Bytes32) {
    self.secret = secret
    hashKey = HashKey(secret)
  }

  /// - Parameter bytes: 32 bytes. Any other count gives `nil`.
  public init?(_ bytes: some Collection<UInt8>) {
    guard let secret = Bytes32(bytes) else { return nil }
    self.init(secret: secret)
  }

  /// The bytes of the pepper, for pages of the access table.
  public var revealed: [UInt8] { secret.bytes }
}

extension KeyPepper: Hashable {
  public static func == (left: KeyPepper, right: KeyPepper) -> Bool { left.secret == right.secret }

  public func hash(into hasher: inout Hasher) { hasher.combine(secret) }
}

extension KeyPepper: CustomStringConvertible, CustomReflectable {
  public var description: String { "***" }
  public var customMirror: Mirror { Mirror(self, children: []) }
}

/// HMAC-SHA256 of a whole key. `==` takes the same time, whichever bytes differ.
public struct KeyHash: Hashable, Sendable {
  private let code: Bytes32

  /// Stands for the hash of a key with an unknown id, so that the check takes as long as that of a
  /// known one.
  static let placeholder = KeyHash(code: .zero)

  private init(code: Bytes32) { self.code = code }

  /// - Parameter bytes: 32 bytes. Any other count gives `nil`.
  public init?(_ bytes: some Collection<UInt8>) {
    guard let code = Bytes32(bytes) else { return nil }
    self.code = code
  }

  /// The 32 bytes, for the registry's store and for pages of the access table.
  public var bytes: [UInt8] { code.bytes }

  public init(of key: APIKey, pepper: KeyPepper) {
    let code = HMAC<SHA256>.authenticationCode(
      for: key.text, using: pepper.hashKey.key)
    self.code = Bytes32(first32: code)
  }
}

extension KeyHash: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let code = Bytes32(hexadecimal: try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a key's hash has 64 lower-case hexadecimal digits")
    }
    self.code = code
  }

  /// Encodes the hash as 64 hexadecimal digits.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(code.hexadecimal)
  }
}
