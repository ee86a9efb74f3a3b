public import ClusterModel

/// How one host does, as far as this process knows: its own experience and what the registry merged
/// from the others'. A value without references, so that a thousand of them are one flat array.
public struct HostStanding: Hashable, Sendable {
  /// Requests under way, of all processes.
  public var inFlight: Int
  /// How many it answers at once; nil: it does not tell.
  public var slots: Int?
  /// First-token times, fading; nil: nobody has measured it.
  public var firstTokenP50: Duration?
  public var firstTokenP95: Duration?
  /// From here on the measured times are too old to count, and it is as if nobody had measured it.
  public var measuredUntil: Instant?
  /// Of the attempts that ended, how many by its fault: 0 … 1, fading.
  public var errorRate: Double
  public var tokensPerSecond: Double?
  /// How answers slow each other down there, 0 … 1 (`HostSharing`); nil: nobody has measured it.
  public var slowdown: Double?
  /// The longest pause within an answer, which 95 of 100 answers do not exceed.
  public var pauseP95: Duration?
  /// Tokens of the prompts that its first-token times belong to.
  public var usualPromptTokens: Double?
  /// Its last answered probe or own word; nil: unknown.
  public var heard: Instant?
  public var breaker: CircuitBreaker.State
  /// It said that it is too busy until then.
  public var busyUntil: Instant?
  /// Another process's breaker is open.
  public var isSuspect: Bool

  public init(
    inFlight: Int = 0, slots: Int? = nil, firstTokenP50: Duration? = nil,
    firstTokenP95: Duration? = nil, measuredUntil: Instant? = nil, errorRate: Double = 0,
    tokensPerSecond: Double? = nil, slowdown: Double? = nil, pauseP95: Duration? = nil,
    usualPromptTokens: Double? = nil, heard: Instant? = nil,
    breaker: CircuitBreaker.State = .closed, busyUntil: Instant? = nil,
    isSuspect: Bool = false
  ) {
    self.inFlight = inFlight
    self.slots = slots
    self.firstTokenP50 = firstTokenP50
    self.firstTokenP95 = firstTokenP95
    self.measuredUntil = measuredUntil
    self.errorRate = errorRate
    self.tokensPerSecond = tokensPerSecond
    self.slowdown = slowdown
    self.pauseP95 = pauseP95
    self.usualPromptTokens = usualPromptTokens
    self.heard = heard
    self.breaker = breaker
    self.busyUntil = busyUntil
    self.isSuspect = isSuspect
  }

  public var freeSlots: Int { max(0, (slots ?? HostSharing.assumedSlots) - inFlight) }

  public func isMeasured(at now: Instant) -> Bool {
    firstTokenP95 != nil && (measuredUntil.map { now < $0 } ?? true)
  }
}

/// How long to wait for one host before another is asked at the same time.
public struct HostPatience: Hashable, Sendable {
  public var firstToken: Duration
  public var interToken: Duration
  /// Fewer tokens a second than this over some seconds is a stall.
  public var tokensPerSecondFloor: Double

  public init(firstToken: Duration, interToken: Duration, tokensPerSecondFloor: Double) {
    self.firstToken = firstToken
    self.interToken = interToken
    self.tokensPerSecondFloor = tokensPerSecondFloor
  }

  /// Whether a host may be given up sooner than the other patience would.
  func isStricter(than other: HostPatience) -> Bool {
    firstToken < other.firstToken || interToken < other.interToken
      || tokensPerSecondFloor > other.tokensPerSecondFloor
  }

  public struct Policy: Hashable, Sendable {
    /// Four times what 95 of 100 requests took: one in some thousands is given up wrongly where
    /// times are log-normal with σ = 0.8, and a dead host costs four slow answers.
    public var firstTokenFactor = 4.0
    /// A fast host may still have to load the model or compile a grammar; a race or a hedge has
    /// long asked another by then.
    public var leastFirstToken = Duration.seconds(10)
    public var longestFirstToken = Duration.seconds(120)
    /// 4,000 prompt tokens on a laptop's processor, at some 100 a second.
    public var unknownFirstToken = Duration.seconds(60)
    public var interTokenFactor = 4.0
    /// A machine that swaps or collects garbage pauses for a second or two, and is not dead.
    public var leastInterToken = Duration.seconds(5)
    public var longestInterToken = Duration.seconds(30)
    /// A laptop that swaps makes a token in some seconds.
    public var unknownInterToken = Duration.seconds(30)
    /// A tenth of what it usually does: a host that shares its processor with a build is slow, one
    /// that crawls is lost.
    public var floorShare = 0.1
    /// Slower than a person reads by a factor of ten.
    public var unknownFloor = 0.5
    public var leastFloor = 0.2

    public init() {}
  }

  /// - Parameter promptTokens: of this request, estimated. A prompt longer than usual takes longer, and
  ///   so does one that waits until the host has a free slot.
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
      let wanted = max(p95 * policy.firstTokenFactor, policy.leastFirstToken) * longer
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
}
