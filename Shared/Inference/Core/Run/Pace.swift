import ClusterModel

/// Compares the rate of a host's tokens with a minimum, in one window after another.
///
/// A host that sends only a token now and then is as bad as a silent host.
struct Pace: Sendable {
  /// Length of a window: so long that a short burst or pause of a healthy host does not decide.
  static let window = Duration.seconds(10)

  /// Minimum rate in tokens per second.
  let floor: Double
  private var windowStart: Instant
  private var tokens = 0

  init(floor: Double, from now: Instant) {
    self.floor = floor
    windowStart = now
  }

  var nextCheck: Instant { windowStart.advanced(by: Self.window) }

  mutating func count(_ more: Int) { tokens += more }

  /// - Returns: tokens per second of the completed window if the rate is below `floor`. `nil` means
  ///   that the rate is high enough or that the window is not complete.
  mutating func check(now: Instant) -> Double? {
    guard nextCheck <= now else { return nil }
    let rate = Double(tokens) / windowStart.duration(to: now).inSeconds
    windowStart = now
    tokens = 0
    return rate < floor ? rate : nil
  }

  /// Begins a new window.
  mutating func restart(_ now: Instant) { self = Pace(floor: floor, from: now) }
}
