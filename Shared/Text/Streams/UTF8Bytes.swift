/// Checks of UTF-8 that is still arriving. The network may cut the text inside a character.
public enum UTF8Bytes {
  /// Number of bytes at the end that begin an incomplete character: 0…3.
  ///
  /// Bytes that no continuation can make valid count as complete: they are invalid, not incomplete.
  public static func incompleteTailLength(of bytes: some BidirectionalCollection<UInt8>) -> Int {
    var length = 0
    // A character has at most 4 bytes, so an incomplete one has its lead byte among the last 3.
    for byte in bytes.reversed().prefix(3) {
      length += 1
      if byte & 0b1100_0000 == 0b1000_0000 { continue }
      guard let wanted = sequenceLength(lead: byte), wanted > length else { return 0 }
      guard length > 1 else { return length }
      let second = bytes[bytes.index(bytes.endIndex, offsetBy: 1 - length)]
      return secondByteRange(lead: byte).contains(second) ? length : 0
    }
    return 0
  }

  /// Whether the bytes are whole, valid UTF-8.
  public static func isValid(_ bytes: some RandomAccessCollection<UInt8>) -> Bool {
    var position = bytes.startIndex
    while position < bytes.endIndex {
      guard let length = validSequenceLength(in: bytes, at: position) else { return false }
      position = bytes.index(position, offsetBy: length)
    }
    return true
  }

  /// Number of bytes that begin no valid character and belong to none.
  public static func invalidBytes(in bytes: [UInt8]) -> Int {
    var invalid = 0
    var position = 0
    while position < bytes.count {
      if let length = validSequenceLength(in: bytes, at: position) {
        position += length
      } else {
        invalid += 1
        position += 1
      }
    }
    return invalid
  }

  /// Length of the character that starts at `position`. `nil` means that no valid one starts there.
  static func validSequenceLength<Bytes: RandomAccessCollection<UInt8>>(
    in bytes: Bytes, at position: Bytes.Index
  ) -> Int? {
    let lead = bytes[position]
    if lead < 0x80 { return 1 }
    guard let length = sequenceLength(lead: lead),
      bytes.distance(from: position, to: bytes.endIndex) >= length
    else { return nil }
    var next = bytes.index(after: position)
    guard secondByteRange(lead: lead).contains(bytes[next]) else { return nil }
    for _ in 2..<max(length, 2) {
      next = bytes.index(after: next)
      guard bytes[next] & 0b1100_0000 == 0b1000_0000 else { return nil }
    }
    return length
  }

  private static func sequenceLength(lead: UInt8) -> Int? {
    switch lead {
    case 0x00...0x7F: 1
    case 0xC2...0xDF: 2
    case 0xE0...0xEF: 3
    case 0xF0...0xF4: 4
    default: nil
    }
  }

  /// Allowed values of a character's second byte. The range is narrower than 80…BF for lead bytes
  /// that would allow overlong forms, surrogates or values beyond U+10FFFF.
  private static func secondByteRange(lead: UInt8) -> ClosedRange<UInt8> {
    switch lead {
    case 0xE0: 0xA0...0xBF
    case 0xED: 0x80...0x9F
    case 0xF0: 0x90...0xBF
    case 0xF4: 0x80...0x8F
    default: 0x80...0xBF
    }
  }
}
