/// Makes text of hosts and models safe to print.
/// A terminal acts on control characters and escape sequences, so they are shown as visible text.
///
/// Line ends and tabs stay. The text may arrive in pieces.
public struct TerminalText: Sendable {
  /// Whether the text so far ends with a CR. The next character decides whether the CR is a part of
  /// a line end.
  private var heldReturn = false

  public init() {}

  public mutating func visible(_ piece: String) -> String {
    var shown = String.UnicodeScalarView()
    for scalar in piece.unicodeScalars {
      if heldReturn {
        heldReturn = false
        // A CR without an LF would let the following text overwrite the line.
        shown.append(contentsOf: (scalar == "\n" ? "\r" : "\u{240D}").unicodeScalars)
      }
      switch scalar {
      case "\r": heldReturn = true
      case "\n", "\t": shown.append(scalar)
      default: Self.append(scalar, to: &shown)
      }
    }
    return String(shown)
  }

  /// Ends the text, and returns the part that was held back.
  public mutating func end() -> String {
    defer { heldReturn = false }
    return heldReturn ? "\u{240D}" : ""
  }

  /// Makes a complete text safe.
  public static func visible(_ text: String) -> String {
    var filter = TerminalText()
    return filter.visible(text) + filter.end()
  }

  /// Makes one line of a table or a message safe.
  /// Line ends and tabs become spaces. Characters that change the direction of writing could
  /// disguise a name, so they are shown, too.
  static func line(_ text: String) -> String {
    var shown = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x09, 0x0A, 0x0D, 0x85, 0x2028, 0x2029: shown.append(" ")
      case 0x061C, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069:
        shown.append(contentsOf: escaped(scalar).unicodeScalars)
      default: append(scalar, to: &shown)
      }
    }
    return String(shown)
  }

  /// Returns JSON with the same meaning in which no byte except white space controls a terminal.
  ///
  /// JSON allows DEL and the C1 controls in strings as they are. Other controls are valid only
  /// between values, and only as white space.
  public static func json(_ bytes: some Collection<UInt8>) -> [UInt8] {
    var shown: [UInt8] = []
    shown.reserveCapacity(bytes.count)
    var isAfterC2 = false
    for byte in bytes {
      if isAfterC2 {
        isAfterC2 = false
        if (0x80...0x9F).contains(byte) {
          shown += escape(byte)
          continue
        }
        shown.append(0xC2)
      }
      switch byte {
      case 0xC2: isAfterC2 = true
      case 0x09, 0x0A, 0x0D: shown.append(byte)
      case 0x00..<0x20, 0x7F: shown += escape(byte)
      default: shown.append(byte)
      }
    }
    if isAfterC2 { shown.append(0xC2) }
    return shown
  }

  private static func escape(_ byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789abcdef".utf8)
    return Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
  }

  private static func escaped(_ scalar: Unicode.Scalar) -> String {
    "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
  }

  private static func append(
    _ scalar: Unicode.Scalar, to shown: inout String.UnicodeScalarView
  ) {
    switch scalar.value {
    // Unicode lists the pictures of control characters in the order of the characters.
    case 0x00..<0x20: shown.append(Unicode.Scalar(0x2400 + scalar.value) ?? " ")
    case 0x7F: shown.append("\u{2421}")
    case 0x80...0x9F: shown.append(contentsOf: escaped(scalar).unicodeScalars)
    default: shown.append(scalar)
    }
  }
}
