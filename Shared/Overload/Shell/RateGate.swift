import Synchronization

/// Passes one event per interval and counts the rest, for log lines that a client can trigger.
public final class RateGate: Sendable {
  private struct State {
    var next: ContinuousClock.Instant?
    var skipped = 0
  }

  private let interval: Duration
  private let state = Mutex(State())

  public init(every interval: Duration = .seconds(1)) { self.interval = interval }

  /// - Returns: events skipped since the last passed one; `nil` means that this event is skipped.
  public func pass() -> Int? {
    let now = ContinuousClock.now
    return state.withLock { state in
      if let next = state.next, now < next {
        state.skipped += 1
        return nil
      }
      state.next = now.advanced(by: interval)
      defer { state.skipped = 0 }
      return state.skipped
    }
  }
}
