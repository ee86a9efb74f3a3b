/// Finds word borders in streamed text.
///
/// A border is before white space, or between two characters of a script that is written without
/// spaces. In most models, a space belongs to the token of the word after it. A model whose prefix
/// ends in a space continues differently, so the border is before the white space.
struct WordBorders: Sendable {
  /// Whether the last character was white space. Also true at the start, where no border is needed.
  private var isInSpace = true
  private var isInUnspaced = false
  private var scalar: UInt32 = 0
  private var missing = 0
  private var scalarStart = 0

  /// - Returns: the border that this byte reveals, at or before `offset`.
  mutating func take(_ byte: UInt8, at offset: Int) -> Int? {
    if byte < 0x80 { return takeScalar(UInt32(byte), from: offset) }
    if byte & 0b1100_0000 == 0b1000_0000 {
      guard missing > 0 else { return nil }
      scalar = scalar << 6 | UInt32(byte & 0b0011_1111)
      missing -= 1
      return missing == 0 ? takeScalar(scalar, from: scalarStart) : nil
    }
    scalarStart = offset
    missing = Self.length(lead: byte) - 1
    scalar = UInt32(byte) & (0x7F >> UInt32(missing + 1))
    return nil
  }

  /// Takes a whole character. In JSON, the character may have been written as an escape.
  mutating func takeScalar(_ scalar: UInt32, from start: Int) -> Int? {
    missing = 0
    if scalar == 0x20 || scalar == 0x0A || scalar == 0x09 || scalar == 0x0D {
      defer {
        isInSpace = true
        isInUnspaced = false
      }
      return isInSpace ? nil : start
    }
    isInSpace = false
    let wasInUnspaced = isInUnspaced
    isInUnspaced = Self.isUnspaced(scalar)
    return wasInUnspaced && isInUnspaced ? start : nil
  }

  static func length(lead: UInt8) -> Int {
    switch lead {
    case 0xF0...: 4
    case 0xE0...: 3
    case 0xC0...: 2
    default: 1
    }
  }

  /// Whether the character is an ideograph, a kana or punctuation of these scripts, but no
  /// combining mark.
  static func isUnspaced(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x3099, 0x309A: false
    case 0x2E80...0x303F, 0x3041...0x30FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF,
      0xFF01...0xFF60, 0x20000...0x3FFFF:
      true
    default: false
    }
  }
}
