internal import Limits

/// Decides whether records may be dropped for their age.
///
/// A clock that jumps a year ahead makes every record look old. Two clocks are compared: wall time
/// that advances by something else than the monotonic time has jumped, and is not believed until it
/// has been steady for a while. The same holds after a start, when nothing is known.
public struct ClockTrust: Sendable {
  private var last: (wall: UInt64, uptime: Duration)?
  private var steadySince = Duration.zero
  private let patience: Duration

  /// What time servers correct without a jump, within the time between two readings.
  private static let toleranceMicroseconds: UInt64 = 60 * 1_000_000

  public init() {
    self.init(patience: .milliseconds(Limits.clockTrustSeconds.value))
  }

  /// - Parameter patience: how long the clock must be steady before it is believed.
  public init(patience: Duration) {
    self.patience = patience
  }

  /// - Parameters:
  ///   - wallUnixMicroseconds: wall time.
  ///   - uptime: monotonic time of the same moment.
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
