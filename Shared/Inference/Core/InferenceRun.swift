public import ClusterModel
import Text

/// Which of a run's attempts: counted from 0.
public struct AttemptID: Hashable, Sendable, CustomStringConvertible {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public var description: String { "#\(number)" }
}

/// One request on its way to an answer: which hosts are asked, when each is given up, what is passed
/// on. Events in, directives out; it knows no socket, clock or table of its own.
///
/// Up to the first valid token hosts race and nobody notices who fails. From there one host answers;
/// when it breaks off, another goes on with what the client already has (`AnswerStream`).
public struct InferenceRun: Sendable {
  public enum Directive: Hashable, Sendable {
    /// Send the request to this host; at the resume point, if there is one. Its events carry the id.
    case start(AttemptID, Candidate, ResumePoint?)
    /// Cancel it: nothing from it counts any more.
    case cancel(AttemptID)
    /// It said all it had to say; what is left of its response may still come, and does not count.
    case release(AttemptID)
    /// Something was learnt about a host, from an attempt begun at that moment.
    case observe(HostID, HostObservation, started: Instant)
    /// The answer has begun.
    case open(InferenceOpening)
    case deliver(InferenceEvent)
    /// The last directive of a run that went well.
    case complete
    /// The last directive of a run that did not.
    case fail(Failure)
  }

  /// A host that was asked and has not been given up.
  struct Attempt {
    let id: AttemptID
    let candidate: Candidate
    let role: AttemptRole
    let started: Instant
    var patience: HostPatience
    /// The request waits for less than the host's own history would give it.
    var isHurried = false
    /// It was asked although a breaker is open for it, because no other host was left.
    var isPanic = false
    /// Its patience has passed: relief hosts are asked.
    var isLate = false
    /// When its silence is looked at next, up to its first token or while it is late.
    var lookAt: Instant
    /// How it was asked to resume the answer; `nil` means anew.
    var way: ResumeWay?
    /// The answer as the host would resume it while another host still has it: at most one. In an
    /// array, so that an attempt without one stays small.
    var trial: [AnswerStream] = []
    /// 0 until the head is there.
    var status = 0
    /// Chunks before the first valid token: they are the answer's only if it becomes one.
    var held: [InferenceChunk] = []
    /// Chunks that brought something, first and last of them, and the longest pause between two.
    var tokens = 0
    var firstToken: Instant?
    var lastToken: Instant?
    var longestPause = Duration.zero
    /// Tokens that it made, by its own count where it told one. nil: no more is known than `tokens`.
    var made: Int?
    /// When it last sent a comment or a ping.
    var lastSign: Instant?

    var host: HostID { candidate.host.id }

    mutating func count(_ more: Int, now: Instant) {
      guard more > 0 else { return }
      tokens += more
      if let lastToken { longestPause = max(longestPause, lastToken.duration(to: now)) }
      firstToken = firstToken ?? now
      lastToken = now
    }
  }

  /// What the client has.
  struct Answer {
    var stream: AnswerStream
    /// Not for a stream: it becomes one body at the end.
    var body: BodyAssembler?
    /// nil: no host has said any of it yet, and the client has what another process began.
    var firstToken: Duration?
    var lastChunk: Instant
    var pace: Pace
    let choices: Int
    var progress = ChoiceProgress()
    /// nil: the next host begins at the start.
    var resume: ResumePoint?
    /// Where relief hosts resume the answer: at most one. In an array, so
    /// that an answer without one stays small.
    var relief: [Relief] = []

    /// Every choice that the request asks for has ended for good.
    var isFinished: Bool { progress.isComplete(choices) }
    /// Every choice that the host began has ended for good. It may begin another one while its stream
    /// goes on.
    var isWhole: Bool { progress.isEveryBegunFinal }
    /// Every choice that the host began has a reason for its end, which counts if the stream ends too.
    var isEnded: Bool { progress.isEveryBegunEnded }
  }

  enum Phase {
    /// Can transition to: `racing`, `resuming` when it is given a prefix, `over`.
    case new
    /// Hosts were asked and none has said anything that counts. Can transition to: `answering`,
    /// `over`.
    case racing
    /// Tokens of the one attempt are passed on. Can transition to: `resuming`, `over`.
    case answering
    /// The host that answered broke off and one other was asked to go on. Can transition to:
    /// `answering` with its first token, itself with the next host, `over`.
    case resuming
    case over
  }

  let request: InferenceRequest
  let constraints: InferenceConstraints
  let limits: InferenceLimits
  let shape: AnswerShape
  /// Of the longest text that is to be embedded; nil: none is.
  let embeddedTokens: Int?
  /// How the request may be changed for a host that refuses what Tutti adds, and was.
  var forms: RequestForms
  var rng: SplitMix64
  var phase = Phase.new
  var race = Race(mode: .single)
  /// Racing or resuming: as many as run. Answering: the one that answers, and after it those that
  /// were asked to resume because it is late.
  var legs: [Attempt] = []
  var answer: Answer?
  var begun = Instant.zero
  var nextAttempt = 0
  /// The client does not read; `nil` means it does.
  var pausedSince: Instant?
  /// Hosts that were asked in words to go on.
  var askedInWords: Set<HostID> = []
  /// How often hosts were asked to say again some of what the client has, so that the joint is known.
  var repetitions: [HostID: Int] = [:]
  /// Dialects that were looked at, with why they have no words for this request; nil: they have.
  var dialects: [HostDialect: String?] = [:]
  public internal(set) var attempts: [AttemptRecord] = []

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

  /// When `tick` must be called at the latest; nil: never.
  public var nextWake: Instant? {
    let total = begun.advanced(by: constraints.deadlines.total)
    switch phase {
    case .new, .over: return nil
    case .racing, .resuming:
      let first = legs.map(lookDue).min() ?? total
      return min(total, first, race.nextWake ?? total)
    case .answering:
      guard pausedSince == nil, let answer, let leg = legs.first else { return total }
      let silence = leg.isLate ? leg.lookAt : nextChunkDue(answer, leg)
      let wake = min(total, silence, answer.pace.nextCheck)
      return legs.count > 1 ? legs[1...].reduce(wake) { min($0, lookDue($1)) } : wake
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
      let why = [eligibility.explanation(model: request.model)] + refusals
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
    // The first host is known already: its pace decided how long a hedge waits.
    return start(first, .first, view, now: now) + ask(Array(race.begin().dropFirst()), cluster, now)
  }

  /// The response's head came. What its status means is told by the items that follow.
  public mutating func received(status: Int, from id: AttemptID) {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return }
    legs[index].status = status
  }

  /// A comment, a ping or an empty event: the host is there, and says nothing.
  public mutating func receivedSign(from id: AttemptID, now: Instant) {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return }
    legs[index].lastSign = now
  }

  public mutating func received(
    _ item: UpstreamItem, from id: AttemptID, cluster: some ClusterAccess, now: Instant
  ) -> [Directive] {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return [] }  // late
    switch phase {
    case .new, .over: return []
    case .racing, .resuming: return receivedFirst(item, index, cluster, now)
    case .answering:
      guard index == 0 else { return receivedBeside(item, index, cluster, now) }
      return receivedMore(item, cluster, now)
    }
  }

  /// The connection failed, or never came to be.
  public mutating func failed(
    _ failure: AttemptFailure, _ id: AttemptID, cluster: some ClusterAccess, now: Instant
  ) -> [Directive] {
    guard let index = legs.firstIndex(where: { $0.id == id }) else { return [] }
    switch phase {
    case .new, .over: return []
    case .racing, .resuming: return lose(index, failure, cluster, now)
    case .answering:
      guard index == 0 else { return loseBeside(index, failure, cluster, now) }
      // Its last word was said: that the connection goes then costs at most the usage.
      if answer?.isFinished == true { return finish(cluster, now) }
      return interrupt(failure, cluster, now)
    }
  }

  /// Time has passed.
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

  /// Whoever asked has left, or reads too slowly.
  public mutating func abandon(
    _ reason: Failure = Failure(.cancelled, "whoever asked has left"), now: Instant
  ) -> [Directive] {
    if case .over = phase { return [] }
    if case .new = phase {
      phase = .over
      return []
    }
    return giveUpAll(AttemptFailure(.consumerLeft, reason.message), now) + [.fail(reason)]
  }

  /// The whole answer took too long.
  private mutating func runOut(_ cluster: some ClusterAccess, _ now: Instant) -> [Directive] {
    if case .answering = phase, answer?.isFinished == true {
      return finish(cluster, now, cancels: true)
    }
    let failure = AttemptFailure(
      .totalDeadline,
      "the whole answer took longer than \(constraints.deadlines.total.wholeMilliseconds) ms")
    let leg = legs.first
    // A client that did not read is no host's fault.
    let cause = pausedSince == nil ? failure : AttemptFailure(.consumerLeft, failure.message)
    let directives = giveUpAll(cause, now)
    return directives + [.fail(leg.map { broken(at: $0, failure) } ?? failureOfAll())]
  }

  /// Nobody works on it any more.
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
