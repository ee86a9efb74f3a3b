extension [UInt8] {
  /// Reserves room for more bytes, and doubles the capacity like an array does.
  ///
  /// If the doubled capacity exceeds 1 MiB and a quarter of the limit, the buffer gets room for the
  /// limit. Moving a larger buffer would take the memory of both copies, and unused capacity takes
  /// no memory.
  ///
  /// - Parameter limit: maximum count of the buffer. A larger buffer grows only as needed.
  public mutating func makeRoom(for more: Int, limit: Int) {
    let needed = count + more
    guard needed > capacity else { return }
    let most = Swift.max(limit, needed)
    let doubled = Swift.max(needed, 2 * capacity)
    reserveCapacity(doubled > Swift.max(limit / 4, 1 << 20) ? most : Swift.min(doubled, most))
  }
}
