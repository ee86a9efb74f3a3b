extension String {
  /// The trimmed text after the last occurrence of a mark. The case of ASCII letters is ignored. If
  /// the mark is absent or nothing follows it, the result is the whole text.
  public func textAfterLast(_ mark: String) -> String {
    var work = 0
    return textAfterLast(mark, work: &work)
  }

  /// - Parameter work: grows by one per compared byte.
  func textAfterLast(_ mark: String, work: inout Int) -> String {
    let markBytes = mark.utf8.map(Self.lowercased)
    guard let last = markBytes.last else { return self }
    let bytes = Array(utf8)
    var end = bytes.count
    while end >= markBytes.count {
      work += 1
      if Self.lowercased(bytes[end - 1]) == last {
        let start = end - markBytes.count
        let isMark = markBytes.indices.reversed().allSatisfy {
          work += 1
          return Self.lowercased(bytes[start + $0]) == markBytes[$0]
        }
        if isMark {
          let rest = String(decoding: bytes[end...], as: UTF8.self).trimmingSpace
          return rest.isEmpty ? self : rest
        }
      }
      end -= 1
    }
    return self
  }

  private static func lowercased(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
  }
}
