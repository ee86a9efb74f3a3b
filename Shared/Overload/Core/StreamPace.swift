public import ClusterModel
import Limits

/// How many bytes of a stream are granted without asking: a burst, then a rate that no model exceeds.
///
/// Streams above it share the rest of the processor (`SharedPace`), so that hosts that send as fast as
/// they can do not hold up the others.
public struct StreamPace: Sendable {
  private var granted: Int
  private var last: Instant

  public init(at now: Instant) {
    granted = Limits.streamBurst.value
    last = now
  }

  /// Takes bytes that came.
  /// - Returns: whether they are within the stream's own rate.
  public mutating func take(_ bytes: Int, at now: Instant) -> Bool {
    granted = SharedPace.refill(
      granted, perSecond: Limits.streamRate.value, most: Limits.streamBurst.value,
      over: last.duration(to: now))
    last = max(last, now)
    guard granted >= bytes else { return false }
    granted -= bytes
    return true
  }
}

/// The rate that all streams above their own rate share.
public struct SharedPace: Sendable {
  private let perSecond: Int
  private var granted: Int
  private var last: Instant

  public init(perSecond: Int, at now: Instant) {
    self.perSecond = perSecond
    granted = perSecond / 10
    last = now
  }

  /// Takes bytes, or says when to ask again.
  /// - Returns: `nil` if they may be read now.
  public mutating func take(_ bytes: Int, at now: Instant) -> Duration? {
    granted = Self.refill(
      granted, perSecond: perSecond, most: perSecond / 10, over: last.duration(to: now))
    last = max(last, now)
    // Debt, not a threshold: a slice larger than the bucket must pass, too.
    guard granted > 0 else { return .milliseconds(Limits.streamWait.value) }
    granted -= bytes
    return nil
  }

  static func refill(_ granted: Int, perSecond: Int, most: Int, over time: Duration) -> Int {
    // Ten seconds fill any bucket; more would only overflow.
    let seconds = min(max(time.inSeconds, 0), 10)
    return min(most, granted.addingCapped(Int(clamping: Double(perSecond) * seconds)))
  }
}
