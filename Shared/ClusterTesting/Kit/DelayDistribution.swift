import ClusterModel
import Foundation

/// Distribution of a delay, in milliseconds.
public enum DelayDistribution: Hashable, Sendable {
  case constant(Double)
  /// `exp(ln(median) + sigma · z)` with a standard normal z.
  case logNormal(median: Double, sigma: Double)
  /// Pareto distribution. Delays are never below `minimum`, and a smaller alpha gives more long
  /// delays.
  case pareto(minimum: Double, alpha: Double)

  public static let none = DelayDistribution.constant(0)

  /// Parses `20`, `lognormal:MEDIAN:SIGMA` or `pareto:MINIMUM:ALPHA`.
  public init?(_ text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Double($0) }.filter { $0 >= 0 && $0.isFinite }
    switch (parts.first?.lowercased(), parts.count, numbers.count) {
    case (_, 1, 1): self = .constant(numbers[0])
    case ("lognormal", 3, 2) where numbers[0] > 0:
      self = .logNormal(median: numbers[0], sigma: numbers[1])
    case ("pareto", 3, 2) where numbers[0] > 0 && numbers[1] > 0:
      self = .pareto(minimum: numbers[0], alpha: numbers[1])
    default: return nil
    }
  }

  /// Returns one random delay, in milliseconds.
  func sample(using rng: inout SplitMix64) -> Double {
    switch self {
    case .constant(let milliseconds): return milliseconds
    case .logNormal(let median, let sigma):
      let radius = (-2 * log(rng.nextUnit())).squareRoot()
      return median * exp(sigma * radius * cos(2 * .pi * rng.nextUnit()))
    case .pareto(let minimum, let alpha): return minimum / pow(rng.nextUnit(), 1 / alpha)
    }
  }
}
