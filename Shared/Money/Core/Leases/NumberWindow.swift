internal import Limits

/// Recognises repeated numbers of a sequence in bounded memory.
///
/// Numbers more than `Limits.leaseWindow` after a gap are rejected; the sender repeats them.
struct NumberWindow: Hashable, Sendable {
  /// All numbers up to this one were seen.
  private(set) var through: UInt64 = 0
  /// Seen numbers after a gap.
  private var beyond: Set<UInt64> = []

  /// - Returns: `false` if the number was seen before, or is too far after a gap.
  mutating func insert(_ number: UInt64) -> Bool {
    guard canInsert(number) else { return false }
    beyond.insert(number)
    while beyond.remove(through &+ 1) != nil { through += 1 }
    return true
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
