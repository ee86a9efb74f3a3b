public import ClusterModel

/// A monotonic clock. Its `now` is the time since the value was made.
///
/// Cores take an `Instant` and read no clock. Their shells read the time from this clock.
public struct ProcessClock: Sendable {
  private let start = ContinuousClock.now

  public init() {}

  public var now: Instant { Instant(sinceStart: start.duration(to: .now)) }
}
