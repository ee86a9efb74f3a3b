import ClusterModel
import Limits

/// A sum over the last minute or day.
///
/// Time is divided into slots. An amount counts until its whole slot has left the window. Therefore
/// the sum is never too low, and an amount counts for at most one slot too long.
///
/// If the clock jumps back, no time counts as passed: amounts stay, and age from the new time on.
/// If the clock jumps ahead, amounts leave the window early.
struct SlidingCount: Hashable, Sendable {
  struct Window: Hashable, Sendable {
    let slotSeconds: Int64
    let slotCount: Int

    static let minute = Window(slotSeconds: 5, slotCount: 12)
    static let day = Window(slotSeconds: 3_600, slotCount: 24)
  }

  /// A slot, identified by its place in the sequence of slots. A clock jump does not change it.
  struct Slot: Hashable, Sendable {
    fileprivate let turn: Int64
  }

  private(set) var sum = 0
  private let window: Window
  /// Amounts of the slots. The current slot is `amounts[head]`. The array is empty until something
  /// is counted.
  private var amounts: [Int] = []
  private var head = 0
  /// Number of slots from the clock's zero to the last known time.
  private var current: Int64 = 0
  /// Number of slots that have passed since the first amount. It never decreases.
  private var turn: Int64 = 0

  init(_ window: Window) { self.window = window }

  /// A count with these amounts. Amounts of slots that have left the window are left out.
  /// - Parameters:
  ///   - slots: amounts by the number of their slot since the clock's zero.
  ///   - second: whole seconds of the clock.
  init(_ window: Window, slots: [(number: Int64, amount: Int)], at second: Int64) {
    self.init(window)
    current = second / window.slotSeconds
    for slot in slots where slot.amount > 0 {
      // The clock of another process may be ahead, so its current slot may be a later one.
      let age = max(0, current.subtractingCapped(slot.number))
      guard age <= Int64(window.slotCount) else { continue }
      if amounts.isEmpty { amounts = Array(repeating: 0, count: window.slotCount + 1) }
      let amount = min(slot.amount, Int.max - sum)
      amounts[place(ofAge: Int(age))] += amount
      sum += amount
    }
  }

  /// Index of the amounts of the slot that is this many slots older than the current one.
  private func place(ofAge age: Int) -> Int { (head + amounts.count - age) % amounts.count }

  /// Amounts by the number of their slot since the clock's zero, the newest first.
  var slots: [(number: Int64, amount: Int)] {
    amounts.indices.compactMap { age in
      let amount = amounts[place(ofAge: age)]
      guard amount > 0 else { return nil }
      return (number: current.subtractingCapped(Int64(age)), amount: amount)
    }
  }

  /// Whether anything was ever counted, also if it was removed or has left the window.
  var isUsed: Bool { !amounts.isEmpty }

  /// Amount of the slot with this number since the clock's zero.
  func amount(in number: Int64) -> Int {
    let age = current.subtractingCapped(number)
    guard age >= 0, age < amounts.count else { return 0 }
    return amounts[place(ofAge: Int(age))]
  }

  /// Number of a slot since the clock's zero.
  func number(of slot: Slot) -> Int64 {
    current.subtractingCapped(turn.subtractingCapped(slot.turn))
  }

  /// The sum of two counts of the same window, which were advanced to the same time.
  func merged(with other: SlidingCount) -> SlidingCount {
    guard !other.amounts.isEmpty else { return self }
    guard !amounts.isEmpty else { return other }
    var merged = self
    for age in amounts.indices {
      let amount = min(other.amounts[other.place(ofAge: age)], Int.max - merged.sum)
      merged.amounts[place(ofAge: age)] += amount
      merged.sum += amount
    }
    return merged
  }

  /// Removes slots that have left the window.
  /// - Parameter second: whole seconds of the clock.
  mutating func advance(to second: Int64) {
    let slot = second / window.slotSeconds
    let steps = slot.subtractingCapped(current)
    current = slot
    guard steps > 0, !amounts.isEmpty else { return }
    turn = turn.addingCapped(steps)
    guard steps < amounts.count else {
      amounts = Array(repeating: 0, count: amounts.count)
      sum = 0
      return
    }
    for _ in 0..<steps {
      head = (head + 1) % amounts.count
      sum -= amounts[head]
      amounts[head] = 0
    }
  }

  /// Adds an amount to the current slot.
  /// - Parameter second: whole seconds of the clock.
  mutating func add(_ amount: Int, at second: Int64) -> Slot {
    // The window has `slotCount` whole slots. The current slot is not complete, so it comes in
    // addition.
    if amounts.isEmpty { amounts = Array(repeating: 0, count: window.slotCount + 1) }
    advance(to: second)
    let amount = min(max(amount, 0), Int.max - sum)
    amounts[head] += amount
    sum += amount
    return Slot(turn: turn)
  }

  /// Takes an amount back from the slot to which it was added, unless the slot has left the window.
  mutating func remove(_ amount: Int, from slot: Slot) {
    let age = turn.subtractingCapped(slot.turn)
    guard amount > 0, age >= 0, age < amounts.count else { return }
    let place = place(ofAge: Int(age))
    let taken = min(amount, amounts[place])
    amounts[place] -= taken
    sum -= taken
  }

  /// Seconds until the sum is at most `target`, if no further amount is added.
  /// - Parameter second: whole seconds of the clock.
  func secondsUntil(atMost target: Int, at second: Int64) -> Int64 {
    guard sum > target else { return 0 }
    // Finds the newest slots whose sum is at most `target`. The slot before them must leave. For a
    // target of 0, this is one of the newest slots.
    var (age, place, newer) = (0, head, 0)
    while age + 1 < amounts.count {
      newer += amounts[place]
      guard newer <= target else { break }
      age += 1
      place = place == 0 ? amounts.count - 1 : place - 1
    }
    let slots = Int64(amounts.count - age)
    return slots * window.slotSeconds - second % window.slotSeconds
  }
}

extension Instant {
  /// Whole seconds of the clock.
  var second: Int64 { sinceStart.components.seconds }

  /// Whole hours of the clock.
  var hour: Int64 { second / SlidingCount.Window.day.slotSeconds }
}
