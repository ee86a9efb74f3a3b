/// 95 % interval of a share, by Wilson's method.
///
/// Wilson's interval also holds for few observations and for shares near 0 and 1, where the normal
/// approximation has bounds outside of the range.
public struct ShareInterval: Hashable, Sendable {
  /// Lower bound in thousandths, rounded down.
  public let lowMilli: Int
  /// Upper bound in thousandths, rounded up.
  public let highMilli: Int

  /// - Parameters:
  ///   - part: observations that count, from 0 to `whole`. Values outside count as the next bound.
  ///   - whole: number of observations. It need not be whole, because old ones weigh less. If it is
  ///     not above zero, nothing is known, and the interval is from 0 to 1,000.
  public init(part: Double, of whole: Double) {
    guard whole > 0, whole.isFinite, part.isFinite else {
      lowMilli = 0
      highMilli = 1_000
      return
    }
    let share = min(max(part / whole, 0), 1)
    let z = MeanInterval.deviations
    let square = z * z / whole
    let middle = share + square / 2
    let half = z * ((share * (1 - share) + square / 4) / whole).squareRoot()
    let scale = 1_000 / (1 + square)
    // Rounding errors of the computation must not move a bound of exactly 0 or 1.
    let low = ((middle - half) * scale + 1e-9).rounded(.down)
    let high = ((middle + half) * scale - 1e-9).rounded(.up)
    lowMilli = Int(min(max(low, 0), 1_000))
    highMilli = Int(min(max(high, 0), 1_000))
  }

  public func overlaps(_ other: ShareInterval) -> Bool {
    lowMilli <= other.highMilli && other.lowMilli <= highMilli
  }
}

/// 95 % interval of a mean, by the normal approximation.
public struct MeanInterval: Hashable, Sendable {
  /// Standard deviations from the middle of a normal distribution that hold 95 % of it.
  static let deviations = 1.959_963_984_540_054

  public let mean: Double
  public let low: Double
  public let high: Double

  /// - Parameters:
  ///   - count: number of values. It need not be whole, because old values weigh less.
  ///   - sum: sum of the values.
  ///   - squares: sum of the squares of the values.
  /// - Returns: `nil` if there are fewer than two values, because one says nothing about the
  ///   spread.
  public init?(count: Double, sum: Double, squares: Double) {
    guard count >= 2, count.isFinite, sum.isFinite, squares.isFinite else { return nil }
    mean = sum / count
    let variance = max(0, squares - sum * sum / count) / (count - 1)
    let half = Self.deviations * (variance / count).squareRoot()
    low = mean - half
    high = mean + half
  }
}
