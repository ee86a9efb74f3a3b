import ClusterModel
import Foundation

/// Distribution of a host's first-token latency.
///
/// Closed forms describe a race of k such hosts (LLooMA v1.1, section III). All times are in
/// milliseconds.
public enum LatencyModel: Hashable, Sendable {
  /// ln T ~ N(ln median, sigma²). The logarithm is normal, because delays from queueing,
  /// scheduling, contention and prompt length multiply.
  case logNormal(median: Double, sigma: Double)
  /// Heavy tail: P(T > t) = (minimum ÷ t)^alpha.
  case pareto(minimum: Double, alpha: Double)

  func sample(using rng: inout SplitMix64) -> Double {
    switch self {
    case .logNormal(let median, let sigma):
      let radius = (-2 * log(Self.unit(&rng))).squareRoot()
      return median * exp(sigma * radius * cos(2 * .pi * Self.unit(&rng)))
    case .pareto(let minimum, let alpha): return minimum / pow(Self.unit(&rng), 1 / alpha)
    }
  }

  /// A uniform number in (0, 1] with 53 random bits. It is never 0, so its logarithm is finite.
  private static func unit(_ rng: inout SplitMix64) -> Double {
    Double((rng.next() >> 11) + 1) / Double(1 << 53)
  }

  /// P(T₍₁₎ ≤ t): probability that the first of k hosts answers within t (equation 1).
  public func cumulative(_ t: Double, hosts k: Int) -> Double {
    1 - pow(1 - cumulative(t), Double(k))
  }

  /// Share of requests that none of k hosts answers before the deadline (equation 2).
  public func missShare(deadline: Double, hosts k: Int) -> Double {
    pow(1 - cumulative(deadline), Double(k))
  }

  /// p-quantile of the time of the first answer from k hosts (equations 3 and 5).
  public func quantile(_ p: Double, hosts k: Int) -> Double {
    switch self {
    case .logNormal(let median, let sigma):
      median * exp(sigma * Self.normalQuantile(1 - pow(1 - p, 1 / Double(k))))
    case .pareto(let minimum, let alpha): minimum * pow(1 - p, -1 / (alpha * Double(k)))
    }
  }

  /// p-quantile of k hosts, divided by the p-quantile of one host (equation 4).
  public func gain(_ p: Double, hosts k: Int) -> Double {
    quantile(p, hosts: k) / quantile(p, hosts: 1)
  }

  /// Expected time of the first answer from k hosts (equation 6). `nil` means that there is no such
  /// mean (Pareto with alpha · k ≤ 1) or that it has no closed form here (log-normal).
  public func mean(hosts k: Int) -> Double? {
    guard case .pareto(let minimum, let alpha) = self, alpha * Double(k) > 1 else { return nil }
    return alpha * Double(k) * minimum / (alpha * Double(k) - 1)
  }

  private func cumulative(_ t: Double) -> Double {
    switch self {
    case .logNormal(let median, let sigma):
      t <= 0 ? 0 : Self.normalCumulative(log(t / median) / sigma)
    case .pareto(let minimum, let alpha): t <= minimum ? 0 : 1 - pow(minimum / t, alpha)
    }
  }

  static func normalCumulative(_ z: Double) -> Double { erfc(-z / 2.0.squareRoot()) / 2 }

  /// Inverts the cumulative function by bisection.
  ///
  /// The tolerance of 1e-12 is far below what a simulation can measure. Unlike an approximation
  /// formula, bisection has no coefficients that could be mistyped.
  static func normalQuantile(_ p: Double) -> Double {
    var low = -40.0
    var high = 40.0
    while high - low > 1e-12 {
      let middle = (low + high) / 2
      if middle == low || middle == high { break }
      if normalCumulative(middle) < p { low = middle } else { high = middle }
    }
    return (low + high) / 2
  }
}
