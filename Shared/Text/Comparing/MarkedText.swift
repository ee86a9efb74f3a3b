extension String {
  /// The text after the last occurrence of a mark; the case of ASCII letters is ignored. It is the
  /// whole text if the mark is absent or nothing follows it.
  public func behindLast(_ mark: String) -> String {
    var work = 0
    return behindLast(mark, work: &work)
  }

  /// - Parameter work: grows by one per compared byte.
  func behindLast(_ mark: String, work: inout Int) -> String {
    let wanted = mark.utf8.map(Self.lowercased)
    guard let last = wanted.last else { return self }
    let bytes = Array(utf8)
    var end = bytes.count
    while end >= wanted.count {
      work += 1
      if Self.lowercased(bytes[end - 1]) == last {
        let start = end - wanted.count
        let isMark = wanted.indices.reversed().allSatisfy {
          work += 1
          return Self.lowercased(bytes[start + $0]) == wanted[$0]
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
