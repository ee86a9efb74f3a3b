import ClusterModel

/// The answer of a run: its text, its progress, and the point from which a host can resume it.
///
/// The value exists before the first token, so that chunks change it in place. If it were an
/// optional or a payload of the run's phase, each chunk would have to take it out and put it back.
/// Only the attempt whose chunks are in the answer changes the value. Attempts that are still racing
/// keep their own state in `RunningAttempt`.
struct AnswerInProgress: Sendable {
  typealias Directive = InferenceRun.Directive

  /// The state from which relief hosts resume the answer while a late host still works.
  private struct Relief: Sendable {
    /// The answer, cut at the last safe boundary.
    let stream: AnswerStream
    let body: BodyAssembler?
    /// Chunks up to the safe boundary. The client gets them if a relief host takes over.
    let release: [InferenceChunk]
    /// Point from which a relief host resumes. `nil` means that it starts at the beginning.
    let resume: ResumePoint?
    let cause: AttemptFailure.Kind
    /// Output that the late host has sent since a relief host was asked. The client gets it unless
    /// a relief host takes over.
    var withheld: [Directive] = []
  }

  private let shape: AnswerShape
  private let endpoint: InferenceEndpoint
  /// Whether the client has the beginning of the answer from another process.
  private let hasGivenPrefix: Bool
  /// Whether a host has sent a valid token, or the client has a prefix.
  private(set) var hasBegun = false
  private var stream: AnswerStream
  /// Assembles the body for a client that does not stream. `nil` means that the client streams.
  private var body: BodyAssembler?
  /// Time from the request to the first token. `nil` means that no host has sent a token yet.
  private(set) var firstToken: Duration?
  private(set) var lastChunk = Instant.zero
  private var pace = Pace(floor: 0, from: .zero)
  private var progress = ChoiceProgress()
  /// Watches the text of the current host. `nil` means that this host is not watched.
  private var repetition: RepetitionMeter?
  /// Whether the answer ended because its host repeated itself without end.
  private(set) var isEndedByRepetition = false
  /// Point from which the next host resumes. `nil` means that it starts at the beginning.
  private(set) var resumePoint: ResumePoint?
  /// At most one element. An array is used because it keeps answers without relief small.
  private var relief: [Relief] = []

  init(to request: InferenceRequest, _ shape: AnswerShape) {
    self.shape = shape
    endpoint = request.endpoint
    hasGivenPrefix = !request.prefix.isEmpty
    stream = AnswerStream(shape: shape)
    if !request.stream { body = Self.newBody(endpoint, shape) }
  }

  private static func newBody(
    _ endpoint: InferenceEndpoint, _ shape: AnswerShape
  ) -> BodyAssembler {
    BodyAssembler(endpoint: endpoint, choices: shape.choices)
  }

  /// Whether every choice that the request asks for has a final end (see `ChoiceProgress`).
  var isFinished: Bool { progress.isComplete(shape.choices) }
  /// Whether every choice that the host began has a final end. The host may still begin another
  /// choice while its stream is open.
  var isWhole: Bool { progress.isEveryBegunFinal }
  /// Whether every choice that the host began has a finish reason. These reasons count only after
  /// the stream has also ended.
  var isEnded: Bool { progress.isEveryBegunEnded }
  /// Whether the answer ended at a stop sequence that spans a joint, at `max_tokens`, or because its
  /// host repeated itself.
  var isOver: Bool { stream.isOver }

  /// Whether the format of the content hides repetitions (`AnswerFormat.hidesRepetitions`).
  var hidesRepetitions: Bool { stream.hidesRepetitions }
  var usage: Usage { stream.usage }
  var finishReason: String? { stream.finishReason }
  /// Completion tokens of the current host.
  var hostTokens: Int { stream.hostTokens }
  var nextPaceCheck: Instant { pace.nextCheck }

  // MARK: - Beginning

  /// Begins with the text that another process delivered.
  mutating func begin(after prefix: [UInt8]) {
    hasBegun = true
    stream = AnswerStream(shape: shape, after: prefix)
  }

  /// Begins or resumes the answer with the chunks of an attempt.
  /// - Parameter watchesRepetition: whether the answer ends if the host repeats itself without end.
  mutating func follow(
    _ attempt: RunningAttempt, watchesRepetition: Bool = false, now: Instant
  ) {
    hasBegun = true
    repetition = watchesRepetition ? RepetitionMeter() : nil
    if attempt.role == .resumption { stream.resume(attempt.way) }
    stream.trustsCount = attempt.trustsCount
    lastChunk = now
    pace = Pace(floor: attempt.patience.tokensPerSecondFloor, from: now)
  }

  mutating func recordFirstToken(after latency: Duration) { firstToken = latency }

  // MARK: - Chunks

  mutating func recordChunk(tokens: Int, now: Instant) {
    lastChunk = now
    pace.count(tokens)
  }

  /// Records which choices a chunk continues and ends.
  /// - Throws: `garbage` if a chunk has a choice that the request does not ask for.
  mutating func recordSteps(_ steps: ChoiceSteps) throws(AttemptFailure) {
    guard !steps.hasInvalidIndex, steps.highest < shape.choices else {
      throw AttemptFailure(
        .garbage,
        "it sent a choice with an index outside the \(shape.choices) that were requested")
    }
    progress.take(steps)
  }

  /// Takes a chunk of the current host.
  /// - Returns: deliveries to the client. While a relief host may take over, they are withheld, and
  ///   the result is empty.
  mutating func take(_ chunk: InferenceChunk) throws(AttemptFailure) -> [Directive] {
    var passed = try pass(try stream.take(chunk))
    passed += try endRepetition(after: chunk)
    guard !relief.isEmpty else { return passed }
    relief[0].withheld += passed
    return []
  }

  /// Ends the answer with the finish reason `length` if its host repeats itself without end.
  ///
  /// The client keeps the repeated text, because it has most of it already.
  private mutating func endRepetition(
    after chunk: InferenceChunk
  ) throws(AttemptFailure) -> [Directive] {
    guard let repeats = repetition?.take(chunk.facts.text.utf8) else { return [] }
    stream.steps += repetition?.takeWork() ?? 0
    guard repeats else { return [] }
    repetition = nil
    var ended = stream
    guard !stream.isOver, stream.finishReason == nil, let last = ended.endCut() else { return [] }
    stream = ended
    isEndedByRepetition = true
    return try pass(last)
  }

  /// Delivers chunks to the client, or adds them to the body of an answer that is not streamed.
  private mutating func pass(_ chunks: [InferenceChunk]) throws(AttemptFailure) -> [Directive] {
    guard body != nil else {
      return chunks.filter { !$0.facts.isUnasked }.map { .deliver(.chunk($0)) }
    }
    for chunk in chunks { try body?.take(chunk) }
    return []
  }

  /// - Returns: tokens per second of the last window if the host is too slow. `nil` means that it
  ///   is fast enough, or that the window is not complete.
  mutating func checkPace(now: Instant) -> Double? { pace.check(now: now) }

  /// Ignores the time in which the client did not read.
  mutating func skipPause(now: Instant) {
    lastChunk = now
    pace.restart(now)
  }

  // MARK: - End

  /// Delivers the held chunks, and the body for a client that does not stream.
  mutating func finish() throws(AttemptFailure) -> [Directive] {
    var directives = try pass(try stream.finish())
    if let body { directives.append(.deliver(.body(try body.body()))) }
    return directives
  }

  /// Ends the answer if it already has `max_tokens` tokens when its host fails. No other host is
  /// needed then.
  /// - Returns: the remaining deliveries. `nil` means that the answer cannot end here, for example
  ///   because tokens are left.
  mutating func endAtLimit() -> [Directive]? {
    var ended = stream
    guard let last = ended.endAtLimit() else { return nil }
    stream = ended
    return try? pass(last) + finish()
  }

  /// The answer including its text after the last safe boundary, for `releaseAll(of:)`.
  ///
  /// `nil` means that the client does not stream, or that the host resumed the answer of another
  /// host. In the second case the text may be wrong, because the joint may not be verified yet.
  var unsafeText: AnswerStream? { body == nil && stream.hop == nil ? stream : nil }

  /// Delivers the held text of an answer that no other host resumes. The client then has all text
  /// that the host sent.
  ///
  /// - Parameter unsafeText: the answer before its unsafe text was dropped. `nil` means that this
  ///   text must not be delivered.
  /// - Returns: `nil` if nothing can be delivered, or if the client has no part of the answer.
  mutating func releaseAll(of unsafeText: AnswerStream?) -> [Directive]? {
    guard var whole = unsafeText, whole.hasDelivered, let last = try? whole.releaseAll() else {
      return nil
    }
    stream = whole
    return try? pass(last)
  }

  // MARK: - Resuming

  /// Whether the answer may start over, because the client has seen no part of it.
  var mayStartOver: Bool { hasBegun && body != nil && !hasGivenPrefix }

  /// Delivers the safe text and stores the point from which the next host resumes.
  ///
  /// A client that does not stream has seen no part of the answer. The answer then starts over if
  /// it cannot be resumed.
  ///
  /// - Parameter isJoinable: `false` means that an attempt to resume the answer has failed. The
  ///   answer starts over if the client has seen no part of it.
  mutating func suspendAtBoundary(isJoinable: Bool = true) throws(Failure) -> [Directive] {
    progress = ChoiceProgress()
    if !isJoinable, mayStartOver {
      startOver()
      return []
    }
    var suspended = stream
    do {
      let (release, point) = try suspended.interrupt()
      stream = suspended
      resumePoint = point
      return try pass(release)
    } catch {
      guard mayStartOver else {
        throw (error as? Failure) ?? Failure(.internalError, "\(error)")
      }
      startOver()
      return []
    }
  }

  private mutating func startOver() {
    stream = AnswerStream(shape: shape)
    body = Self.newBody(endpoint, shape)
    resumePoint = nil
  }

  /// Suspends the answer again, so that the next host repeats some of the client's text.
  /// - Returns: `nil` if the answer cannot be resumed.
  mutating func suspendForRepetition() -> ResumePoint? {
    (try? stream.interrupt(anchored: true))?.resume
  }

  mutating func setResumePoint(_ point: ResumePoint) { resumePoint = point }

  // MARK: - Relief

  var hasRelief: Bool { !relief.isEmpty }
  /// Why relief hosts were asked. `nil` means that no relief host was asked.
  var reliefCause: AttemptFailure.Kind? { relief.first?.cause }
  /// The answer from which relief hosts resume. `nil` means that no relief host was asked.
  var reliefStream: AnswerStream? { relief.first?.stream }
  /// Point from which relief hosts resume. `nil` means that they start at the beginning, or that no
  /// relief host was asked.
  var reliefPoint: ResumePoint? { relief.first?.resume }

  /// Prepares the state from which relief hosts resume the answer. An existing state is kept.
  /// - Returns: `false` if no host can resume the answer.
  mutating func prepareRelief(_ cause: AttemptFailure.Kind) -> Bool {
    guard relief.isEmpty else { return true }
    var suspended = stream
    do {
      let (release, point) = try suspended.interrupt()
      relief = [
        Relief(stream: suspended, body: body, release: release, resume: point, cause: cause)
      ]
    } catch {
      guard mayStartOver else { return false }
      relief = [
        Relief(
          stream: AnswerStream(shape: shape), body: Self.newBody(endpoint, shape), release: [],
          resume: nil, cause: cause)
      ]
    }
    return true
  }

  /// Ends relief without a change of the answering host.
  /// - Returns: the directives that were withheld.
  mutating func endRelief() -> [Directive] {
    defer { relief = [] }
    return relief.first?.withheld ?? []
  }

  /// Replaces the answer by the state from which the relief hosts resume.
  /// - Returns: deliveries of text up to the safe boundary that the client does not have yet.
  mutating func adoptRelief() -> [Directive] {
    guard let adopted = relief.first else { return [] }
    relief = []
    stream = adopted.stream
    body = adopted.body
    resumePoint = adopted.resume
    progress = ChoiceProgress()
    return (try? pass(adopted.release)) ?? []
  }
}
