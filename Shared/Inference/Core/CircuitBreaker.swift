public import ClusterModel

/// Keeps requests away from one host that fails them, and lets one through now and then to see.
///
/// Counts failures in a row, and how many of the last answers failed. Knows no socket, host or clock,
/// nor what a failure is: whoever owns it says so.
public struct CircuitBreaker: Hashable, Sendable {
  public struct Policy: Hashable, Sendable {
    /// Failures in a row until it opens: one that is down is left alone after five.
    public var failures = 5
    /// How many of the last twenty must have failed too, or of fewer if there were no more. A host
    /// that fails one request in five by chance has five in a row once in 3,000 requests, and with
    /// this share once in 100,000: it is bad, but not down.
    public var share = 0.6
    /// Failures further apart than this are no row.
    public var memory = Duration.seconds(60)
    /// How long it stays open: doubles from the first to the longest.
    public var firstOpen = Duration.seconds(1)
    public var longestOpen = Duration.seconds(60)
    /// So that the processes of a cluster do not all try again at once.
    public var jitter = 0.2
    /// A host that is too busy says for how long; without a word, this long. What it says is
    /// believed up to the longest.
    public var defaultBusy = Duration.seconds(1)
    public var longestBusy = Duration.seconds(300)

    public init() {}
  }

  public enum State: Hashable, Sendable {
    /// Everyone may pass. Can transition to: `open` (failures in a row).
    case closed
    /// Nobody may pass until then. Can transition to: `halfOpen` (somebody passes after it).
    case open(until: Instant)
    /// One request is under way to see how the host does. Can transition to: `closed` (a token came),
    /// `open` (it failed, or ended without a verdict: then at once over).
    case halfOpen

    /// Whether a request may pass now.
    public func admits(at now: Instant) -> Bool {
      switch self {
      case .closed: true
      case .open(let until): until <= now
      case .halfOpen: false
      }
    }
  }

  public private(set) var state = State.closed
  /// The host said that it is too busy until then.
  public private(set) var busyUntil: Instant?
  /// How often it has opened.
  public private(set) var trips = 0
  private var failuresInRow = 0
  /// The last verdicts, the newest in the lowest bit; 1 is a failure.
  private var verdicts: UInt32 = 0
  private var verdictCount = 0
  /// It has begun an answer after it was left alone, and ended none yet.
  private var isOnProbation = false
  private var lastFailure = Instant.zero
  /// Openings since the last answer that ended well: doubles the time.
  private var openings = 0
  /// What began before this tells of earlier times and does not count.
  private var since: Instant?
  private let policy: Policy

  public init(policy: Policy = Policy()) { self.policy = policy }

  public func admits(at now: Instant) -> Bool { state.admits(at: now) }

  // MARK: - Events

  /// A request was sent, whoever decided it.
  /// - Parameter started: when it was decided, which is a moment before `now`. It is by this time that
  ///   its verdict will be known as that of the request that was let through.
  public mutating func began(started: Instant, now: Instant) {
    guard case .open(let until) = state, until <= now else { return }
    state = .halfOpen
    since = started
  }

  /// The host has begun to answer. In a row of failures that says little: it may stall next.
  ///
  /// It may have been asked although the breaker is open, because no other host was left.
  public mutating func answered(started: Instant) {
    guard counts(started), state != .closed else { return }
    state = .closed
    // One more failure is enough: it has to end an answer before it is believed again.
    isOnProbation = true
  }

  /// An answer has come to its end.
  public mutating func succeeded(started: Instant) {
    guard counts(started) else { return }
    state = .closed
    failuresInRow = 0
    openings = 0
    isOnProbation = false
    busyUntil = nil
    note(failed: false)
  }

  /// The host failed a request.
  /// - Parameter isSuspect: others had enough of it: the first failure opens.
  public mutating func failed(
    started: Instant, isSuspect: Bool = false, now: Instant, using rng: inout SplitMix64
  ) {
    guard counts(started) else { return }
    switch state {
    case .open(let until):
      // It was open before this failure came, unless the request that was let through has ended
      // without a verdict and this is its verdict.
      if until <= now { open(now, &rng) }
    case .halfOpen: open(now, &rng)
    case .closed:
      if lastFailure.duration(to: now) > policy.memory { forget() }
      failuresInRow += 1
      lastFailure = now
      note(failed: true)
      let isDown = failuresInRow >= policy.failures && failedShare >= policy.share
      if isDown || isSuspect || isOnProbation { open(now, &rng) }
    }
  }

  /// The host has too much to do: that is load, not a fault.
  public mutating func overloaded(retryAfter: Duration?, started: Instant, now: Instant) {
    let wait = min(max(retryAfter ?? policy.defaultBusy, .zero), policy.longestBusy)
    busyUntil = max(busyUntil ?? .zero, now + wait)
    // It answers: whatever it was that opened the breaker is over.
    if counts(started), state == .halfOpen { state = .closed }
  }

  /// A request ended and says nothing about the host: whoever asked has left, or another was faster,
  /// or the request was at fault.
  public mutating func ended(started: Instant, now: Instant) {
    guard counts(started), state == .halfOpen else { return }
    state = .open(until: now)
  }

  private static let window = 20

  private mutating func note(failed: Bool) {
    verdicts = (verdicts << 1 | (failed ? 1 : 0)) & (1 << UInt32(Self.window) - 1)
    verdictCount = min(verdictCount + 1, Self.window)
  }

  private var failedShare: Double {
    Double(verdicts.nonzeroBitCount) / Double(max(verdictCount, 1))
  }

  private mutating func forget() {
    failuresInRow = 0
    verdicts = 0
    verdictCount = 0
  }

  private func counts(_ started: Instant) -> Bool { since.map { started >= $0 } ?? true }

  private mutating func open(_ now: Instant, _ rng: inout SplitMix64) {
    let doubled = policy.firstOpen * (1 << min(openings, 20))
    let time = min(doubled, policy.longestOpen)
    let jittered = time * Double.random(in: (1 - policy.jitter)...(1 + policy.jitter), using: &rng)
    state = .open(until: now + jittered)
    since = now
    openings += 1
    trips += 1
    isOnProbation = false
    forget()
    lastFailure = now
  }
}
