public import ClusterModel
import Text

/// Number of an attempt within its run, from 0.
public struct AttemptID: Hashable, Sendable, CustomStringConvertible {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public var description: String { "#\(number)" }
}

/// State machine of one request: asks hosts, gives up hosts, and delivers the answer.
///
/// Hosts race up to the first valid token. Attempts that fail before it are invisible to the
/// client. After the first token one host answers. If this host fails, another host resumes the
/// text that the client already has. If this host is late, it continues, and another host is asked
/// at the same time.
///
/// A run takes events and returns directives. It has no socket, clock or host table of its own. A
/// shell drives it:
///
/// 1. Call `begin(_:now:)` once, before every other event except `abandon(_:now:)`.
/// 2. Carry out the returned directives of all calls in their order:
///    - `.start`: send the request, and report its response under the attempt's id. Call
///      `receivedSign(from:now:)` for each sign that the host is alive, `received(status:from:)`
///      after the response head, and `received(_:from:cluster:now:)` for each item of the answer.
///      If the connection failed or could not be opened, call `failed(_:_:cluster:now:)` once.
///    - `.cancel`, `.release`: the attempt has ended. If later events of the attempt are still
///      passed in, the run ignores them.
///    - `.observe`: update the host's statistics, so that the next decisions include it.
///    - `.open`, `.deliver`: pass the value on to the client. `.open` is returned at most once, and
///      before every `.deliver`.
/// 3. Call `tick(cluster:now:)` at `nextWake`. Every other call may change `nextWake`. An earlier
///    tick has no effect.
/// 4. Call `readingPaused(now:)` when the host's stream is no longer read because the client does
///    not read. Call `readingResumed(now:)` when the stream is read again.
/// 5. Call `abandon(_:now:)` if the client leaves or reads too slowly.
/// 6. Stop after `.complete` or `.fail`. Every run that has begun returns exactly one of these, as
///    its last directive. All attempts have then ended, `attempts` holds their records, and
///    `nextWake` is `nil`. A run that is abandoned before it begins returns no directive.
///
/// Times may not decrease from call to call. A run is a value without a lock, so calls must not
/// overlap. The `cluster` of a call shows the cluster at the time of the call, and charges attempts
/// to the budgets of the process.
public struct InferenceRun: Sendable {
  public enum Directive: Hashable, Sendable {
    /// Send the request to this host. If there is a resume point, the host continues from it.
    /// Events of the attempt carry the id.
    case start(AttemptID, Candidate, ResumePoint?)
    /// Cancel the attempt. Its later events are ignored.
    case cancel(AttemptID)
    /// The attempt has completed its answer. The rest of its response may still arrive and is
    /// ignored.
    case release(AttemptID)
    /// Record an observation of a host. It comes from an attempt that began at `started`.
    case observe(HostID, HostObservation, started: Instant)
    /// The answer has begun.
    case open(InferenceOpening)
    case deliver(InferenceEvent)
    /// The last directive of a successful run.
    case complete
    /// The last directive of a failed run.
    case fail(Failure)
  }

  /// The phase determines which attempts may deliver.
  ///
  /// The data of a phase is in other properties of the run, so that chunks can change it in place.
  enum Phase {
    /// No host was asked yet. Can transition to: `racing`, `resuming` if the request has a prefix,
    /// `over`.
    case new
    /// Hosts were asked, and none has sent a valid token. Can transition to: `answering`, `over`.
    case racing
    /// Chunks of the first leg are delivered. Can transition to: `resuming`, `over`.
    case answering
    /// No host answers, and a host was asked to resume the answer. Can transition to: `answering`
    /// after the first token, `resuming` with the next host, `over`.
    case resuming
    /// The run has finished, failed or was abandoned. No attempt is running, and later events are
    /// ignored.
    case over
  }

  let request: InferenceRequest
  let constraints: InferenceConstraints
  let limits: InferenceLimits
  let shape: AnswerShape
  /// Tokens of the longest text to embed. `nil` means that the request is not for embeddings.
  let embeddedTokens: Int?
  /// Additions by Tutti that a host may refuse, and those that hosts have refused in this run.
  var forms: RequestForms
  var rng: SplitMix64
  private(set) var phase = Phase.new
  var race = Race(mode: .single)
  /// Running attempts. In the phase `answering`, the answering attempt comes first. After it come
  /// relief attempts, which were started because the first attempt is late.
  var legs: [RunningAttempt] = []
  var answer: AnswerInProgress
  private(set) var begun = Instant.zero
  private var nextAttempt = 0
  /// Time at which the client stopped reading. `nil` means that the client reads.
  private var pausedSince: Instant?
  var resumeHistory = ResumeHistory()
  var dialects = DialectRefusals()
  var ledger = AttemptLedger()

  /// The attempts that have ended, in the order in which they ended.
  public var attempts: [AttemptRecord] { ledger.records }
  /// Estimated tokens of the request's prompt.
  public var estimatedPromptTokens: Int { shape.promptTokens }

  public init(
    request: InferenceRequest, constraints: InferenceConstraints,
    limits: InferenceLimits = InferenceLimits()
  ) {
    self.request = request
    self.constraints = constraints
    self.limits = limits
    shape = AnswerShape(body: request.body, endpoint: request.endpoint)
    embeddedTokens =
      request.endpoint == .embeddings ? EmbeddingInput.longestTokens(in: request.body) : nil
    forms = RequestForms(
      undoable: request.undoable(shape), total: constraints.deadlines.total)
    rng = SplitMix64(seed: constraints.seed)
    answer = AnswerInProgress(to: request, shape)
  }

  /// The latest time at which `tick` must be called. `nil` means that no call is needed.
  public var nextWake: Instant? {
    let total = begun.advanced(by: constraints.deadlines.total)
    switch phase {
    case .new, .over: return nil
    case .racing, .resuming:
      let first = legs.map { $0.nextCheck(limits) }.min() ?? total
      return min(total, first, race.nextWake ?? total)
    case .answering:
      guard pausedSince == nil, let leg = legs.first else { return total }
      let silence = leg.isLate ? leg.checkAt : nextChunkDue(leg)
      let wake = min(total, silence, answer.nextPaceCheck)
      return legs.count > 1 ? legs[1...].reduce(wake) { min($0, $1.nextCheck(limits)) } : wake
    }
  }

  // MARK: - Events

  public mutating func begin(_ cluster: some ClusterAccess, now: Instant) -> [Directive] {
    guard phase == .new else { return [] }
    begun = now
    let view = cluster.view()
    cluster.requestBegan(at: view)
    let eligibility = eligibility(view)
    guard let first = choose(eligibility) ?? chooseShut(view) else {
      let why = [eligibility.explanation(model: request.model)] + dialects.reasons
      return fail(
        Failure(
          .noEligibleHost, why.joined(separator: "; "),
          retryAfter: eligibility.untilBreakersAdmit))
    }
    guard request.prefix.isEmpty else { return resumeGivenPrefix(at: first, view, now) }
    phase = .racing
    decideOnBody(eligibility, first)
    race = makeRace(eligibility, first: first, view)
    // The first host is already chosen, because its latency decides how long a hedge waits.
    return start(first, .first, view, now: now) + ask(Array(race.begin().dropFirst()), cluster, now)
  }

  /// Records the status of the response head. The items of the body decide what the status means.
  public mutating func received(status: Int, from id: AttemptID) {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return }
    legs[index].recordHead(status: status)
  }

  /// Records a comment, a ping or another event without content. It shows that the host is alive,
  /// but is no answer.
  public mutating func receivedSign(from id: AttemptID, now: Instant) {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return }
    legs[index].recordSign(now: now)
  }

  public mutating func received(
    _ item: UpstreamItem, from id: AttemptID, cluster: some ClusterAccess, now: Instant
  ) -> [Directive] {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return [] }  // given up
    switch phase {
    case .new, .over: return []
    case .racing, .resuming: return receivedFirst(item, index, cluster, now)
    case .answering:
      guard index == 0 else { return receivedFromRelief(item, index, cluster, now) }
      return receivedNext(item, cluster, now)
    }
  }

  /// Handles a connection that failed or could not be opened.
  public mutating func failed(
    _ failure: AttemptFailure, _ id: AttemptID, cluster: some ClusterAccess, now: Instant
  ) -> [Directive] {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return [] }
    switch phase {
    case .new, .over: return []
    case .racing, .resuming: return lose(index, failure, cluster, now)
    case .answering:
      guard index == 0 else { return loseRelief(index, failure, cluster, now) }
      // The last token has arrived, so the lost connection costs at most the usage report.
      if answer.isFinished { return finish(cluster, now) }
      return interrupt(failure, cluster, now)
    }
  }

  /// Handles timeouts that are due at `now`.
  public mutating func tick(cluster: some ClusterAccess, now: Instant) -> [Directive] {
    guard let wake = nextWake, wake <= now else { return [] }
    if begun.advanced(by: constraints.deadlines.total) <= now { return runOut(cluster, now) }
    switch phase {
    case .new, .over: return []
    case .racing:
      var directives = checkLateAttempts(cluster, now)
      if phase == .racing { directives += ask(race.tick(now: now), cluster, now) }
      return directives
    case .resuming: return checkLateAttempts(cluster, now)
    case .answering: return checkPace(cluster, now)
    }
  }

  /// Records that the host's stream is no longer read, because the client does not read.
  ///
  /// The host is not at fault for the silence that follows, so only the deadline of the whole
  /// answer still applies.
  public mutating func readingPaused(now: Instant) {
    if pausedSince == nil { pausedSince = now }
  }

  /// Records that the host's stream is read again. The pause counts neither as silence nor in the
  /// host's rate of tokens.
  public mutating func readingResumed(now: Instant) {
    guard let since = pausedSince else { return }
    pausedSince = nil
    guard phase == .answering, !legs.isEmpty else { return }
    let pause = since.duration(to: now)
    legs[0].shift(by: pause)
    for index in legs.indices { legs[index].postponeCheck(by: pause) }
    answer.skipPause(now: now)
  }

  /// Ends the run because the client has left or reads too slowly.
  public mutating func abandon(
    _ reason: Failure = Failure(.cancelled, "the client has left"), now: Instant
  ) -> [Directive] {
    if phase == .over { return [] }
    if phase == .new {
      end()
      return []
    }
    return giveUpAll(AttemptFailure(.consumerLeft, reason.message), now) + [.fail(reason)]
  }

  /// Ends the run at the deadline of the whole answer.
  private mutating func runOut(_ cluster: some ClusterAccess, _ now: Instant) -> [Directive] {
    if phase == .answering, answer.isFinished {
      return finish(cluster, now, cancels: true)
    }
    let failure = AttemptFailure(
      .totalDeadline,
      "the whole answer took longer than \(constraints.deadlines.total.wholeMilliseconds) ms")
    let hadLeg = !legs.isEmpty
    // If the client did not read, the host is not at fault.
    let cause = pausedSince == nil ? failure : AttemptFailure(.consumerLeft, failure.message)
    let directives = giveUpAll(cause, now)
    return directives + [.fail(hadLeg ? brokenAnswer(failure) : ledger.failure)]
  }

  /// Cancels and records all attempts, and ends the run.
  mutating func giveUpAll(_ failure: AttemptFailure, _ now: Instant) -> [Directive] {
    var directives = answer.endRelief()
    for leg in legs {
      directives += [.cancel(leg.id)] + record(leg, .failed(failure), now)
    }
    end()
    return directives
  }

  // MARK: - Transitions

  /// Enters `answering`, because the first leg has sent a valid token.
  mutating func beginAnswering() { phase = .answering }

  /// Enters `resuming`, because no host answers and another host is asked for the rest of the
  /// answer.
  mutating func beginResuming() { phase = .resuming }

  /// Enters `over`, because every attempt has ended.
  mutating func end() {
    legs = []
    phase = .over
  }

  mutating func fail(_ failure: Failure) -> [Directive] {
    end()
    return [.fail(failure)]
  }

  mutating func newAttemptID() -> AttemptID {
    defer { nextAttempt += 1 }
    return AttemptID(nextAttempt)
  }
}
