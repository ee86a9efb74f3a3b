extension String {
  /// What stands behind the last place where `mark` is, whatever the case of its ASCII letters; all of
  /// it where the mark is not, or nothing is behind it.
  public func behindLast(_ mark: String) -> String {
    guard !mark.isEmpty, let range = lastRange(of: mark) else { return self }
    let rest = self[range.upperBound...].trimmingSpace
    return rest.isEmpty ? self : rest
  }

  private func lastRange(of other: String) -> Range<Index>? {
    let wanted = other.lowercased()
    var end = endIndex
    while end > startIndex {
      end = index(before: end)
      let rest = self[end...]
      if rest.prefix(wanted.count).lowercased() == wanted {
        return end..<index(end, offsetBy: wanted.count)
      }
    }
    return nil
  }
}
