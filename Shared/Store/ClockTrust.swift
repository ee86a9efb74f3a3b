internal import Limits

/// Decides whether records may be dropped because of their age.
///
/// If the clock jumps a year ahead, every record looks old. Therefore this type compares wall time
/// with monotonic time. If they drift apart, the clock has jumped and is distrusted until it has
/// been steady for `patience`. The clock is also distrusted after a start.
public struct ClockTrust: Sendable {
  private var last: (wall: UInt64, uptime: Duration)?
  private var steadySince = Duration.zero
  private let patience: Duration

  /// Maximum drift between two readings that counts as a correction by a time server. A larger
  /// drift counts as a jump.
  private static let toleranceMicroseconds: UInt64 = 60 * 1_000_000

  public init() {
    self.init(patience: .milliseconds(Limits.clockTrust.value))
  }

  /// - Parameter patience: how long the clock must be steady before it is trusted.
  public init(patience: Duration) {
    self.patience = patience
  }

  /// Compares a reading of both clocks with the previous reading. Returns whether the wall clock
  /// has been steady for `patience`.
  ///
  /// - Parameters:
  ///   - wallUnixMicroseconds: wall time.
  ///   - uptime: monotonic time at the same moment.
  public mutating func isSteady(wallUnixMicroseconds wall: UInt64, uptime: Duration) -> Bool {
    defer { last = (wall, uptime) }
    guard let last else {
      steadySince = uptime
      return false
    }
    let elapsed = (uptime - last.uptime).components
    let expected = last.wall.addingCapped(
      UInt64(clamping: elapsed.seconds).multipliedCapped(by: 1_000_000))
    let drift = wall > expected ? wall - expected : expected - wall
    if drift > Self.toleranceMicroseconds { steadySince = uptime }
    return uptime - steadySince >= patience
  }
}
