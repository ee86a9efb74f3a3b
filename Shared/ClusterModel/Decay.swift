/// How fast what was seen is forgotten: after each half-life it counts half as much. A decayed sum
/// is a sliding window without an edge, and needs two numbers where a window needs all its samples.
public struct HalfLife: Hashable, Sendable {
  public let duration: Duration

  public init(_ duration: Duration) { self.duration = duration }

  /// Long enough for a laptop that answers six requests a minute to be known by eight of them,
  /// short enough for a host that was mended to be trusted again within a few minutes.
  public static let standard = HalfLife(.seconds(60))

  /// What is left of 1 after that time.
  public func rest(after time: Duration) -> Double {
    time <= .zero ? 1 : BinaryLogarithm.power(-(time.inSeconds / duration.inSeconds))
  }

  /// How long until `weight` has fallen to `floor`; zero if it has.
  public func time(from weight: Double, to floor: Double) -> Duration {
    guard weight > floor, floor > 0 else { return .zero }
    return duration * (BinaryLogarithm.of(weight / floor))
  }
}

/// A sum whose parts fade.
public struct DecayedSum: Hashable, Sendable {
  private var sum = 0.0
  private var at = Instant.zero

  public init() {}

  public mutating func add(_ value: Double, now: Instant, _ halfLife: HalfLife = .standard) {
    sum = self.value(at: now, halfLife) + value
    at = max(at, now)
  }

  public func value(at now: Instant, _ halfLife: HalfLife = .standard) -> Double {
    sum == 0 ? 0 : sum * halfLife.rest(after: at.duration(to: now))
  }
}

/// Powers and logarithms to the base 2, the same to the last bit on every machine: a core has no C
/// library, and the C libraries' own differ.
public enum BinaryLogarithm {
  private static let naturalLogOfTwo = 0.693_147_180_559_945_3

  /// 2 to that power; 0 where a `Double` would underflow.
  public static func power(_ exponent: Double) -> Double {
    guard exponent > -1_000 else { return 0 }
    let exponent = min(exponent, 1_000)
    let whole = exponent.rounded(.down)
    let rest = (exponent - whole) * naturalLogOfTwo
    // e to the power 0 … 0.69: twelve terms leave less than 1e-11.
    var term = 1.0
    var sum = 1.0
    for n in 1...12 {
      term *= rest / Double(n)
      sum += term
    }
    return Double(sign: .plus, exponent: Int(whole), significand: sum)
  }

  /// - Parameter value: above 0.
  public static func of(_ value: Double) -> Double {
    guard value > 0, value.isFinite else { return value > 0 ? 1_024 : -1_024 }
    let z = (value.significand - 1) / (value.significand + 1)
    let square = z * z
    // ln of 1 … 2 by the inverse hyperbolic tangent: z is at most a third, so seven terms do.
    var term = z
    var sum = 0.0
    for n in stride(from: 1.0, through: 13, by: 2) {
      sum += term / n
      term *= square
    }
    return Double(value.exponent) + 2 * sum / naturalLogOfTwo
  }
}
