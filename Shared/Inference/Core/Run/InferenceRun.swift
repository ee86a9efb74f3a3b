public import ClusterModel
import Text

/// Number of an attempt within its run, from 0.
public struct AttemptID: Hashable, Sendable, CustomStringConvertible {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public var description: String { "#\(number)" }
}

/// State machine of one request: which hosts are asked, when each is given up, what is delivered.
///
/// Hosts race up to the first valid token, and failed attempts are invisible to the client. After
/// the first token one host answers. If it fails, another host resumes the text that the client
/// already has. A host that is late continues while another one is asked.
///
/// A run takes events and returns directives. It has no socket, clock or host table of its own. A
/// shell drives it:
///
/// 1. Call `begin(_:now:)` once, before every other event except `abandon(_:now:)`.
/// 2. Carry out the returned directives of all calls in their order:
///    - `.start`: send the request. Report its response under the attempt's id: any number of
///      `receivedSign(from:now:)`, `received(status:from:)` once the head has arrived,
///      `received(_:from:cluster:now:)` for each item of the answer, and at most one
///      `failed(_:_:cluster:now:)`, if the connection failed or could not be opened.
///    - `.cancel`, `.release`: the attempt has ended. Its later events may still be passed in; the
///      run ignores them.
///    - `.observe`: update the host's statistics, so that the next decisions include it.
///    - `.open`, `.deliver`: pass on to the client. `.open` comes at most once and before every
///      `.deliver`.
/// 3. Call `tick(cluster:now:)` at `nextWake`, which each other call may change. An earlier tick
///    has no effect.
/// 4. Call `readingPaused(now:)` when the host's stream is no longer read because the client does
///    not read, and `readingResumed(now:)` when it is read again.
/// 5. Call `abandon(_:now:)` if the client leaves or reads too slowly.
/// 6. Stop after `.complete` or `.fail`. One of them is the last directive of every run that has
///    begun. When it is returned, all attempts have ended, `attempts` holds their records, and
///    `nextWake` is `nil`. A run that is abandoned before it begins returns no directive.
///
/// Times may not decrease from call to call. A run is a value without a lock; calls must not
/// overlap. The `cluster` of a call shows the cluster at the time of the call, and charges attempts
/// to the budgets of the process.
public struct InferenceRun: Sendable {
  public enum Directive: Hashable, Sendable {
    /// Send the request to this host, from the resume point if there is one. Its events carry the
    /// id.
    case start(AttemptID, Candidate, ResumePoint?)
    /// Cancel the attempt. Its later events do not count.
    case cancel(AttemptID)
    /// The attempt has completed its answer. The rest of its response may still arrive and does not
    /// count.
    case release(AttemptID)
    /// An observation of a host from an attempt that began at `started`.
    case observe(HostID, HostObservation, started: Instant)
    /// The answer has begun.
    case open(InferenceOpening)
    case deliver(InferenceEvent)
    /// The last directive of a successful run.
    case complete
    /// The last directive of a failed run.
    case fail(Failure)
  }

  /// The phase determines which attempts may deliver. Its data is in other properties of the run,
  /// so that chunks can change it in place.
  enum Phase {
    /// Can transition to: `racing`, `resuming` if the request has a prefix, `over`.
    case new
    /// Hosts were asked and none has sent a valid token. Can transition to: `answering`, `over`.
    case racing
    /// Chunks of the first leg are delivered. Can transition to: `resuming`, `over`.
    case answering
    /// The answering host failed and another was asked to resume. Can transition to: `answering`
    /// with the first token, `resuming` with the next host, `over`.
    case resuming
    /// Finished, failed or abandoned; every later event is ignored. No attempt is running.
    case over
  }

  let request: InferenceRequest
  let constraints: InferenceConstraints
  let limits: InferenceLimits
  let shape: AnswerShape
  /// Tokens of the longest text to embed; `nil` means that the endpoint is not embeddings.
  let embeddedTokens: Int?
  /// Additions by Tutti that may be left out for a host that refuses them, and those that were.
  var forms: RequestForms
  var rng: SplitMix64
  private(set) var phase = Phase.new
  var race = Race(mode: .single)
  /// Running attempts. While `answering`: the answering attempt first, then the relief attempts
  /// that were started because it is late.
  var legs: [RunningAttempt] = []
  var answer: AnswerInProgress
  private(set) var begun = Instant.zero
  private var nextAttempt = 0
  /// When the client stopped reading; `nil` means that it reads.
  private var pausedSince: Instant?
  var resumeHistory = ResumeHistory()
  var dialects = DialectRefusals()
  var ledger = AttemptLedger()

  /// The attempts that have ended, in the order in which they ended.
  public var attempts: [AttemptRecord] { ledger.records }

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

  /// The latest time at which `tick` must be called; `nil` means never.
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
    // The first host is already known: its latency decides how long a hedge waits.
    return start(first, .first, view, now: now) + ask(Array(race.begin().dropFirst()), cluster, now)
  }

  /// Records the status of the response head. The items that follow give its meaning.
  public mutating func received(status: Int, from id: AttemptID) {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return }
    legs[index].recordHead(status: status)
  }

  /// Records a comment, a ping or an empty event: the host is alive but has sent no answer.
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
      // The last token has arrived. Losing the connection now costs at most the usage report.
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

  /// The host's stream is no longer read, because the client does not read. Only the deadline of
  /// the whole answer still applies: the host is not at fault for the silence that follows.
  public mutating func readingPaused(now: Instant) {
    if pausedSince == nil { pausedSince = now }
  }

  /// The host's stream is read again. The pause counts neither as silence nor in the host's pace.
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
    // A client that did not read is not the host's fault.
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

  /// Enters `resuming`, because no host answers and another one is asked for the rest of the
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
