public import ClusterModel

/// State of one host as this process knows it.
///
/// The state combines the process's own measurements with those that the registry has merged. The
/// value holds no references, so a thousand standings are one flat array.
public struct HostStanding: Hashable, Sendable {
  /// Requests in flight, of all processes.
  public var inFlight: Int
  /// Maximum requests that the host answers at the same time. `nil` means that the host does not
  /// report it.
  public var slots: Int?
  /// First-token times, in which recent ones weigh most. `nil` means that the host is unmeasured.
  public var firstTokenP50: Duration?
  public var firstTokenP95: Duration?
  /// Number of this process's own first-token times, decayed with time. Times of other processes do
  /// not count, because the lengths of their prompts are unknown.
  public var ownFirstTokens: Double
  /// Time at which the first-token times become outdated and the host counts as unmeasured.
  public var measuredUntil: Instant?
  /// Share of ended attempts that failed through the host's fault, 0 … 1. Recent attempts weigh
  /// most.
  public var errorRate: Double
  public var tokensPerSecond: Double?
  /// How much simultaneous answers slow each other down, 0 … 1 (see `HostSharing`). `nil` means
  /// that it was not measured.
  public var slowdown: Double?
  /// 95th percentile of the longest pauses within answers.
  var pauseP95: Duration?
  /// Average prompt tokens of this process's requests to the host. Recent requests weigh most.
  public var usualPromptTokens: Double?
  /// Time of the host's last answered probe or other response. `nil` means unknown.
  public var lastAnswered: Instant?
  public var breaker: CircuitBreaker.State
  /// Time until which the host reported itself too busy.
  public var busyUntil: Instant?
  /// Whether another process's breaker for the host is open.
  public var isSuspect: Bool

  public init(
    inFlight: Int = 0, slots: Int? = nil, firstTokenP50: Duration? = nil,
    firstTokenP95: Duration? = nil, ownFirstTokens: Double = 0, measuredUntil: Instant? = nil,
    errorRate: Double = 0,
    tokensPerSecond: Double? = nil, slowdown: Double? = nil, pauseP95: Duration? = nil,
    usualPromptTokens: Double? = nil, lastAnswered: Instant? = nil,
    breaker: CircuitBreaker.State = .closed, busyUntil: Instant? = nil,
    isSuspect: Bool = false
  ) {
    self.inFlight = inFlight
    self.slots = slots
    self.firstTokenP50 = firstTokenP50
    self.firstTokenP95 = firstTokenP95
    self.ownFirstTokens = ownFirstTokens
    self.measuredUntil = measuredUntil
    self.errorRate = errorRate
    self.tokensPerSecond = tokensPerSecond
    self.slowdown = slowdown
    self.pauseP95 = pauseP95
    self.usualPromptTokens = usualPromptTokens
    self.lastAnswered = lastAnswered
    self.breaker = breaker
    self.busyUntil = busyUntil
    self.isSuspect = isSuspect
  }

  var freeSlots: Int { max(0, (slots ?? HostSharing.assumedSlots) - inFlight) }

  public func isMeasured(at now: Instant) -> Bool {
    firstTokenP95 != nil && (measuredUntil.map { now < $0 } ?? true)
  }
}

/// Limits that decide when a host is late, so that another host is asked at the same time.
public struct HostPatience: Hashable, Sendable {
  public var firstToken: Duration
  public var interToken: Duration
  /// Tokens per second. A host with a lower rate, measured over some seconds, is late.
  public var tokensPerSecondFloor: Double

  init(firstToken: Duration, interToken: Duration, tokensPerSecondFloor: Double) {
    self.firstToken = firstToken
    self.interToken = interToken
    self.tokensPerSecondFloor = tokensPerSecondFloor
  }

  /// Whether any limit of this patience is stricter than the same limit of another patience.
  func isStricter(than other: HostPatience) -> Bool {
    firstToken < other.firstToken || interToken < other.interToken
      || tokensPerSecondFloor > other.tokensPerSecondFloor
  }

  public struct Policy: Hashable, Sendable {
    /// Multiple of the p95. With log-normal times and σ = 0.8, about one request in some thousands
    /// is late by chance. A dead host costs the time of four slow answers.
    var firstTokenFactor = 4.0
    /// Minimum for a host that is not known to be fast. The host may have to load the model or
    /// compile a grammar. In a race or after a hedge, another host is asked before this time.
    var leastFirstToken = Duration.seconds(10)
    /// Minimum for a fast host. Equals the first-token deadline δ of interactive use.
    var leastFastFirstToken = Duration.seconds(1)
    /// A host is fast if its p95 is at most this. A host with a GPU usually is fast. A host without
    /// a GPU may be fast for short prompts, and gets more time for longer ones.
    var fastFirstToken = Duration.seconds(1)
    /// Minimum number of samples of a fast host. Fewer samples have no 95th percentile.
    var fastSamples = 20.0
    var longestFirstToken = Duration.seconds(120)
    /// Patience for an unmeasured host. A laptop without a GPU reads about 100 prompt tokens per
    /// second, so it reads 4,000 prompt tokens within this time.
    var unknownFirstToken = Duration.seconds(60)
    var interTokenFactor = 4.0
    /// Minimum patience. A host that swaps memory or collects garbage pauses for a second or two.
    var leastInterToken = Duration.seconds(5)
    var longestInterToken = Duration.seconds(30)
    /// Patience for an unmeasured host. A laptop that swaps memory takes some seconds per token.
    var unknownInterToken = Duration.seconds(30)
    /// Share of the host's usual rate below which the host is late. A host that shares its
    /// processor with other programs is merely slow. A host at a tenth of its rate will not recover
    /// soon.
    var floorShare = 0.1
    /// Tokens per second for an unmeasured host: a tenth of a person's reading speed.
    var unknownFloor = 0.5
    var leastFloor = 0.2

    public init() {}
  }

  /// - Parameter promptTokens: estimated tokens of this request. `nil` means unknown. A prompt that
  ///   is longer than usual gets more time. A request that must queue for a slot gets more time,
  ///   too.
  public init(
    for standing: HostStanding, promptTokens: Int? = nil, policy: Policy = Policy(), now: Instant
  ) {
    firstToken = policy.unknownFirstToken
    interToken = policy.unknownInterToken
    tokensPerSecondFloor = policy.unknownFloor
    if standing.isMeasured(at: now), let p95 = standing.firstTokenP95 {
      var longer = 1.0
      if let promptTokens, let usual = standing.usualPromptTokens, usual > 0 {
        longer = max(1, Double(promptTokens) / usual)
      }
      let slots = max(1, standing.slots ?? HostSharing.assumedSlots)
      longer *= max(1, Double(standing.inFlight + 1) / Double(slots))
      let least =
        Self.isFast(standing, p95, policy) ? policy.leastFastFirstToken : policy.leastFirstToken
      let wanted = max(p95 * policy.firstTokenFactor, least) * longer
      firstToken = min(wanted, policy.longestFirstToken)
    }
    if let pause = standing.pauseP95 {
      interToken = min(
        max(pause * policy.interTokenFactor, policy.leastInterToken), policy.longestInterToken)
    }
    if let rate = standing.tokensPerSecond {
      tokensPerSecondFloor = max(rate * policy.floorShare, policy.leastFloor)
    }
  }

  /// Whether enough fast first tokens were measured. The usual length of prompts must be known too,
  /// so that a longer prompt can get more time.
  private static func isFast(
    _ standing: HostStanding, _ p95: Duration, _ policy: Policy
  ) -> Bool {
    p95 <= policy.fastFirstToken && standing.ownFirstTokens >= policy.fastSamples
      && standing.usualPromptTokens != nil
  }
}
