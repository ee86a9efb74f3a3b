/// Model of how concurrent answers on one host slow each other down.
///
/// With `others` concurrent answers, a token takes `1 + slowdown × others` times as long as alone.
/// At 0 there is no slowdown, as on a GPU that reads its weights once for the whole batch. At 1 the
/// answers take turns, as on a CPU that one answer keeps busy.
public enum HostSharing {
  /// Slots assumed for a host that does not report them: llama.cpp's usual number. It is wrong for
  /// vLLM, but vLLM's response times show how busy it is.
  public static let assumedSlots = 4
  /// Slowdown assumed for an unmeasured host when a task must be placed. It means that each of two
  /// concurrent answers has three quarters of the speed of a lone one. With a lower value, two
  /// tasks would go to one host while another is idle.
  public static let usualSlowdown = 1.0 / 3
  /// Slowdown assumed for an unmeasured host when splitting is optional. It is the worst case: two
  /// concurrent parts on the host gain nothing, and the cost of splitting is lost.
  public static let cautiousSlowdown = 1.0
}

/// Tokens that a host wrote, and how many other answers it wrote at the same time.
public struct TokenFlow: Hashable, Sendable {
  /// Tokens after the first one of each answer.
  public var tokens: Int
  /// Time that those tokens took.
  public var time: Duration
  /// Sum over the tokens of the number of other answers that were written at the same time.
  /// `concurrencySquared` is the sum of the squares of these numbers.
  public var concurrency: Double
  public var concurrencySquared: Double
  /// Integral over time of the number of other concurrent answers. Two other answers for one second
  /// add 2 s.
  public var concurrentTime: Duration

  public static let none = TokenFlow(tokens: 0, over: .zero)

  /// - Parameter others: average number of other answers that the host wrote at the same time.
  public init(tokens: Int, over time: Duration, concurrency others: Double = 0) {
    self.init(
      tokens: tokens, time: time, concurrency: Double(tokens) * others,
      concurrencySquared: Double(tokens) * others * others, concurrentTime: time * others)
  }

  public init(
    tokens: Int, time: Duration, concurrency: Double, concurrencySquared: Double,
    concurrentTime: Duration
  ) {
    self.tokens = tokens
    self.time = time
    self.concurrency = concurrency
    self.concurrencySquared = concurrencySquared
    self.concurrentTime = concurrentTime
  }

  public static func += (left: inout TokenFlow, right: TokenFlow) {
    left.tokens += right.tokens
    left.time += right.time
    left.concurrency += right.concurrency
    left.concurrencySquared += right.concurrencySquared
    left.concurrentTime += right.concurrentTime
  }
}

/// Estimates a host's slowdown from tokens written with few and with many concurrent answers.
///
/// It fits a straight line to the time per token by least squares. Each token counts once.
public struct SlowdownMemory: Hashable, Sendable {
  /// One hour, because the slowdown depends on hardware and backend, which seldom change, and not
  /// on the load.
  static let halfLife = HalfLife(.seconds(3_600))
  /// Minimum of tokens × (concurrent answers − mean)²: 200 tokens alone and 200 with one other
  /// answer. With less, a single delayed answer would decide the result.
  static let leastSpread = 100.0

  private var tokens = DecayedSum()
  private var seconds = DecayedSum()
  private var concurrency = DecayedSum()
  private var concurrencySquared = DecayedSum()
  private var concurrentSeconds = DecayedSum()

  public init() {}

  public mutating func add(_ flow: TokenFlow, now: Instant) {
    guard flow.tokens > 0, flow.time > .zero else { return }
    tokens.add(Double(flow.tokens), now: now, Self.halfLife)
    seconds.add(flow.time.inSeconds, now: now, Self.halfLife)
    concurrency.add(max(0, flow.concurrency), now: now, Self.halfLife)
    concurrencySquared.add(max(0, flow.concurrencySquared), now: now, Self.halfLife)
    concurrentSeconds.add(max(0, flow.concurrentTime.inSeconds), now: now, Self.halfLife)
  }

  /// - Returns: 0 … 1 (`HostSharing`). `nil` means too few tokens, or always the same concurrency.
  public func slowdown(at now: Instant) -> Double? {
    let tokens = tokens.value(at: now, Self.halfLife)
    guard tokens > 0 else { return nil }
    let concurrency = concurrency.value(at: now, Self.halfLife)
    let seconds = seconds.value(at: now, Self.halfLife)
    let spread =
      concurrencySquared.value(at: now, Self.halfLife) - concurrency * concurrency / tokens
    guard spread >= Self.leastSpread else { return nil }
    let slope =
      (concurrentSeconds.value(at: now, Self.halfLife) - seconds * concurrency / tokens) / spread
    let alone = (seconds - slope * concurrency) / tokens
    // The line predicts zero or negative time for a token of a lone answer, so report the maximum
    // slowdown.
    guard alone > 0 else { return 1 }
    return min(max(slope / alone, 0), 1)
  }
}
