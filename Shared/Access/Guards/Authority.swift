/// The host name and port in a `Host` header or after the scheme of an origin.
struct Authority: Hashable, Sendable {
  /// In lower case, without brackets, port and trailing dot.
  let name: String

  /// A name has at most 253 bytes, and a port at most 6.
  static let maximumBytes = 300

  /// - Parameter text: `name`, `name:port`, `[v6]` or `[v6]:port`. Any other text gives `nil`.
  init?(_ text: String) {
    guard text.utf8.count <= Self.maximumBytes else { return nil }
    let small = text.lowercased()
    let rest: Substring
    if small.hasPrefix("[") {
      guard let bracket = small.firstIndex(of: "]") else { return nil }
      name = String(small[..<bracket].dropFirst())
      rest = small[bracket...].dropFirst()
      guard name.utf8.allSatisfy(Self.isIPv6Byte) else { return nil }
    } else {
      let end = small.firstIndex(of: ":") ?? small.endIndex
      let bare = small[..<end]
      name = String(bare.hasSuffix(".") ? bare.dropLast() : bare)
      rest = small[end...]
      guard name.utf8.allSatisfy(Self.isNameByte) else { return nil }
    }
    guard !name.isEmpty, rest.isEmpty || rest.hasPrefix(":") && Self.isPort(rest.dropFirst())
    else { return nil }
  }

  /// Whether the name means this machine and cannot be registered publicly.
  static func isLoopback(_ name: String) -> Bool {
    if ["localhost", "::1", "0:0:0:0:0:0:0:1"].contains(name) { return true }
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127"
      && parts.allSatisfy { $0.utf8.count <= 3 && $0.utf8.allSatisfy(isDigit) && UInt8($0) != nil }
  }

  private static func isPort(_ text: Substring) -> Bool {
    text.utf8.allSatisfy(isDigit) && UInt16(text) != nil
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }

  private static func isIPv6Byte(_ byte: UInt8) -> Bool {
    isDigit(byte) || isLetter(byte) || byte == UInt8(ascii: ":") || byte == UInt8(ascii: ".")
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    isDigit(byte) || isLetter(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
      || byte == UInt8(ascii: "_")
  }
}
