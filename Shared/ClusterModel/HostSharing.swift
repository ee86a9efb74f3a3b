/// How answers that a host writes at the same time slow each other down.
///
/// A token takes `1 + slowdown × others` times as long as in an answer that has the host to itself. At 0
/// they do not notice each other, as on a GPU that reads its weights once for all of them; at 1 they take
/// turns, as on a processor that one answer keeps busy.
public enum HostSharing {
  /// Of a host that does not tell how many requests it answers at once: llama.cpp's usual number. Wrong
  /// for vLLM, which does tell in its own way how busy it is: by its times.
  public static let assumedSlots = 4
  /// Of a host that nobody has measured, for whom a task has to go somewhere: a second answer has three
  /// quarters of the speed of the first. With less, two tasks would go to one host while another is idle.
  public static let usualSlowdown = 1.0 / 3
  /// Of a host that nobody has measured, for whom a question may as well stay whole: nothing is gained
  /// by asking such a host for two parts at once, and what splitting costs is lost.
  public static let cautiousSlowdown = 1.0
}

/// Tokens that came from a host, and beside how many other answers it wrote them.
public struct TokenFlow: Hashable, Sendable {
  /// After the first ones of their answers.
  public var tokens: Int
  /// How long those took.
  public var time: Duration
  /// Sums over the tokens: how many other answers the host was at, and the square of that.
  public var beside: Double
  public var besideSquared: Double
  /// Sum over the time: how many other answers the host was at. Two answers' for a second: 2 s.
  public var timeBeside: Duration

  public static let none = TokenFlow(tokens: 0, over: .zero)

  /// - Parameter others: other answers that the host was at meanwhile, on average.
  public init(tokens: Int, over time: Duration, beside others: Double = 0) {
    self.init(
      tokens: tokens, time: time, beside: Double(tokens) * others,
      besideSquared: Double(tokens) * others * others, timeBeside: time * others)
  }

  public init(
    tokens: Int, time: Duration, beside: Double, besideSquared: Double, timeBeside: Duration
  ) {
    self.tokens = tokens
    self.time = time
    self.beside = beside
    self.besideSquared = besideSquared
    self.timeBeside = timeBeside
  }

  public static func += (left: inout TokenFlow, right: TokenFlow) {
    left.tokens += right.tokens
    left.time += right.time
    left.beside += right.beside
    left.besideSquared += right.besideSquared
    left.timeBeside += right.timeBeside
  }
}

/// Learns a host's slowdown from the tokens that it wrote beside few and beside many other answers: the
/// straight line through the time of a token that has the least squared error, each token counting once.
public struct SlowdownMemory: Hashable, Sendable {
  /// It is the hardware's and the backend's, and changes with neither the hour nor the load.
  public static let halfLife = HalfLife(.seconds(3_600))
  /// Tokens × (answers beside, less their mean)²: 200 tokens alone and 200 beside one other answer. With
  /// less, one answer that something else held up would say it all.
  static let leastSpread = 100.0

  private var tokens = DecayedSum()
  private var seconds = DecayedSum()
  private var beside = DecayedSum()
  private var besideSquared = DecayedSum()
  private var secondsBeside = DecayedSum()

  public init() {}

  public mutating func add(_ flow: TokenFlow, now: Instant) {
    guard flow.tokens > 0, flow.time > .zero else { return }
    tokens.add(Double(flow.tokens), now: now, Self.halfLife)
    seconds.add(flow.time.inSeconds, now: now, Self.halfLife)
    beside.add(max(0, flow.beside), now: now, Self.halfLife)
    besideSquared.add(max(0, flow.besideSquared), now: now, Self.halfLife)
    secondsBeside.add(max(0, flow.timeBeside.inSeconds), now: now, Self.halfLife)
  }

  /// - Returns: 0 … 1, see `HostSharing`; nil: too little was seen, or always beside as many others.
  public func slowdown(at now: Instant) -> Double? {
    let tokens = tokens.value(at: now, Self.halfLife)
    guard tokens > 0 else { return nil }
    let beside = beside.value(at: now, Self.halfLife)
    let seconds = seconds.value(at: now, Self.halfLife)
    let spread = besideSquared.value(at: now, Self.halfLife) - beside * beside / tokens
    guard spread >= Self.leastSpread else { return nil }
    let slope =
      (secondsBeside.value(at: now, Self.halfLife) - seconds * beside / tokens) / spread
    let alone = (seconds - slope * beside) / tokens
    // Worse than taking turns: so is a line that says that nothing alone takes any time.
    guard alone > 0 else { return 1 }
    return min(max(slope / alone, 0), 1)
  }
}
