/// Rate at which samples lose weight: the weight halves after each half-life.
///
/// A decayed sum is a sliding window without an edge. It stores two numbers; a window stores all
/// its samples.
public struct HalfLife: Hashable, Sendable {
  public let duration: Duration

  public init(_ duration: Duration) { self.duration = duration }

  /// 60 s. A laptop that answers six requests a minute keeps a weight of eight to nine samples, and
  /// a repaired host is trusted again within a few minutes.
  public static let standard = HalfLife(.seconds(60))

  /// Returns the weight that remains of 1 after `time`.
  public func rest(after time: Duration) -> Double {
    time <= .zero ? 1 : BinaryLogarithm.power(-(time.inSeconds / duration.inSeconds))
  }

  /// Returns the time until `weight` decays to `floor`, or zero if it is already there or `floor`
  /// is not above zero.
  public func time(from weight: Double, to floor: Double) -> Duration {
    guard weight > floor, floor > 0 else { return .zero }
    return duration * (BinaryLogarithm.of(weight / floor))
  }
}

/// Exponentially decayed sum.
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

/// Base-2 powers and logarithms with bit-identical results on every machine.
///
/// Core modules do not link a C library, and C libraries differ in the last bits.
public enum BinaryLogarithm {
  private static let naturalLogOfTwo = 0.693_147_180_559_945_3

  /// Returns 2 to the power `exponent`. The result is 0 for exponents of −1,000 or less, and
  /// exponents above 1,000 count as 1,000.
  public static func power(_ exponent: Double) -> Double {
    guard exponent > -1_000 else { return 0 }
    let exponent = min(exponent, 1_000)
    let whole = exponent.rounded(.down)
    let rest = (exponent - whole) * naturalLogOfTwo
    // `rest` is 0 … 0.69: twelve terms of the series leave an error below 1e-11.
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
    // ln of 1 … 2 by the inverse hyperbolic tangent: `z` is at most 1/3, so seven terms suffice.
    var term = z
    var sum = 0.0
    for n in stride(from: 1.0, through: 13, by: 2) {
      sum += term / n
      term *= square
    }
    return Double(value.exponent) + 2 * sum / naturalLogOfTwo
  }
}
