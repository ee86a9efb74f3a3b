public import ClusterModel

/// The monotonic clock, read as the time since the value was made.
///
/// Cores take an `Instant` and read no clock; their shells read it here.
public struct ProcessClock: Sendable {
  private let start = ContinuousClock.now

  public init() {}

  public var now: Instant { Instant(sinceStart: start.duration(to: .now)) }
}
