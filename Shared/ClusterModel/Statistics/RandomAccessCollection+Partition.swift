extension RandomAccessCollection {
  /// Index of the first element that meets `condition`, found with log₂ n calls of `condition`.
  ///
  /// All elements that meet it must follow all that do not, as in a sorted collection. If none meets
  /// it, the index is `endIndex`. Name and meaning are those of Swift Algorithms.
  @inlinable public func partitioningIndex(where condition: (Element) -> Bool) -> Index {
    var (low, count) = (startIndex, self.count)
    while count > 0 {
      let half = count / 2
      let middle = index(low, offsetBy: half)
      if condition(self[middle]) {
        count = half
      } else {
        low = index(after: middle)
        count -= half + 1
      }
    }
    return low
  }
}
