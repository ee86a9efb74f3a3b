/// Decaying histogram of latencies of one host, for quantiles.
///
/// Unlike quantiles, histograms of several processes can be added. A report is a few numbers, and
/// the memory does not grow with the traffic. Bucket bounds grow by the fourth root of two, so a
/// quantile is off by at most a fifth, on a GPU as on a laptop.
public struct LatencyHistogram: Hashable, Sendable {
  /// Number of buckets. The first ends at 1 ms, the last at 220 s. Longer times count as 220 s.
  public static let buckets = 72
  private static let bucketsPerDoubling = 4
  /// 2 to the power 1/4, 2/4, 3/4.
  private static let steps = [
    1.189_207_115_002_721, 1.414_213_562_373_095_1, 1.681_792_830_507_429,
  ]

  /// Weights of the buckets, empty before the first sample. New samples get a higher weight instead
  /// of scaling down all older ones. The quantiles are the same, and a sample costs one addition.
  private var weights: [Double] = []
  private var total = 0.0
  /// Time at which a sample weighs 1.
  private var landmark = Instant.zero
  private let halfLife: HalfLife

  public init(halfLife: HalfLife = .standard) { self.halfLife = halfLife }

  /// Returns the bucket of a time. A bucket includes its upper bound.
  public static func bucket(of time: Duration) -> Int {
    let milliseconds = time.inSeconds * 1_000
    guard milliseconds > 1 else { return 0 }
    let exponent = Int(milliseconds.exponent)
    let significand = milliseconds.significand
    var index = exponent * bucketsPerDoubling
    if significand > 1 { index += 1 }
    for step in steps where significand > step { index += 1 }
    return min(index, buckets - 1)
  }

  /// Returns the longest time that falls into the bucket.
  public static func upperBound(of bucket: Int) -> Duration {
    .seconds(BinaryLogarithm.power(Double(bucket) / Double(bucketsPerDoubling)) / 1_000)
  }

  public mutating func record(_ time: Duration, now: Instant) {
    add(1, bucket: Self.bucket(of: time), now: now)
  }

  /// Adds `count` samples to one bucket, as reported by another process.
  public mutating func add(_ count: Double, bucket: Int, now: Instant) {
    guard count > 0, (0..<Self.buckets).contains(bucket) else { return }
    if weights.isEmpty {
      weights = Array(repeating: 0, count: Self.buckets)
      landmark = now
    }
    var halfLives = landmark.duration(to: now).inSeconds / halfLife.duration.inSeconds
    if halfLives > 64 {
      let scale = BinaryLogarithm.power(-halfLives)
      for index in weights.indices { weights[index] *= scale }
      total *= scale
      landmark = now
      halfLives = 0
    }
    let weight = count * BinaryLogarithm.power(halfLives)
    weights[bucket] += weight
    total += weight
  }

  /// Returns the decayed number of samples.
  public func weight(at now: Instant) -> Double {
    total * halfLife.rest(after: landmark.duration(to: now))
  }

  /// Returns the time that the given share of the samples did not exceed, or `nil` without samples.
  public func quantile(_ share: Double) -> Duration? {
    guard total > 0 else { return nil }
    let target = total * min(max(share, 0), 1)
    var sum = 0.0
    var last = 0
    for (index, weight) in weights.enumerated() where weight > 0 {
      if sum + weight >= target {
        // Interpolate: assume that samples are evenly spread within the bucket.
        let low = index == 0 ? .zero : Self.upperBound(of: index - 1)
        return low + (Self.upperBound(of: index) - low) * ((target - sum) / weight)
      }
      sum += weight
      last = index
    }
    return Self.upperBound(of: last)
  }
}
