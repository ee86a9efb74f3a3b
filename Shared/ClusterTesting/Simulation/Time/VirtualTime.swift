import ClusterModel

/// Queue of events on virtual time. Events of one instant run in the order in which they were
/// scheduled, so a run depends on nothing but its seed.
final class VirtualTime {
  private struct Event {
    let at: Int64
    let order: UInt64
    let action: () -> Void

    func precedes(_ other: Event) -> Bool { (at, order) < (other.at, other.order) }
  }

  /// Microseconds since the start.
  private(set) var microseconds: Int64 = 0
  /// A binary heap: each event precedes its two children.
  private var heap: [Event] = []
  private var scheduled: UInt64 = 0

  var now: Instant { Instant(sinceStart: .microseconds(microseconds)) }

  func schedule(after delay: Duration, _ action: @escaping () -> Void) {
    schedule(at: now + delay, action)
  }

  /// Schedules an action. An instant in the past means now.
  func schedule(at instant: Instant, _ action: @escaping () -> Void) {
    scheduled += 1
    let at = max(microseconds, instant.sinceStart.microsecondsRoundedUp)
    heap.append(Event(at: at, order: scheduled, action: action))
    var child = heap.count - 1
    while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Runs all events up to the instant.
  func run(until end: Instant) {
    let end = end.sinceStart.microsecondsRoundedUp
    while let next = heap.first, next.at <= end {
      removeFirst()
      microseconds = next.at
      next.action()
    }
    microseconds = max(microseconds, end)
  }

  private func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].precedes(heap[least]) {
        least = child
      }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}

extension Duration {
  /// Microseconds, rounded up, because a timer that fires early finds nothing to do.
  var microsecondsRoundedUp: Int64 {
    let (seconds, attoseconds) = components
    return seconds * 1_000_000 + (attoseconds + 999_999_999_999) / 1_000_000_000_000
  }
}
