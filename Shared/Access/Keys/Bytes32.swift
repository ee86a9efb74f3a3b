/// 32 bytes that are compared in constant time: a secret or an authentication code.
///
/// They are stored in four words, so that a value always has this length and needs no memory on the
/// heap.
struct Bytes32: Sendable {
  private let words: (UInt64, UInt64, UInt64, UInt64)

  static let count = 32
  static let zero = Bytes32(words: (0, 0, 0, 0))

  private init(words: (UInt64, UInt64, UInt64, UInt64)) { self.words = words }

  /// - Parameter bytes: 32 bytes. Any other count gives `nil`.
  init?(_ bytes: some Collection<UInt8>) {
    guard bytes.count == Self.count else { return nil }
    self.init(first32: bytes)
  }

  /// Takes the first 32 bytes. Missing bytes count as zero.
  init(first32 bytes: some Sequence<UInt8>) {
    var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
    for (place, byte) in bytes.prefix(Self.count).enumerated() {
      let bits = UInt64(byte) << UInt64(56 - 8 * (place % 8))
      switch place / 8 {
      case 0: words.0 |= bits
      case 1: words.1 |= bits
      case 2: words.2 |= bits
      default: words.3 |= bits
      }
    }
    self.words = words
  }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.count)
    for word in [words.0, words.1, words.2, words.3] {
      for place in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (56 - 8 * place))) }
    }
    return bytes
  }
}

extension Bytes32: Hashable {
  /// Compares in constant time: the duration does not depend on which bytes differ.
  static func == (left: Bytes32, right: Bytes32) -> Bool {
    let difference =
      (left.words.0 ^ right.words.0) | (left.words.1 ^ right.words.1)
      | (left.words.2 ^ right.words.2) | (left.words.3 ^ right.words.3)
    return difference == 0
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(words.0)
    hasher.combine(words.1)
    hasher.combine(words.2)
    hasher.combine(words.3)
  }
}

// MARK: - Text forms

extension Bytes32 {
  /// - Parameter text: 64 lower-case hexadecimal digits. Any other text gives `nil`.
  init?(hexadecimal text: String) {
    guard text.utf8.count == 2 * Self.count else { return nil }
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in text.utf8 {
      guard let value = Self.hexadecimalValue(digit) else { return nil }
      if let first = high {
        bytes.append(first << 4 | value)
        high = nil
      } else {
        high = value
      }
    }
    self.init(bytes)
  }

  /// 64 lower-case hexadecimal digits.
  var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(
      decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  private static func hexadecimalValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    default: nil
    }
  }

  /// Number of base64url characters for 32 bytes, without padding.
  static let base64Count = 43

  /// - Parameter text: 43 base64url characters. The last character holds four bits of the bytes and
  ///   two unused bits. A text with unused bits that are not 0 is refused, so that no two texts
  ///   mean the same bytes.
  init?(base64URL text: some Collection<UInt8>) {
    guard text.count == Self.base64Count else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.count)
    var pending: UInt32 = 0
    var bits = 0
    for character in text {
      guard let value = Self.base64Value(character) else { return nil }
      pending = pending << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: pending >> UInt32(bits)))
        pending &= (1 << UInt32(bits)) - 1
      }
    }
    guard pending == 0 else { return nil }
    self.init(bytes)
  }

  private static let base64Alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  /// Appends the bytes as 43 base64url characters.
  func appendBase64URL(to text: inout [UInt8]) {
    var pending: UInt32 = 0
    var bits = 0
    for byte in bytes {
      pending = pending << 8 | UInt32(byte)
      bits += 8
      while bits >= 6 {
        bits -= 6
        text.append(Self.base64Alphabet[Int(pending >> UInt32(bits) & 63)])
      }
      pending &= (1 << UInt32(bits)) - 1
    }
    text.append(Self.base64Alphabet[Int(pending << UInt32(6 - bits) & 63)])
  }

  private static func base64Value(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0") + 52
    case UInt8(ascii: "-"): 62
    case UInt8(ascii: "_"): 63
    default: nil
    }
  }
}
