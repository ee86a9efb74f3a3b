import Synchronization

/// Lets one event in each interval pass and counts those between, for log lines that an outsider can
/// cause.
public final class RateGate: Sendable {
  private struct State {
    var next: ContinuousClock.Instant?
    var skipped = 0
  }

  private let interval: Duration
  private let state = Mutex(State())

  public init(every interval: Duration = .seconds(1)) { self.interval = interval }

  /// - Returns: how many events were skipped since the last that passed; `nil` means skip this one.
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
