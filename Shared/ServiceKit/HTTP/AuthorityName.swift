/// The host of an authority, as bytes of the original text.
///
/// A server parses one for each request, so parsing and comparing copy nothing. Comparisons ignore
/// ASCII case. Bytes that do not occur in names and addresses are refused, so that no rule of
/// Unicode makes two texts equal.
struct AuthorityName: Equatable {
  /// The name or address, without brackets, port and trailing dot.
  private let bytes: Substring.UTF8View
  /// Whether the name is an IPv6 address, the only form with brackets.
  private let isBracketed: Bool

  /// - Parameter authority: `name`, `name:port`, `[v6]` or `[v6]:port`; otherwise the result is
  ///   `nil`.
  init?(_ authority: Substring) {
    let text = authority.utf8
    isBracketed = text.first == UInt8(ascii: "[")
    let port: Substring.UTF8View
    if isBracketed {
      let inside = text.dropFirst()
      guard let end = inside.firstIndex(of: UInt8(ascii: "]")) else { return nil }
      bytes = inside[..<end]
      port = inside[end...].dropFirst()
      guard bytes.contains(UInt8(ascii: ":")), bytes.allSatisfy(Self.isAddressByte) else {
        return nil
      }
    } else {
      let end = text.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
      let name = text[..<end]
      port = text[end...]
      bytes = name.last == UInt8(ascii: ".") ? name.dropLast() : name
      guard !bytes.isEmpty, bytes.allSatisfy(Self.isNameByte) else { return nil }
    }
    guard port.isEmpty || port.first == UInt8(ascii: ":") && Self.isPort(port.dropFirst()) else {
      return nil
    }
  }

  /// - Parameter origin: `scheme://authority`; otherwise the result is `nil`.
  init?(origin: Substring) {
    let text = origin.utf8
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")), colon != text.startIndex else {
      return nil
    }
    let rest = text[colon...].dropFirst()
    guard rest.prefix(2).elementsEqual("//".utf8) else { return nil }
    self.init(Substring(rest.dropFirst(2)))
  }

  static func == (one: Self, other: Self) -> Bool {
    one.isBracketed == other.isBracketed
      && one.bytes.elementsEqual(other.bytes) { lowercase($0) == lowercase($1) }
  }

  /// - Parameter name: in lower case, without brackets.
  func matches(_ name: String) -> Bool { Self.matches(bytes, name) }

  /// - Parameter suffix: in lower case.
  func hasSuffix(_ suffix: String) -> Bool { Self.matches(bytes.suffix(suffix.utf8.count), suffix) }

  // MARK: - Kinds

  /// Whether the name always means the machine that the client runs on.
  var isLoopback: Bool {
    guard isBracketed else {
      return Self.firstPart(ofIPv4: bytes) == 127 || matches("localhost")
        || hasSuffix(".localhost")
    }
    let mapped = "::ffff:"
    return matches("::1") || matches("0:0:0:0:0:0:0:1")
      || Self.matches(bytes.prefix(mapped.utf8.count), mapped)
        && Self.firstPart(ofIPv4: bytes.dropFirst(mapped.utf8.count)) == 127
  }

  var isAddress: Bool { isBracketed || Self.firstPart(ofIPv4: bytes) != nil }

  var hasDot: Bool { bytes.contains(UInt8(ascii: ".")) }

  /// The first part of an IPv4 address; `nil` if the bytes are not one.
  private static func firstPart(ofIPv4 bytes: Substring.UTF8View) -> Int? {
    var (first, dots, part, digits) = (0, 0, 0, 0)
    for byte in bytes {
      if byte == UInt8(ascii: "."), digits > 0 {
        if dots == 0 { first = part }
        (dots, part, digits) = (dots + 1, 0, 0)
      } else {
        guard isDigit(byte), digits < 3 else { return nil }
        (part, digits) = (part * 10 + Int(byte - UInt8(ascii: "0")), digits + 1)
        guard part <= 255 else { return nil }
      }
    }
    return dots == 3 && digits > 0 ? first : nil
  }

  // MARK: - Bytes

  private static func matches(_ bytes: Substring.UTF8View, _ name: String) -> Bool {
    bytes.count == name.utf8.count && bytes.elementsEqual(name.utf8) { lowercase($0) == $1 }
  }

  private static func isPort(_ bytes: Substring.UTF8View) -> Bool {
    bytes.count <= 5 && bytes.allSatisfy(isDigit)
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private static func isAddressByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || (0x61...0x66).contains(lowercase(byte)) || byte == 0x3A || byte == 0x2E
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || (0x61...0x7A).contains(lowercase(byte))
      || byte == 0x2D || byte == 0x2E || byte == 0x5F
  }

  private static func lowercase(_ byte: UInt8) -> UInt8 {
    (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
  }
}
