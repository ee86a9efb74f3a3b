import ClusterModel

extension SplitMix64 {
  /// An integer in the range.
  mutating func nextInt(in range: Range<Int>) -> Int { Int.random(in: range, using: &self) }
}
