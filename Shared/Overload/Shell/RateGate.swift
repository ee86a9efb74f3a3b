import Synchronization

/// Passes events at a limited rate, and counts the events that it skips. It limits log lines and
/// records that a client or a host can cause.
public final class RateGate: Sendable {
  private struct State {
    /// Time at which the gate would pass a whole burst again. `nil` means that no event has passed
    /// yet.
    var rested: ContinuousClock.Instant?
    var skipped = 0
  }

  private let interval: Duration
  private let burst: Int
  private let state = Mutex(State())

  /// - Parameters:
  ///   - interval: average pause between two events.
  ///   - burst: number of events that pass in a row after a long pause. Values below 1 count as 1.
  public init(every interval: Duration = .seconds(1), burst: Int = 1) {
    self.interval = interval
    self.burst = max(burst, 1)
  }

  /// Decides whether an event passes.
  /// - Returns: the number of events that were skipped since the last passed one. `nil` means that
  ///   this event is skipped.
  public func pass() -> Int? { pass(at: .now) }

  func pass(at now: ContinuousClock.Instant) -> Int? {
    state.withLock { state in
      let rested = max(state.rested ?? now, now)
      guard now.duration(to: rested) <= interval * (burst - 1) else {
        state.skipped += 1
        return nil
      }
      state.rested = rested.advanced(by: interval)
      defer { state.skipped = 0 }
      return state.skipped
    }
  }
}
