/// Closes JSON that was cut off: what a model wrote when its tokens ran out.
public enum JSONMending {
  /// What is tried at most: without its last member, without the object that this was in, and so on.
  static let maximumParts = 4

  /// The parts that are whole, the longest first: up to a member or element that was ended, with what
  /// was open closed behind it.
  ///
  /// - Parameter start: where the object or array begins.
  /// - Returns: none when nothing in it was ended, or it is not cut but wrong. Whether one is valid
  ///   is for the caller to check.
  public static func closed(_ bytes: [UInt8], from start: Int) -> [[UInt8]] {
    guard bytes.indices.contains(start) else { return [] }
    var open: [UInt8] = []
    var isInString = false
    var isEscaped = false
    // The last end within each container that is open, the outermost first.
    var ends: [(end: Int, depth: Int)] = []
    func ended(_ end: Int) {
      while let last = ends.last, last.depth >= open.count { ends.removeLast() }
      ends.append((end, open.count))
    }
    for position in start..<bytes.count {
      let byte = bytes[position]
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isInString = true
      case UInt8(ascii: "{"): open.append(UInt8(ascii: "}"))
      case UInt8(ascii: "["): open.append(UInt8(ascii: "]"))
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        guard open.popLast() == byte, !open.isEmpty else { return [] }
        ended(position + 1)
      case UInt8(ascii: ","): ended(position)
      default: break
      }
      guard open.count <= JSONDocument.standardDepth else { return [] }
    }
    return ends.suffix(maximumParts).reversed().map { part in
      Array(bytes[start..<part.end]) + open.prefix(part.depth).reversed()
    }
  }
}
