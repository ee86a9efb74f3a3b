import Limits
public import ClusterModel

/// Learns how accurate estimates are. It measures how much longer direct answers and splits take
/// than their hosts' facts predict, and how fast each host is without other load.
///
/// The planner decides from facts about single hosts. These facts ignore races, other load, and
/// hosts that share a processor, but the measured time of a plan includes all of them. A correction
/// is a mean of logarithms, so twice as long and half as long cancel out. It decays, so that an
/// abandoned way (direct or split) is tried again later, when conditions may have changed.
public struct EstimateMemory: Sendable {
  /// Half-life of observations. It is long enough to remember a few questions of one person, and
  /// short enough that a new host takes effect within the hour.
  static let halfLife = HalfLife(.seconds(30 * 60))
  /// Half-life of a host's best rate. If a host becomes slower, the corrections compensate until
  /// its best rate has decayed.
  static let bestHalfLife = HalfLife(.seconds(2 * 3_600))
  /// Prior weight of half an observation. The first observation moves a correction by two thirds of
  /// its difference. A losing way is abandoned after two or three plans, but one bad answer does
  /// not displace a clear winner.
  static let doubt = 0.5
  /// Prior weight of four observations. Answer lengths vary far more between questions than speeds
  /// do, so a few samples of each way are weak evidence.
  static let lengthDoubt = 4.0
  /// Maximum weight of the past. A new observation counts for at least about a tenth, so that old
  /// conditions do not outweigh the present.
  static let mostWeight = 9.0
  /// Maximum step of one observation in powers of two: a doubling or a halving. An outlier moves
  /// the mean no further. If a larger change is real, later observations confirm it.
  static let mostStep = 1.0
  /// Maximum correction or observation in powers of two, which is a factor of four. A larger
  /// correction would only take longer to unlearn.
  static let mostLogarithm = 2.0
  /// Maximum number of hosts in `best` before absent hosts are removed. It is a few times the hosts
  /// of one request.
  static let mostHosts = 4 * PlanValidation.maximumHosts

  /// A decaying mean of base-2 logarithms.
  struct Mean: Hashable, Sendable {
    private var sum = 0.0
    private var weight = 0.0
    private var at = Instant.zero

    /// - Parameters:
    ///   - usual: the prior.
    ///   - doubt: the weight of the prior, as a number of observations.
    func value(at now: Instant, usual: Double = 0, doubt: Double = doubt) -> Double {
      let rest = halfLife.rest(after: at.duration(to: now))
      return (sum * rest + usual * doubt) / (weight * rest + doubt)
    }

    mutating func add(
      _ observed: Double, now: Instant, usual: Double = 0, doubt: Double = doubt
    ) {
      let believed = value(at: now, usual: usual, doubt: doubt)
      let step = min(max(observed - believed, -mostStep), mostStep)
      var rest = halfLife.rest(after: at.duration(to: now))
      if weight * rest > mostWeight { rest = mostWeight / weight }
      sum = sum * rest + believed + step
      weight = weight * rest + 1
      at = max(at, now)
    }
  }

  private struct Speed: Sendable {
    var rateMilli: Double
    var at: Instant
  }

  private var direct = Mean()
  private var split = Mean()
  private var directLength = Mean()
  private var splitLength = Mean()
  /// Lengths of direct answers and splits together.
  private var anyLength = Mean()
  private var best: [HostID: Speed] = [:]

  public init() {}

  public mutating func learn(_ lesson: EstimateOutcome.Lesson, now: Instant) {
    guard lesson.ratio > 0, lesson.ratio.isFinite else { return }
    let observed = Self.bounded(BinaryLogarithm.of(lesson.ratio))
    let length = Self.bounded(BinaryLogarithm.of(lesson.length))
    let usual = anyLength.value(at: now)
    if lesson.isSplit {
      split.add(observed, now: now, usual: direct.value(at: now))
      splitLength.add(length, now: now, usual: usual, doubt: Self.lengthDoubt)
    } else {
      direct.add(observed, now: now)
      directLength.add(length, now: now, usual: usual, doubt: Self.lengthDoubt)
    }
    anyLength.add(length, now: now)
  }

  private static func bounded(_ logarithm: Double) -> Double {
    min(max(logarithm, -mostLogarithm), mostLogarithm)
  }

  /// The correction for the next plan.
  ///
  /// The parts of a split are answers, too, so the correction of direct answers is the prior for
  /// splits. Otherwise, if direct answers are faster than estimated, splits would look slow in
  /// comparison and would never be tried. A slow split does not change the correction of direct
  /// answers, because its hosts may have slowed each other down.
  ///
  /// The length of one answer depends on its question. But the parts of a split differ from their
  /// estimated length more often than direct answers do, because models end short parts sooner or
  /// repeat an introduction in each part. The correction of splits includes this difference.
  public func correction(at now: Instant) -> EstimateCorrection {
    func percent(_ logarithm: Double) -> Int {
      Int(clamping: (100 * BinaryLogarithm.power(logarithm)).rounded())
    }
    let direct = direct.value(at: now)
    let usual = anyLength.value(at: now)
    let longer =
      splitLength.value(at: now, usual: usual, doubt: Self.lengthDoubt)
      - directLength.value(at: now, usual: usual, doubt: Self.lengthDoubt)
    return EstimateCorrection(
      directPercent: percent(direct),
      splitPercent: percent(Self.bounded(split.value(at: now, usual: direct) + longer)))
  }

  /// Replaces the last rate of each host with the host's best recent rate.
  ///
  /// The last rate was often measured while a split kept all hosts busy. With that rate, a direct
  /// answer would look as slow as a part of a split, although the other hosts are idle during a
  /// direct answer. Splitting would then keep confirming itself.
  public mutating func atTheirBest(_ hosts: [HostFacts], now: Instant) -> [HostFacts] {
    if best.count > Self.mostHosts {
      let present = Set(hosts.map(\.id))
      best = best.filter { present.contains($0.key) }
    }
    return hosts.map { host in
      guard host.rateMilli > 0 else { return host }
      var host = host
      let measured = Double(host.rateMilli)
      let known = best[host.id].map {
        $0.rateMilli * Self.bestHalfLife.rest(after: $0.at.duration(to: now))
      }
      if let known, known > measured {
        host.rateMilli = Int(clamping: known.rounded())
      } else {
        best[host.id] = Speed(rateMilli: measured, at: now)
      }
      return host
    }
  }
}
