public import ClusterModel

/// Repeatable random numbers. A test prints the seed, so that a failure can be run again.
public typealias SeededGenerator = SplitMix64

extension SplitMix64 {
  /// A real number in (0, 1]; never zero, so that its logarithm exists.
  mutating func nextUnit() -> Double {
    Double((next() >> 11) + 1) * 0x1p-53
  }

  /// An integer in the range.
  public mutating func nextInt(in range: Range<Int>) -> Int {
    Int.random(in: range, using: &self)
  }

  public mutating func nextBytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
  }
}
