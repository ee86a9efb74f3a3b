import ClusterModel

/// One attempt that has not ended: the request to its host, the output so far, and its deadlines.
///
/// A learned patience does not end the attempt. A late host continues until another host has taken
/// over, until it counts as dead, or until a deadline of the request ends the attempt.
struct RunningAttempt: Sendable {
  let id: AttemptID
  let candidate: Candidate
  let role: AttemptRole
  let started: Instant
  /// How the host was asked to resume the answer. `nil` means that the host starts at the
  /// beginning.
  let way: ResumeWay?
  /// Whether the host was asked although its breaker admitted no request, or although the host was
  /// closed to the client. Usually no other host was left.
  let isPanic: Bool
  /// Whether a deadline or minimum rate of the request is stricter than the host's history allows.
  private let isHurried: Bool
  /// Time at which the host counts as late even if its patience has not passed. Another host can
  /// then still answer before the deadline of the whole answer. `nil` means that only the patience
  /// decides.
  private let latestFirstToken: Instant?
  /// Time that the host's history allows for the first token.
  private let learnedPatience: Duration
  /// The client's deadlines. Signs that the host is alive do not extend them.
  private let deadlines: Deadlines
  private(set) var patience: HostPatience
  /// Whether the host's patience has passed. Another host is then asked at the same time.
  private(set) var isLate = false
  /// Next time to check the host's silence, before its first token or while it is late.
  private(set) var checkAt: Instant
  /// The answer as this host would resume it, while another host is still answering. At most one
  /// element. An array is used because it keeps attempts without a trial small.
  private var trial: [AnswerStream] = []
  /// HTTP status; 0 until the response head arrives.
  private(set) var status = 0
  /// Chunks that arrived before this attempt won. They belong to the answer only if it wins.
  private(set) var held: [InferenceChunk] = []
  /// Number of tokens in chunks. The next three properties have the times of the first and last
  /// chunk with tokens, and the longest pause between two such chunks.
  private(set) var tokens = 0
  private var firstToken: Instant?
  private var lastToken: Instant?
  private var longestPause = Duration.zero
  /// Completion tokens as the host reported them, otherwise as `AnswerStream` counts them. `nil`
  /// means that only `tokens` is known.
  private var producedTokens: Int?
  /// Time of the last comment, ping or chunk without text.
  private var lastSign: Instant?

  /// - Parameters:
  ///   - patience: limits learned from the host's history.
  ///   - deadlines: the client's deadlines. They replace the learned patience.
  ///   - left: time until the deadline of the whole answer. The host counts as late after half of
  ///     it, so that the other half remains for another host. `nil` means that the deadline does
  ///     not make the host late earlier.
  init(
    _ id: AttemptID, _ candidate: Candidate, _ role: AttemptRole, patience: HostPatience,
    deadlines: Deadlines, left: Duration? = nil, isPanic: Bool = false, way: ResumeWay? = nil,
    now: Instant
  ) {
    self.id = id
    self.candidate = candidate
    self.role = role
    self.way = way
    self.isPanic = isPanic
    self.deadlines = deadlines
    started = now
    var wanted = patience
    if let own = deadlines.firstToken { wanted.firstToken = own }
    if let own = deadlines.interToken { wanted.interToken = own }
    if let own = deadlines.minimumRate { wanted.tokensPerSecondFloor = own }
    isHurried = wanted.isStricter(than: patience)
    let half = deadlines.firstToken == nil ? left.map { max(.zero, $0 / 2) } : nil
    latestFirstToken = half.map { now.advanced(by: $0) }
    learnedPatience = patience.firstToken
    if let half { wanted.firstToken = min(wanted.firstToken, half) }
    self.patience = wanted
    checkAt = now.advanced(by: wanted.firstToken)
  }

  var host: HostID { candidate.host.id }

  /// Whether the operator trusts the host's count of tokens.
  var trustsCount: Bool { candidate.host.trust != .any }

  var hasToken: Bool { firstToken != nil }

  // MARK: - Output of the host

  mutating func recordHead(status: Int) { self.status = status }

  /// Records that the host is alive but has sent no part of the answer.
  mutating func recordSign(now: Instant) { lastSign = now }

  mutating func hold(_ chunk: InferenceChunk) { held.append(chunk) }

  mutating func count(_ more: Int, now: Instant) {
    guard more > 0 else { return }
    tokens += more
    if let lastToken { longestPause = max(longestPause, lastToken.duration(to: now)) }
    firstToken = firstToken ?? now
    lastToken = now
  }

  /// Records a count of completion tokens that is better than the count of chunks.
  mutating func recordProduced(_ tokens: Int?) { producedTokens = tokens }

  /// Makes this attempt the answering one.
  /// - Returns: the held chunks. They begin the host's part of the answer.
  mutating func win() -> [InferenceChunk] {
    defer { held = [] }
    isLate = false
    return held
  }

  // MARK: - Relief of another host

  /// Whether chunks of this host were tried as the rest of another host's answer.
  var isOnTrial: Bool { !trial.isEmpty }

  /// Tries held chunks as the rest of an answer. The first call tries all of them, each later call
  /// only the last one.
  /// - Parameter answer: the answer up to the point from which this host resumes it.
  /// - Returns: whether the client would get text or the end of the answer from this host.
  mutating func resumes(_ answer: AnswerStream) throws(AttemptFailure) -> Bool {
    var chunks = held.suffix(1)
    if trial.isEmpty {
      var stream = answer
      stream.resume(way)
      trial = [stream]
      chunks = held[...]
    }
    var joins = false
    for chunk in chunks {
      let passed = try trial[0].take(chunk)
      joins = joins || passed.contains { $0.facts.isValidToken || $0.facts.finishReason != nil }
    }
    return joins || trial[0].isOver
  }

  mutating func endTrial() { trial = [] }

  // MARK: - Deadlines

  /// Deadline for the first token.
  func firstTokenDue(_ limits: InferenceLimits) -> Instant {
    let due = due(
      after: started, patience.firstToken, limits, isOwn: deadlines.firstToken != nil)
    return latestFirstToken.map { min(due, $0) } ?? due
  }

  /// Deadline for the next chunk of the answering attempt.
  /// - Parameter isFinished: whether all choices have ended, so that only the usage and the end of
  ///   the stream are missing.
  func nextChunkDue(
    after last: Instant, isFinished: Bool, _ limits: InferenceLimits
  ) -> Instant {
    let silence =
      isFinished ? min(limits.endPatience, patience.interToken) : patience.interToken
    return due(
      after: last, silence, limits, isOwn: deadlines.interToken != nil || isFinished)
  }

  /// Deadline for the next token after `last`.
  ///
  /// Hosts may send comments or pings before and between chunks. Each such sign renews the
  /// patience, but not beyond a longer deadline (`signPatience`).
  ///
  /// - Parameter isOwn: whether signs do not renew the patience. `true` if the client set the
  ///   deadline or the answer is complete.
  private func due(
    after last: Instant, _ patience: Duration, _ limits: InferenceLimits, isOwn: Bool
  ) -> Instant {
    guard !isOwn, let sign = lastSign, last < sign else { return last.advanced(by: patience) }
    return min(
      sign.advanced(by: patience), last.advanced(by: patience * limits.signPatience))
  }

  /// Next time to check whether the host is late with its first token, or still late.
  func nextCheck(_ limits: InferenceLimits) -> Instant {
    isLate ? checkAt : max(checkAt, firstTokenDue(limits))
  }

  mutating func markLate(checkAgain: Instant) {
    isLate = true
    checkAt = checkAgain
  }

  /// Records that a late host had only paused. The patience between tokens was too short, so it is
  /// doubled.
  mutating func endLateness() {
    isLate = false
    patience.interToken = patience.interToken * 2
  }

  /// Postpones the next check by a pause in which the client did not read.
  mutating func postponeCheck(by pause: Duration) { checkAt = checkAt.advanced(by: pause) }

  /// Moves the measured times by a pause in which the client did not read. The pause then does not
  /// count.
  mutating func shift(by pause: Duration) {
    firstToken = firstToken?.advanced(by: pause)
    lastToken = lastToken?.advanced(by: pause)
  }

  // MARK: - Outcomes

  /// The failure of an attempt that has no token at its deadline. `nil` means that the deadline has
  /// not passed.
  func missedFirstToken(_ limits: InferenceLimits, now: Instant) -> AttemptFailure? {
    let due = firstTokenDue(limits)
    guard due <= now else { return nil }
    return AttemptFailure(
      .firstTokenDeadline,
      "it sent no token within \(started.duration(to: due).wholeMilliseconds) ms")
  }

  /// The outcome of an attempt that lost to a faster host: a failure if the attempt was late,
  /// otherwise `beaten`.
  func defeat(by winner: HostID, now: Instant) -> AttemptOutcome {
    guard isLate else { return .beaten }
    let silence = started.duration(to: now)
    return .failed(
      AttemptFailure(
        .firstTokenDeadline,
        "it sent no token within \(silence.wholeMilliseconds) ms, and host \(winner) answered"))
  }

  /// - Parameters:
  ///   - ending: why Tutti ended the answer. `nil` means that the host ended it.
  ///   - begun: the start of the request.
  ///   - form: the form as the trace reports it.
  func record(
    _ outcome: AttemptOutcome, ending: AttemptEnding? = nil, form: RequestForm, begun: Instant,
    now: Instant
  ) -> AttemptRecord {
    AttemptRecord(
      host: host, model: candidate.model, role: role, tier: candidate.host.tier,
      started: begun.duration(to: started), ended: begun.duration(to: now),
      tokens: producedTokens ?? tokens, form: form, outcome: outcome, isPanic: isPanic,
      hostModel: candidate.hostModel, ending: ending, price: candidate.price)
  }

  /// Observations of the host from an attempt that ends now with this outcome.
  func observations(_ outcome: AttemptOutcome, now: Instant) -> [HostObservation] {
    var observations: [HostObservation] = []
    if let firstToken, let lastToken, tokens > 1 {
      observations.append(
        .flowed(
          tokens: tokens - 1, over: firstToken.duration(to: lastToken),
          longestPause: longestPause))
    }
    let end: HostObservation =
      switch outcome {
      case .answered: .ended
      case .beaten: .cancelled(answered: hasToken)
      case .failed(let failure) where failure.kind == .consumerLeft:
        .withdrawn(answered: hasToken)
      // One client's strict deadline must not open a host's breaker for all other clients.
      case .failed(let failure) where isHurried && failure.kind.isLateness:
        .withdrawn(answered: hasToken)
      // Another host answered before this host's learned patience had passed.
      case .failed(let failure)
      where failure.kind == .firstTokenDeadline && started.duration(to: now) < learnedPatience:
        .withdrawn(answered: hasToken)
      case .failed(let failure): .failed(failure, answered: hasToken)
      }
    return observations + [end]
  }
}
