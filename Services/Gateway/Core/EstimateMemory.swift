import Limits
public import ClusterModel

/// What this gateway learned of how well estimates hold: how much longer direct answers and splits
/// take than the facts of their hosts promise, and how fast each host is when it is left alone.
///
/// A planner decides on facts of single hosts, and those say nothing of hosts that share a processor,
/// of races, or of what else goes on. All of that shows in the time that plans really take. A
/// correction is a mean of logarithms, so that twice as long and half as long cancel out, and it
/// fades: a way that was given up is tried again after a while, since things may have changed.
public struct EstimateMemory: Sendable {
  /// Long enough to remember a handful of questions of one person, short enough that a cluster that
  /// got another host finds out within the hour.
  public static let halfLife = HalfLife(.seconds(30 * 60))
  /// Of a host's best rate. Until a host that got slower is believed to be, the corrections say so.
  static let bestHalfLife = HalfLife(.seconds(2 * 3_600))
  /// Half as much as one observation: the first moves a correction by two thirds of what it says. That
  /// gives up a way that loses after two or three times, and a clear winner not for one bad answer.
  static let doubt = 0.5
  /// As much as four: how long answers get differs far more from question to question than how fast they
  /// come, and a few of one way against a few of the other say little.
  static let lengthDoubt = 4.0
  /// The next one always counts for a tenth at least, so that many of yesterday's conditions do not
  /// outvote those of now.
  static let mostWeight = 9.0
  /// An observation can say at most "twice" or "half" of what is believed; if it is more, the next ones
  /// will say so too. One that was held up by something else does no more than that.
  static let mostStep = 1.0
  /// Four times or a quarter, as far as a correction goes: what is said beyond it would only take
  /// longer to be taken back.
  static let mostSaid = 2.0
  /// Of hosts that are not heard of any more: a few times those that one request may have.
  static let mostHosts = 4 * PlanValidation.maximumHosts

  /// A fading mean of base-2 logarithms.
  struct Mean: Hashable, Sendable {
    private var sum = 0.0
    private var weight = 0.0
    private var at = Instant.zero

    /// - Parameter usual: what it is as long as nothing was observed, which counts as many
    ///   observations as `doubt` says.
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
  /// Of both.
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
    min(max(logarithm, -mostSaid), mostSaid)
  }

  /// For the next plan.
  ///
  /// A split is made of answers, so what direct answers say of the hosts holds for it too as long as no
  /// split has said otherwise: else a way that is not taken would look the worse the faster the hosts
  /// turn out to be, and never be tried. A split that was slow says nothing of direct answers: it may be
  /// that hosts get into each other's way.
  ///
  /// How long an answer gets belongs to its question. That splits write less or more than direct answers do,
  /// each against what was expected of it, does not: models end short parts sooner than a long answer, or
  /// begin each part anew. Where that is so, it is the split that is shorter or longer for it.
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

  /// The facts with the best rate of late instead of the last one.
  ///
  /// The last one was often measured while a split kept every host busy; a direct answer, for which all
  /// others are idle, would look as slow as a part, and splitting would go on proving itself right.
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
