public import ClusterModel

/// Stops requests to a failing host, and admits single requests as probes.
///
/// The breaker counts consecutive failures and the failed share of recent answers. It has no
/// socket, host or clock. Its owner decides which results are failures.
public struct CircuitBreaker: Hashable, Sendable {
  public struct Policy: Hashable, Sendable {
    /// Consecutive failures that open the breaker, if the share of failures is at least `share`.
    var failures = 5
    /// Share of failures among the last 20 verdicts, or among all verdicts if there are fewer.
    /// Below this share, consecutive failures do not open the breaker.
    ///
    /// Consider a host that fails one request in five at random. It has five failures in a row once
    /// in 3,000 requests, and reaches this share at the same time only once in 100,000. Such a host
    /// is bad, but not down.
    public var share = 0.6
    /// Maximum time between two consecutive failures. A failure after a longer time starts a new
    /// count.
    var memory = Duration.seconds(60)
    /// Time for which the breaker stays open. Each opening in a row doubles it, up to
    /// `longestOpen`.
    public var firstOpen = Duration.seconds(1)
    var longestOpen = Duration.seconds(60)
    /// Random share by which the open time varies. The processes of a cluster then do not retry at
    /// the same moment.
    public var jitter = 0.2
    /// Wait after a host reported that it is busy, without `Retry-After`. A wait that the host sets
    /// itself is at most `longestBusy`.
    var defaultBusy = Duration.seconds(1)
    var longestBusy = Duration.seconds(300)

    public init() {}
  }

  public enum State: Hashable, Sendable {
    /// Admits every request. Next: `open` (too many failures; one is enough if another process's
    /// breaker is open, or if `isOnProbation`).
    case closed
    /// Admits no request before `until`. Next: `halfOpen` (a request is sent after `until`),
    /// `closed` (a request that was sent anyway is answered), `open` again (a request fails after
    /// `until`).
    case open(until: Instant)
    /// One request probes the host. Next: `closed` (a token arrived, or the host is busy), `open`
    /// (the request failed). If the request ends without a verdict, the breaker opens for zero
    /// time.
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
  /// Time until which the host reported itself too busy.
  public private(set) var busyUntil: Instant?
  /// How often the breaker has opened.
  public private(set) var trips = 0
  private var failuresInRow = 0
  /// Recent verdicts, one bit each, the newest in the lowest bit. 1 means a failure.
  private var verdicts: UInt32 = 0
  private var verdictCount = 0
  /// Whether the host has begun an answer since the breaker opened, but has not completed one.
  private var isOnProbation = false
  private var lastFailure = Instant.zero
  /// Number of openings since the last complete answer. Each opening doubles the open time.
  private var openings = 0
  /// When the breaker last opened or became half-open. Verdicts of attempts that started earlier
  /// are ignored.
  private var since: Instant?
  private let policy: Policy

  public init(policy: Policy = Policy()) { self.policy = policy }

  public func admits(at now: Instant) -> Bool { state.admits(at: now) }

  // MARK: - Events

  /// Records that a request was sent, even if the breaker did not admit it.
  ///
  /// - Parameter started: time of the decision to send, just before `now`. The probe's verdict
  ///   carries the same time, so the breaker recognises it.
  public mutating func began(started: Instant, now: Instant) {
    guard case .open(let until) = state, until <= now else { return }
    state = .halfOpen
    since = started
  }

  /// Records that the host has begun to answer. The failure count stays, because the host may still
  /// stall.
  ///
  /// The breaker may be open here, because requests are sent anyway if no other host is left.
  public mutating func answered(started: Instant) {
    guard counts(started), state != .closed else { return }
    state = .closed
    // Until an answer is complete, a single failure opens the breaker again.
    isOnProbation = true
  }

  /// Records that the host has completed an answer.
  public mutating func succeeded(started: Instant) {
    guard counts(started) else { return }
    state = .closed
    failuresInRow = 0
    openings = 0
    isOnProbation = false
    busyUntil = nil
    note(failed: false)
  }

  /// Records that the host failed a request.
  ///
  /// - Parameter isSuspect: whether another process's breaker for the host is open. If so, one
  ///   failure also opens this breaker.
  public mutating func failed(
    started: Instant, isSuspect: Bool = false, now: Instant, using rng: inout SplitMix64
  ) {
    guard counts(started) else { return }
    switch state {
    case .open(let until):
      // A failure while the breaker is open does not prolong the open time. If the open time is
      // over, this failure is a verdict on the host. This happens, for example, after the probe
      // ended without a verdict.
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

  /// Records that the host reported overload, which is not a fault.
  public mutating func overloaded(retryAfter: Duration?, started: Instant, now: Instant) {
    let wait = min(max(retryAfter ?? policy.defaultBusy, .zero), policy.longestBusy)
    busyUntil = max(busyUntil ?? .zero, now + wait)
    // The host responds, so the probe has succeeded.
    if counts(started), state == .halfOpen { state = .closed }
  }

  /// Records that a request ended without a verdict on the host: the client left, another host was
  /// faster, or the request was at fault.
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
