/// Closes JSON that was cut off, for example because a model ran out of tokens.
public enum JSONMending {
  /// Maximum number of returned parts. The first part lacks only the incomplete member, the second
  /// also lacks the object or array around it, and so on.
  static let maximumParts = 4

  /// Returns the complete parts, the longest first. Each ends after a complete member or element,
  /// and its open containers are closed.
  ///
  /// - Parameter start: offset of the opening brace or bracket.
  /// - Returns: an empty array if no member is complete, if the JSON is not cut off, or if brackets
  ///   do not match or nest too deep. Other errors are not found, so the caller must validate each
  ///   part.
  public static func closed(_ bytes: [UInt8], from start: Int) -> [[UInt8]] {
    guard bytes.indices.contains(start) else { return [] }
    var open: [UInt8] = []
    var isInString = false
    var isEscaped = false
    // End of the last complete member or element in each open container, the outermost first.
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
