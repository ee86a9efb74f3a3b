/// Finds the safe boundaries of a JSON text: after a token, or within a string before white space,
/// but never within an escape.
struct JSONBoundaries: Sendable {
  private(set) var progress = JSONProgress()
  /// Borders within the current string.
  private var words = WordBorders()
  /// Start of the current escape, its value, and the number of its characters after the backslash.
  private var escapeStart = 0
  private var escapeScalar: UInt32 = 0
  private var escapeLength = 0

  /// - Parameter isSequence: several JSON documents may follow each other.
  init(isSequence: Bool) { progress.isSequence = isSequence }

  /// Takes the byte at an offset of the text, and moves `boundary` if the byte reveals a later one.
  ///
  /// - Returns: `false` if no JSON text starts with the bytes so far.
  mutating func take(_ byte: UInt8, at offset: Int, _ boundary: inout Int) -> Bool {
    let wasInString = progress.isInString
    let wasInEscape = progress.isInEscape
    let tokenBoundary = progress.tokenBoundary
    guard progress.take(byte) else { return false }
    if progress.tokenBoundary != tokenBoundary {
      // The place is counted back from the end, because `progress` did not get the leading white
      // space.
      boundary = offset + 1 - (progress.offset - progress.tokenBoundary)
    } else if !wasInString, progress.isInString {
      words = WordBorders()
    } else if wasInString,
      let border = borderInString(
        byte, at: offset, wasInEscape: wasInEscape, isInEscape: progress.isInEscape)
    {
      boundary = border
    }
    return true
  }

  private mutating func borderInString(
    _ byte: UInt8, at offset: Int, wasInEscape: Bool, isInEscape: Bool
  ) -> Int? {
    guard wasInEscape || isInEscape else { return words.take(byte, at: offset) }
    guard wasInEscape else {
      escapeStart = offset
      escapeScalar = 0
      escapeLength = 0
      return nil
    }
    escapeLength += 1
    if escapeLength > 1 {
      let digit = UInt32(byte <= UInt8(ascii: "9") ? byte & 0x0F : (byte & 0x0F) + 9)
      escapeScalar = escapeScalar << 4 | digit
    }
    guard !isInEscape else { return nil }
    if escapeLength == 1 {
      switch byte {
      case UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"): escapeScalar = 0x20
      default: escapeScalar = UInt32(byte)
      }
    }
    return words.takeScalar(escapeScalar, from: escapeStart)
  }
}
