internal import Limits

/// Recognises repeated numbers of a sequence in bounded memory.
///
/// Numbers that are more than `Limits.leaseWindow` above `through` are rejected, and the sender
/// repeats them.
struct NumberWindow: Hashable, Sendable {
  /// All numbers up to this one were seen.
  private(set) var through: UInt64 = 0
  /// Seen numbers after a gap.
  private var beyond: Set<UInt64> = []

  init() {}

  /// - Parameters:
  ///   - through: number up to which all numbers were seen.
  ///   - beyond: seen numbers after a gap, in any order.
  /// - Returns: `nil` if no sequence of numbers leads to this window.
  init?(through: UInt64, beyond: [UInt64]) {
    self.through = through
    for number in beyond {
      // The first number after `through` would have closed the gap.
      guard canInsert(number), number - through > 1 else { return nil }
      self.beyond.insert(number)
    }
  }

  /// Seen numbers after a gap, ascending.
  var numbersBeyond: [UInt64] { beyond.sorted() }

  /// - Returns: `false` if the number was seen before, or is too far above `through`.
  mutating func insert(_ number: UInt64) -> Bool {
    guard canInsert(number) else { return false }
    beyond.insert(number)
    while beyond.remove(through &+ 1) != nil { through += 1 }
    return true
  }

  /// Records a number that an earlier window accepted. The earlier window may have known more
  /// numbers than this one.
  ///
  /// - Returns: `false` if the number was seen before.
  mutating func insertAccepted(_ number: UInt64) -> Bool {
    let reach = UInt64(Limits.leaseWindow.value)
    // The earlier window accepted the number, so its `through` was at least `number - reach`.
    if number > reach { skip(through: number - reach) }
    return insert(number)
  }

  /// Counts all numbers up to this one as seen.
  mutating func skip(through number: UInt64) {
    guard number > through else { return }
    through = number
    beyond = beyond.filter { $0 > number }
    while beyond.remove(through &+ 1) != nil { through += 1 }
  }

  func canInsert(_ number: UInt64) -> Bool {
    guard number > through, number - through <= UInt64(Limits.leaseWindow.value) else {
      return false
    }
    return !beyond.contains(number)
  }
}
