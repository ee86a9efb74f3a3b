import ClusterModel

/// Seeded numbers for property tests.
struct SplitMixSource: RandomNumberGenerator {
  private var generator: SplitMix64

  init(seed: UInt64) { generator = SplitMix64(seed: seed) }

  mutating func next() -> UInt64 { generator.next() }

  mutating func number<Number: FixedWidthInteger>(_ range: ClosedRange<Number>) -> Number {
    Number.random(in: range, using: &self)
  }

  mutating func chance(oneIn count: Int) -> Bool { number(1...count) == 1 }
}
