extension String {
  /// Returns the longest prefix of whole code points with at most `limit` bytes of UTF-8.
  ///
  /// Untrusted text is cut by bytes, because one character may have a megabyte of combining marks.
  public func cut(toBytes limit: Int) -> String {
    utf8.count <= limit ? self : String(self[...].cut(toBytes: limit))
  }
}

extension Substring {
  /// Returns the longest prefix of whole code points with at most `limit` bytes of UTF-8.
  public func cut(toBytes limit: Int) -> Substring {
    guard limit > 0 else { return self[..<startIndex] }
    guard utf8.count > limit else { return self }
    var end = utf8.index(startIndex, offsetBy: limit)
    while end > startIndex, utf8[end] & 0b1100_0000 == 0b1000_0000 {
      end = utf8.index(before: end)
    }
    return self[..<end]
  }
}
