public import ClusterModel
import Limits

/// Token bucket of one stream. It grants a burst, and then a rate that no model exceeds.
///
/// Bytes above this rate are taken from the bucket that all fast streams share (`SharedPace`).
/// Therefore hosts that send at full speed do not delay the other streams.
public struct StreamPace: Sendable {
  private var granted: Int
  private var last: Instant

  public init(at now: Instant) {
    granted = Limits.streamBurst.value
    last = now
  }

  /// Takes received bytes from the bucket.
  /// - Returns: whether the bytes are within the stream's own rate. If not, none are taken.
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

/// Token bucket shared by all streams that exceed their own rate.
public struct SharedPace: Sendable {
  private let perSecond: Int
  private var granted: Int
  private var last: Instant

  public init(perSecond: Int, at now: Instant) {
    self.perSecond = perSecond
    granted = perSecond / 10
    last = now
  }

  /// Takes bytes from the bucket.
  /// - Returns: the wait before the next try. `nil` means that the bytes may be read now.
  public mutating func take(_ bytes: Int, at now: Instant) -> Duration? {
    granted = Self.refill(
      granted, perSecond: perSecond, most: perSecond / 10, over: last.duration(to: now))
    last = max(last, now)
    // The bucket may become negative, because a slice larger than the bucket must pass, too.
    guard granted > 0 else { return .milliseconds(Limits.streamWait.value) }
    granted -= bytes
    return nil
  }

  static func refill(_ granted: Int, perSecond: Int, most: Int, over time: Duration) -> Int {
    // Ten seconds fill any bucket. The limit avoids overflow.
    let seconds = min(max(time.inSeconds, 0), 10)
    return min(most, granted.addingCapped(Int(clamping: Double(perSecond) * seconds)))
  }
}
