public import ClusterModel

/// Configuration of the score that compares eligible hosts.
public struct HostScore: Hashable, Sendable {
  /// Weights of S(h) = 0.40 ρ + 0.30 ℓ95 + 0.20 s + 0.10 e.
  ///
  /// Each of the four terms ranges from 0 to 1. The host with the lowest score is the best.
  public struct Weights: Hashable, Sendable {
    public var load = 0.40
    public var firstToken = 0.30
    public var staleness = 0.20
    public var errors = 0.10
  }

  public var weights = Weights()
  /// Hosts within this distance of the best score count as equally good. A difference of 0.05
  /// arises if one host's first-token time is three times the other's. Random differences between
  /// the p95 of two equal hosts are smaller.
  public var bucketWidth = 0.05
  /// Difference in load that does not exclude a busier host from the best bucket.
  ///
  /// The view lacks requests that other processes began in the last quarter of a second. If all
  /// processes chose the only idle host, it would become the busiest. The load still counts within
  /// the bucket, because the less loaded of two hosts is taken. An idle host and a host with a
  /// request in every slot differ by 0.5.
  var loadTolerance = 0.5
  /// Scale of ℓ95: 0 at 50 ms, a tenth more per doubling, 1 at 51.2 s. The scale is logarithmic, so
  /// that a ratio between times counts the same on a GPU and on a laptop.
  var fastestFirstToken = Duration.milliseconds(50)
  var firstTokenDoublings = 10.0
  /// s is 0 if the host responded within `freshFor`, and rises to 1 at `staleAfter`.
  var freshFor = Duration.seconds(5)
  var staleAfter = Duration.seconds(35)
  /// Maximum requests at a time that explore an unmeasured host.
  ///
  /// With fewer requests in flight, the host counts as the fastest, so that it gets requests and is
  /// measured. Otherwise it counts as average, so that not all requests go there.
  var explorers = 2
  var unmeasuredFirstToken = 0.5
  /// Error rate at and above which an unmeasured host counts as average. The host has failed once
  /// and answered nothing, so an exploring request would probably fail too.
  var exploredErrorRate = 0.3

  public static let standard = HostScore()

  /// ρ = x / (1 + x) for x requests per slot. At 0.5 every slot is taken.
  ///
  /// The value always grows with x, so a queue of ten scores better than a queue of twenty.
  public func load(inFlight: Int, slots: Int?) -> Double {
    let perSlot = Double(max(0, inFlight)) / Double(max(1, slots ?? HostSharing.assumedSlots))
    return perSlot / (1 + perSlot)
  }

  /// ℓ95 of a first-token time.
  public func firstToken(_ time: Duration) -> Double {
    let doublings = BinaryLogarithm.of(
      max(time.inSeconds, 1e-6) / max(fastestFirstToken.inSeconds, 1e-6))
    return min(max(doublings / firstTokenDoublings, 0), 1)
  }

  /// S(h), for display. Decisions compute the same number faster.
  public func score(_ standing: HostStanding, now: Instant) -> Double {
    let pulse = HostPulse(standing, self)
    let seconds = now.sinceStart.inSeconds
    return pulse.load(at: seconds) * weights.load + pulse.quality(at: seconds, self)
  }
}

/// Facts about a host that a decision reads. They fit into one cache line of the processor.
struct HostPulse: Hashable, Sendable {
  /// ρ and the other parts of S(h) that do not change as time passes.
  var load: Double
  var firstToken: Double
  var unmeasured: Double
  var errors: Double
  /// Times in seconds on the process's clock. Negative and positive infinity mean never and always.
  var measuredUntil: Double
  var lastAnswered: Double
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
    // A host whose last response is unknown counts as fresh.
    lastAnswered = standing.lastAnswered.map { $0.sinceStart.inSeconds } ?? .infinity
    switch standing.breaker {
    case .closed: blockedUntil = -.infinity
    case .open(let until): blockedUntil = until.sinceStart.inSeconds
    case .halfOpen: blockedUntil = .infinity
    }
    busyUntil = standing.busyUntil.map { $0.sinceStart.inSeconds } ?? -.infinity
  }

  func load(at now: Double) -> Double { busyUntil > now ? 1 : load }

  /// S(h) without the load term.
  func quality(at now: Double, _ score: HostScore) -> Double {
    let fresh = score.freshFor.inSeconds
    let stale = score.staleAfter.inSeconds
    return quality(at: now, score.weights, fresh: fresh, perSecond: 1 / max(stale - fresh, 1e-3))
  }

  @inline(__always)
  func quality(
    at now: Double, _ weights: HostScore.Weights, fresh: Double, perSecond: Double
  ) -> Double {
    let staleness = min(max((now - lastAnswered - fresh) * perSecond, 0), 1)
    return weights.firstToken * (now < measuredUntil ? firstToken : unmeasured)
      + weights.staleness * staleness + weights.errors * errors
  }
}
