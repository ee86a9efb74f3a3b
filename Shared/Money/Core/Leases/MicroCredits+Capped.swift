internal import Limits

extension MicroCredits {
  /// The sum, capped to 64 bits, for comparisons and totals of amounts from other processes.
  func addingCapped(_ other: MicroCredits) -> MicroCredits {
    MicroCredits(count.addingCapped(other.count))
  }

  /// The difference, capped to 64 bits.
  func subtractingCapped(_ other: MicroCredits) -> MicroCredits {
    MicroCredits(count.subtractingCapped(other.count))
  }

  /// The amount, or zero if it is negative.
  var orZero: MicroCredits { max(self, .zero) }
}
