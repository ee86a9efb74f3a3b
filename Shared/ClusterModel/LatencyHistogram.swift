/// Times of some kind at one host, fading with age, of which quantiles are asked.
///
/// A histogram rather than a ring of samples: those of several processes add up, which a quantile
/// does not; a report of it is a few numbers; its memory does not grow with the traffic. Its buckets
/// grow by a fourth root of two, so a quantile is off by a fifth at most, on a GPU as on a laptop.
public struct LatencyHistogram: Hashable, Sendable {
  /// 1 ms … 220 s; what took longer counts as that.
  public static let buckets = 72
  private static let bucketsPerDoubling = 4
  /// 2 to the power 1/4, 2/4, 3/4.
  private static let steps = [
    1.189_207_115_002_721, 1.414_213_562_373_095_1, 1.681_792_830_507_429,
  ]

  /// A newer sample weighs more instead of the older ones being scaled down at each: the quantiles
  /// are the same, and a sample costs one addition. Empty until there is one.
  private var weights: [Double] = []
  private var total = 0.0
  /// When a sample weighs 1.
  private var landmark = Instant.zero
  private let halfLife: HalfLife

  public init(halfLife: HalfLife = .standard) { self.halfLife = halfLife }

  /// The bucket in which a time falls: upper bounds belong to it.
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

  /// Everything in it took at most so long.
  public static func upperBound(of bucket: Int) -> Duration {
    .seconds(BinaryLogarithm.power(Double(bucket) / Double(bucketsPerDoubling)) / 1_000)
  }

  public mutating func record(_ time: Duration, now: Instant) {
    add(1, bucket: Self.bucket(of: time), now: now)
  }

  /// Adds `count` samples of one bucket, as another process reports them.
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

  /// How many samples it is worth now.
  public func weight(at now: Instant) -> Double {
    total * halfLife.rest(after: landmark.duration(to: now))
  }

  /// The time that a share of the samples did not exceed; nil without samples.
  public func quantile(_ share: Double) -> Duration? {
    guard total > 0 else { return nil }
    let wanted = total * min(max(share, 0), 1)
    var sum = 0.0
    var last = 0
    for (index, weight) in weights.enumerated() where weight > 0 {
      if sum + weight >= wanted {
        // Evenly spread within the bucket.
        let low = index == 0 ? .zero : Self.upperBound(of: index - 1)
        return low + (Self.upperBound(of: index) - low) * ((wanted - sum) / weight)
      }
      sum += weight
      last = index
    }
    return Self.upperBound(of: last)
  }
}
