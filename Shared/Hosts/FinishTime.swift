import ClusterModel

/// Measured speed of a host. A member that is `nil` was not measured.
public struct HostSpeed: Hashable, Sendable {
  /// Tokens per second of one answer on a host with little other work.
  public var tokensPerSecond: Double?
  /// Median time to the first token.
  public var firstToken: Duration?
  /// How much longer a token takes per concurrent answer: 0 means no longer, at 1 answers take
  /// turns. See `HostSharing`.
  public var slowdown: Double?

  public init(
    tokensPerSecond: Double? = nil, firstToken: Duration? = nil, slowdown: Double? = nil
  ) {
    self.tokensPerSecond = tokensPerSecond
    self.firstToken = firstToken
    self.slowdown = slowdown
  }
}

/// Assumption about a host that was not measured (docs/decisions/0020).
public enum SpeedBelief: Hashable, Sendable {
  /// The host is like the fastest known one. This is for a task that some host must take. An
  /// unmeasured host then gets the task, which measures the host.
  case optimistic
  /// The host is like the slowest known one. This is for a decision that is optional or final,
  /// because such a decision must not rest on a guess.
  case cautious
}

/// The fastest and the slowest speed of some hosts, for estimates of hosts that were not measured.
public struct SpeedRange: Equatable, Sendable {
  private var lowestRate: Double?
  private var highestRate: Double?
  private var shortestFirstToken: Duration?
  private var longestFirstToken: Duration?

  /// Makes a range in which no host was measured.
  public init() {}

  public init(_ speeds: some Sequence<HostSpeed>) {
    for speed in speeds { include(speed) }
  }

  public mutating func include(_ speed: HostSpeed) {
    if let rate = speed.tokensPerSecond {
      lowestRate = min(lowestRate ?? rate, rate)
      highestRate = max(highestRate ?? rate, rate)
    }
    if let time = speed.firstToken {
      shortestFirstToken = min(shortestFirstToken ?? time, time)
      longestFirstToken = max(longestFirstToken ?? time, time)
    }
  }

  func rate(_ belief: SpeedBelief) -> Double? {
    switch belief {
    case .optimistic: highestRate
    case .cautious: lowestRate
    }
  }

  func firstToken(_ belief: SpeedBelief) -> Duration? {
    switch belief {
    case .optimistic: shortestFirstToken
    case .cautious: longestFirstToken
    }
  }
}

/// Estimates how long a host takes for an answer.
///
/// time in seconds = first token + (tokens + prompt tokens ÷ 10) ÷ rate × (1 + slowdown × other
/// concurrent answers)
public struct FinishTime: Equatable, Sendable {
  /// Assumed tokens per second if no host was measured: the speed of a laptop.
  public static let usualRate = 20.0
  static let usualFirstToken = Duration.milliseconds(400)
  /// Maximum number of other answers that slow an answer down in this estimate. The slowdown is
  /// measured with few other answers, and the measured rate already includes some concurrency.
  public static let mostConcurrent = 7
  /// Factor by which a host reads a prompt faster than it writes an answer.
  static let readingFactor = 10.0
  /// Minimum tokens per second. A lower rate is an error of measurement.
  static let leastRate = 0.001

  public let tokensPerSecond: Double
  /// Seconds to the first token.
  public let firstToken: Double
  public let slowdown: Double

  /// - Parameters:
  ///   - known: speeds of the other hosts.
  ///   - belief: assumption for values that were not measured.
  public init(of speed: HostSpeed, among known: SpeedRange, belief: SpeedBelief) {
    let rate = speed.tokensPerSecond ?? known.rate(belief) ?? Self.usualRate
    tokensPerSecond = rate.isFinite ? max(rate, Self.leastRate) : Self.usualRate
    firstToken =
      max(.zero, speed.firstToken ?? known.firstToken(belief) ?? Self.usualFirstToken).inSeconds
    let unknown =
      belief == .optimistic ? HostSharing.usualSlowdown : HostSharing.cautiousSlowdown
    let slowdown = speed.slowdown ?? unknown
    self.slowdown = slowdown.isFinite ? min(max(slowdown, 0), 1) : unknown
  }

  /// Factor by which each token takes longer next to other answers.
  public func stretch(concurrent others: Int) -> Double {
    1 + slowdown * Double(min(max(others, 0), Self.mostConcurrent))
  }

  /// Seconds to generate the tokens of an answer.
  public func writing(_ tokens: Int, concurrent others: Int = 0) -> Double {
    Double(tokens) / tokensPerSecond * stretch(concurrent: others)
  }

  /// Seconds to read the tokens of a prompt.
  public func reading(_ tokens: Int, concurrent others: Int = 0) -> Double {
    writing(tokens, concurrent: others) / Self.readingFactor
  }

  /// Seconds for a whole answer, from the time at which the request gets a slot.
  public func seconds(_ tokens: Int, reading prompt: Int = 0, concurrent others: Int = 0) -> Double
  {
    firstToken + writing(tokens, concurrent: others) + reading(prompt, concurrent: others)
  }

  /// Factor by which an answer takes longer at a host with requests in flight. Requests beyond the
  /// slots wait in the host's own queue.
  ///
  /// - Parameter slots: `nil` means that the host does not report them.
  public func stretch(inFlight: Int, slots: Int?) -> Double {
    stretch(concurrent: Self.concurrent(inFlight, slots)) * Self.turns(inFlight, slots)
  }

  /// Seconds for a whole answer at a host with requests in flight, the wait in its queue included.
  public func seconds(_ tokens: Int, inFlight: Int, slots: Int?) -> Double {
    seconds(tokens, concurrent: Self.concurrent(inFlight, slots)) * Self.turns(inFlight, slots)
  }

  /// Number of requests in flight that share the host's speed with a further request.
  private static func concurrent(_ inFlight: Int, _ slots: Int?) -> Int {
    min(inFlight, max(1, slots ?? HostSharing.assumedSlots) - 1)
  }

  /// Requests in flight and a further one, divided by the slots. At least 1, and not rounded.
  private static func turns(_ inFlight: Int, _ slots: Int?) -> Double {
    max(1, (Double(inFlight) + 1) / Double(max(1, slots ?? HostSharing.assumedSlots)))
  }
}
