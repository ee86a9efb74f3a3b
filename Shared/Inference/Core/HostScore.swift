public import ClusterModel

/// How the hosts that may answer are compared. All of it is configuration.
public struct HostScore: Hashable, Sendable {
  /// S(h) = 0.40 ρ + 0.30 ℓ95 + 0.20 s + 0.10 e, each from 0 to 1; the lowest is the best.
  public struct Weights: Hashable, Sendable {
    public var load = 0.40
    public var firstToken = 0.30
    public var staleness = 0.20
    public var errors = 0.10

    public init() {}
  }

  public var weights = Weights()
  /// Hosts this far from the best are as good as the best. 0.05 is a first-token time three times as
  /// long: what the p95 of two equal hosts differ by chance stays below it.
  public var bucketWidth = 0.05
  /// A difference in load up to this is no difference between buckets: what others began in the last
  /// quarter of a second is not in the view, and if all of them ran to the one idle host it would be
  /// the busiest. Within the bucket the less busy of two is taken. 0.5: as many requests as slots.
  public var loadTolerance = 0.5
  /// The scale of ℓ95 is logarithmic, so that the same ratio counts the same on a GPU and on a
  /// laptop: 0 at 50 ms, 1 at 51.2 s, a tenth for each doubling.
  public var fastestFirstToken = Duration.milliseconds(50)
  public var firstTokenDoublings = 10.0
  /// s is 0 as long as probes come as they should, and 1 this much later.
  public var freshFor = Duration.seconds(5)
  public var staleAfter = Duration.seconds(35)
  /// A host that nobody has measured counts as the fastest while it has fewer requests under way
  /// than this, so that somebody measures it, and as an average one beyond, so that not everybody
  /// does.
  public var explorers = 2
  public var unmeasuredFirstToken = 0.5
  /// An unmeasured host with a higher error rate counts as an average one: it has answered nothing
  /// and failed once, so measuring it first would fail another request.
  public var exploredErrorRate = 0.3
  /// Not heard for so long it is not asked: longer than a probe's longest back-off.
  public var knownStaleAfter = Duration.seconds(90)

  public init() {}

  public static let standard = HostScore()

  /// ρ: x / (1 + x) for x requests per slot. 0.5 when every slot is taken; it never ends, so a queue
  /// of ten is still better than one of twenty.
  public func load(inFlight: Int, slots: Int?) -> Double {
    let perSlot = Double(max(0, inFlight)) / Double(max(1, slots ?? HostSharing.assumedSlots))
    return perSlot / (1 + perSlot)
  }

  /// ℓ95.
  public func firstToken(_ time: Duration) -> Double {
    let doublings = BinaryLogarithm.of(
      max(time.inSeconds, 1e-6) / max(fastestFirstToken.inSeconds, 1e-6))
    return min(max(doublings / firstTokenDoublings, 0), 1)
  }

  /// S(h), for whoever wants to see it; decisions use the same numbers.
  public func score(_ standing: HostStanding, now: Instant) -> Double {
    let pulse = HostPulse(standing, self)
    let seconds = now.sinceStart.inSeconds
    return pulse.load(at: seconds) * weights.load + pulse.quality(at: seconds, self)
  }
}

/// What a decision reads of a host: one line of the processor's cache.
struct HostPulse: Hashable, Sendable {
  /// ρ and the weighted parts of S(h) that do not change with time alone.
  var load: Double
  var firstToken: Double
  var unmeasured: Double
  var errors: Double
  /// Seconds on the process's clock; infinite: always, or never.
  var measuredUntil: Double
  var heard: Double
  var blockedUntil: Double
  var busyUntil: Double

  init(_ standing: HostStanding, _ score: HostScore) {
    load = score.load(inFlight: standing.inFlight, slots: standing.slots)
    firstToken = standing.firstTokenP95.map(score.firstToken) ?? 0
    let isExplored =
      standing.inFlight < score.explorers && standing.errorRate < score.exploredErrorRate
    unmeasured = isExplored ? 0 : score.unmeasuredFirstToken
    errors = standing.isSuspect ? 1 : min(max(standing.errorRate, 0), 1)
    if standing.firstTokenP95 == nil {
      measuredUntil = -.infinity
    } else {
      measuredUntil = standing.measuredUntil.map { $0.sinceStart.inSeconds } ?? .infinity
    }
    // Nothing was heard of staleness: that is no staleness.
    heard = standing.heard.map { $0.sinceStart.inSeconds } ?? .infinity
    switch standing.breaker {
    case .closed: blockedUntil = -.infinity
    case .open(let until): blockedUntil = until.sinceStart.inSeconds
    case .halfOpen: blockedUntil = .infinity
    }
    busyUntil = standing.busyUntil.map { $0.sinceStart.inSeconds } ?? -.infinity
  }

  func load(at now: Double) -> Double { busyUntil > now ? 1 : load }

  /// S(h) without its load.
  func quality(at now: Double, _ score: HostScore) -> Double {
    let fresh = score.freshFor.inSeconds
    let stale = score.staleAfter.inSeconds
    return quality(at: now, score.weights, fresh: fresh, perSecond: 1 / max(stale - fresh, 1e-3))
  }

  @inline(__always)
  func quality(
    at now: Double, _ weights: HostScore.Weights, fresh: Double, perSecond: Double
  ) -> Double {
    let staleness = min(max((now - heard - fresh) * perSecond, 0), 1)
    return weights.firstToken * (now < measuredUntil ? firstToken : unmeasured)
      + weights.staleness * staleness + weights.errors * errors
  }

  func isStale(at now: Double, _ score: HostScore) -> Bool {
    now - heard > score.knownStaleAfter.inSeconds
  }
}
