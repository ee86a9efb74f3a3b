public import ClusterModel
import Text

/// Number of an attempt within its run, from 0.
public struct AttemptID: Hashable, Sendable, CustomStringConvertible {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public var description: String { "#\(number)" }
}

/// State machine of one request: which hosts are asked, when each is given up, what is delivered.
/// It takes events and returns directives; it has no socket, clock or host table of its own.
///
/// Until the first valid token hosts race, and failed attempts are invisible to the client. From
/// then on one host answers. If it fails, another host resumes the text that the client already has
/// (`AnswerStream`).
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

  /// The answer that the client gets.
  struct Answer {
    var stream: AnswerStream
    /// Assembles the body if the client does not stream.
    var body: BodyAssembler?
    /// `nil` means that no host has sent a token yet, and the client has only the given prefix.
    var firstToken: Duration?
    var lastChunk: Instant
    var pace: Pace
    let choices: Int
    var progress = ChoiceProgress()
    /// `nil` means that the next host starts at the beginning.
    var resume: ResumePoint?
    /// State for relief hosts that resume the answer. At most one element; an array keeps answers
    /// without relief small.
    var relief: [Relief] = []

    /// Every choice that the request asks for has ended for good.
    var isFinished: Bool { progress.isComplete(choices) }
    /// Every choice that the host began has ended for good. The host may begin another one while
    /// its stream is open.
    var isWhole: Bool { progress.isEveryBegunFinal }
    /// Every choice that the host began has a finish reason. It counts once the stream ends too.
    var isEnded: Bool { progress.isEveryBegunEnded }
  }

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
  var phase = Phase.new
  var race = Race(mode: .single)
  /// Running attempts. While `answering`: the answering attempt first, then the relief attempts
  /// that were started because it is late.
  var legs: [RunningAttempt] = []
  var answer: Answer?
  var begun = Instant.zero
  var nextAttempt = 0
  /// When the client stopped reading; `nil` means that it reads.
  var pausedSince: Instant?
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
      guard pausedSince == nil, let answer, let leg = legs.first else { return total }
      let silence = leg.isLate ? leg.checkAt : nextChunkDue(answer, leg)
      let wake = min(total, silence, answer.pace.nextCheck)
      return legs.count > 1 ? legs[1...].reduce(wake) { min($0, $1.nextCheck(limits)) } : wake
    }
  }

  // MARK: - Events

  public mutating func begin(_ cluster: some ClusterAccess, now: Instant) -> [Directive] {
    guard case .new = phase else { return [] }
    begun = now
    let view = cluster.view()
    cluster.requestBegan(at: view)
    let eligibility = eligibility(view)
    guard let first = choose(eligibility) ?? chooseShut(view) else {
      phase = .over
      let why = [eligibility.explanation(model: request.model)] + dialects.reasons
      return [
        .fail(
          Failure(
            .noEligibleHost, why.joined(separator: "; "),
            retryAfter: eligibility.untilBreakersAdmit))
      ]
    }
    guard request.prefix.isEmpty else { return goOn(at: first, view, now) }
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
      guard index == 0 else { return receivedBeside(item, index, cluster, now) }
      return receivedMore(item, cluster, now)
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
      guard index == 0 else { return loseBeside(index, failure, cluster, now) }
      // The last token has arrived. Losing the connection now costs at most the usage report.
      if answer?.isFinished == true { return finish(cluster, now) }
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
      var directives = lookAtLate(cluster, now)
      if case .racing = phase { directives += ask(race.tick(now: now), cluster, now) }
      return directives
    case .resuming: return lookAtLate(cluster, now)
    case .answering: return checkPace(cluster, now)
    }
  }

  /// Ends the run because the client has left or reads too slowly.
  public mutating func abandon(
    _ reason: Failure = Failure(.cancelled, "the client has left"), now: Instant
  ) -> [Directive] {
    if case .over = phase { return [] }
    if case .new = phase {
      phase = .over
      return []
    }
    return giveUpAll(AttemptFailure(.consumerLeft, reason.message), now) + [.fail(reason)]
  }

  /// Ends the run at the deadline of the whole answer.
  private mutating func runOut(_ cluster: some ClusterAccess, _ now: Instant) -> [Directive] {
    if case .answering = phase, answer?.isFinished == true {
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
    var directives = answer?.relief.first?.withheld ?? []
    for leg in legs {
      directives += [.cancel(leg.id)] + record(leg, .failed(failure), now)
    }
    legs = []
    answer?.relief = []
    phase = .over
    return directives
  }
}
