import ClusterModel

/// The answer of a run: what the client gets of it, how far it is, and where a host resumes it.
///
/// It exists before the first token, so that chunks change it in place: as an optional or as a
/// payload of the run's phase it would have to be taken out and put back for each chunk. It depends
/// on no attempt except the one whose chunks it takes.
struct AnswerInProgress: Sendable {
  typealias Directive = InferenceRun.Directive

  /// The state from which relief hosts resume the answer while a late host still works.
  private struct Relief: Sendable {
    /// The answer up to the last safe boundary.
    let stream: AnswerStream
    let body: BodyAssembler?
    /// Chunks that the client gets if a relief host takes over.
    let release: [InferenceChunk]
    /// `nil` means that the next host starts at the beginning.
    let resume: ResumePoint?
    let cause: AttemptFailure.Kind
    /// Output of a crawling host since a relief host was asked. The client gets it unless a relief
    /// host takes over.
    var withheld: [Directive] = []
  }

  private let shape: AnswerShape
  private let endpoint: InferenceEndpoint
  /// The client has the beginning of the answer from another process.
  private let hasGivenPrefix: Bool
  /// A host has sent a valid token, or the client has a prefix.
  private(set) var hasBegun = false
  private var stream: AnswerStream
  /// Assembles the body if the client does not stream.
  private var body: BodyAssembler?
  /// `nil` means that no host has sent a token yet.
  private(set) var firstToken: Duration?
  private(set) var lastChunk = Instant.zero
  private var pace = Pace(floor: 0, from: .zero)
  private var progress = ChoiceProgress()
  /// `nil` means that the next host starts at the beginning.
  private(set) var resumePoint: ResumePoint?
  /// At most one element; an array keeps answers without relief small.
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

  /// Every choice that the request asks for has ended for good.
  var isFinished: Bool { progress.isComplete(shape.choices) }
  /// Every choice that the host began has ended for good. The host may begin another one while
  /// its stream is open.
  var isWhole: Bool { progress.isEveryBegunFinal }
  /// Every choice that the host began has a finish reason. The reasons count only after the stream
  /// has ended too.
  var isEnded: Bool { progress.isEveryBegunEnded }
  /// A stop sequence was completed across a joint, or `max_tokens` was reached.
  var isOver: Bool { stream.isOver }

  /// Whether the format of the content so far hides repetitions.
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
  mutating func follow(_ attempt: RunningAttempt, now: Instant) {
    hasBegun = true
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
  /// - Throws: `garbage` for a choice index that the request does not ask for.
  mutating func recordSteps(_ steps: ChoiceSteps) throws(AttemptFailure) {
    guard !steps.hasInvalidIndex, steps.highest < shape.choices else {
      throw AttemptFailure(
        .garbage,
        "it sent a choice with an index outside the \(shape.choices) that were requested")
    }
    progress.take(steps)
  }

  /// Takes a chunk of the current host.
  /// - Returns: deliveries to the client. They are withheld while a relief host may take over.
  mutating func take(_ chunk: InferenceChunk) throws(AttemptFailure) -> [Directive] {
    let passed = try pass(try stream.take(chunk))
    guard !relief.isEmpty else { return passed }
    relief[0].withheld += passed
    return []
  }

  /// Delivers chunks to the client, or adds them to the body of an answer that is not streamed.
  private mutating func pass(_ chunks: [InferenceChunk]) throws(AttemptFailure) -> [Directive] {
    guard body != nil else {
      return chunks.filter { !$0.facts.isUnasked }.map { .deliver(.chunk($0)) }
    }
    for chunk in chunks { try body?.take(chunk) }
    return []
  }

  /// - Returns: tokens per second of the last window if the host crawls, otherwise `nil`.
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

  /// Ends the answer if the failed host had used up `max_tokens`. No other host is needed then.
  /// - Returns: `nil` if tokens are left, or if a body cannot be assembled.
  mutating func endAtLimit() -> [Directive]? {
    var ended = stream
    guard let last = ended.endAtLimit() else { return nil }
    stream = ended
    return try? pass(last) + finish()
  }

  /// The answer with its text after the last safe boundary, for `releaseAll(of:)`.
  ///
  /// `nil` if the client does not stream. `nil` also for a host that resumed the answer, because
  /// its text may be wrong until the joint is verified.
  var unsafeText: AnswerStream? { body == nil && stream.hop == nil ? stream : nil }

  /// Delivers the held text of an answer that no other host resumes, so that the client gets all
  /// that the host sent.
  ///
  /// - Parameter unsafeText: the answer before its unsafe text was dropped.
  /// - Returns: `nil` if the client has seen nothing of the answer.
  mutating func releaseAll(of unsafeText: AnswerStream?) -> [Directive]? {
    guard var whole = unsafeText, whole.hasDelivered, let last = try? whole.releaseAll() else {
      return nil
    }
    stream = whole
    return try? pass(last)
  }

  // MARK: - Resuming

  /// The answer may start over, because the client has seen nothing of it.
  var mayStartOver: Bool { hasBegun && body != nil && !hasGivenPrefix }

  /// Delivers the safe text and stores the point at which the next host resumes. A client that does
  /// not stream has seen nothing. Its answer therefore starts over if it cannot be resumed or if an
  /// attempt to resume it failed.
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

  /// Suspends the answer again, at a point from which a host repeats some of the client's text.
  /// - Returns: `nil` if the answer cannot be resumed.
  mutating func suspendForRepetition() -> ResumePoint? {
    (try? stream.interrupt(anchored: true))?.resume
  }

  mutating func setResumePoint(_ point: ResumePoint) { resumePoint = point }

  // MARK: - Relief

  var hasRelief: Bool { !relief.isEmpty }
  /// Why relief hosts were asked; `nil` means that none was.
  var reliefCause: AttemptFailure.Kind? { relief.first?.cause }
  /// The answer as relief hosts find it; `nil` means that none was asked.
  var reliefStream: AnswerStream? { relief.first?.stream }
  /// `nil` means that the relief hosts start at the beginning, or that none was asked.
  var reliefPoint: ResumePoint? { relief.first?.resume }

  /// Prepares the state from which relief hosts resume the answer, if it does not exist yet.
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

  /// Ends relief, because the answering host is to continue.
  /// - Returns: the directives that were withheld.
  mutating func endRelief() -> [Directive] {
    defer { relief = [] }
    return relief.first?.withheld ?? []
  }

  /// Replaces the answer by the state that the relief hosts resume.
  /// - Returns: deliveries of earlier text, as far as the client does not have it.
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
