/// A point in time on a monotonic clock, counted from the creation of the clock.
///
/// Simulations begin at `.zero`, which `ContinuousClock.Instant` does not allow.
public struct Instant: InstantProtocol, Sendable {
  public typealias Duration = Swift.Duration

  public var sinceStart: Duration

  public static let zero = Instant(sinceStart: .zero)

  public init(sinceStart: Duration) { self.sinceStart = sinceStart }

  public func advanced(by duration: Duration) -> Instant {
    Instant(sinceStart: sinceStart + duration)
  }

  public func duration(to other: Instant) -> Duration { other.sinceStart - sinceStart }

  public static func + (left: Instant, right: Swift.Duration) -> Instant {
    left.advanced(by: right)
  }

  public static func < (left: Instant, right: Instant) -> Bool {
    left.sinceStart < right.sinceStart
  }
}

extension Duration {
  /// Whole milliseconds, rounded toward zero and clamped to a 32-bit field of the wire format.
  public var wireMilliseconds: UInt32 {
    UInt32(clamping: wholeMilliseconds)
  }

  /// Whole milliseconds, rounded toward zero.
  public var wholeMilliseconds: Int64 {
    components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
  }

  /// Seconds as a real number, for metrics and scores.
  public var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) / 1e18
  }
}
