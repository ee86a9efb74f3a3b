/// Several values in the text of one span attribute, with separators between them. A separator
/// within a value is escaped as in a URL: `;` becomes `%3B`.
enum SpanText {
  /// - Parameter separators: ASCII characters that are escaped in the value.
  static func escaped(_ value: String, _ separators: String) -> String {
    let reserved = Set((separators + "%").utf8)
    guard value.utf8.contains(where: reserved.contains) else { return value }
    var bytes: [UInt8] = []
    for byte in value.utf8 {
      guard reserved.contains(byte) else {
        bytes.append(byte)
        continue
      }
      bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Decodes escapes. A `%` without a complete escape stays, because attributes are cut at a
  /// maximum length.
  static func unescaped(_ text: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      let code = rest.prefix(2)
      if byte == UInt8(ascii: "%"), code.count == 2,
        let value = UInt8(String(decoding: code, as: UTF8.self), radix: 16)
      {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static let digits = Array("0123456789ABCDEF".utf8)

  /// Splits at each separator. Compares bytes, because a combining mark after a separator makes
  /// both one `Character`.
  static func split(_ text: Substring, _ separator: Unicode.Scalar) -> [Substring] {
    text.utf8.split(separator: UInt8(ascii: separator)).map { Substring($0) }
  }

  /// The text before and after the first separator. `after` is `nil` if the text has no separator.
  static func halves(
    _ text: Substring, _ separator: Unicode.Scalar
  ) -> (before: Substring, after: Substring?) {
    guard let index = text.utf8.firstIndex(of: UInt8(ascii: separator)) else { return (text, nil) }
    return (text[..<index], Substring(text.utf8[index...].dropFirst()))
  }
}

extension [Attribute] {
  /// Attributes whose keys are `key` and a number: "attempt 1", "attempt 2" …
  func numbered(_ key: String) -> [Attribute] {
    filter { $0.key.hasPrefix(key + " ") }
  }
}
