public import ClusterModel

/// Which of a run's attempts: counted from 0.
public struct AttemptID: Hashable, Sendable, CustomStringConvertible {
  public let number: Int
  public init(_ number: Int) { self.number = number }
  public var description: String { "#\(number)" }
}

/// One request on its way to an answer: which host is asked, when it is given up, what is passed on.
/// Events in, directives out; it knows no socket, clock or table of its own.
///
/// Nothing of an answer is passed on before its first valid token, so up to there another host can
/// be asked and nobody notices. After it, a failure is reported.
public struct InferenceRun: Sendable {
  public enum Directive: Hashable, Sendable {
    /// Send the request to this host. Its events carry the id.
    case start(AttemptID, Candidate)
    /// Cancel it: nothing from it counts any more.
    case cancel(AttemptID)
    /// It said all it had to say; what is left of its response may still come, and does not count.
    case release(AttemptID)
    /// The answer has begun.
    case open(InferenceOpening)
    case deliver(InferenceEvent)
    /// The last directive of a run that went well.
    case complete
    /// The last directive of a run that did not.
    case fail(Failure)
  }

  /// One host at a time is asked.
  private struct Attempt {
    let id: AttemptID
    let candidate: Candidate
    let started: Instant
    /// 0 until the head is there.
    var status = 0
    /// Chunks before the first valid token: they are the answer's only if it becomes one.
    var held: [InferenceChunk] = []
  }

  fileprivate struct Answer {
    let firstToken: Duration
    var lastChunk: Instant
    var chunks = 0
    var finishReason: String?
    var usage: Usage?
  }

  private enum State {
    /// Can transition to: `trying`, `over`.
    case new
    /// A host was asked and has said nothing that counts. Can transition to: itself with the next
    /// host, `answering`, `over`.
    case trying(Attempt)
    /// Tokens are passed on. Can transition to: `over`.
    case answering(Attempt, Answer)
    case over
  }

  private let request: InferenceRequest
  private let constraints: InferenceConstraints
  private let maximumAttempts: Int
  private var rng: SplitMix64
  private var state = State.new
  private var begun = Instant.zero
  private var nextAttempt = 0
  public private(set) var attempts: [AttemptRecord] = []

  /// - Parameter maximumAttempts: hosts asked before it gives up. Three: were every host to fail
  ///   one time in ten, one request in a thousand would be lost.
  public init(
    request: InferenceRequest, constraints: InferenceConstraints, maximumAttempts: Int = 3
  ) {
    self.request = request
    self.constraints = constraints
    self.maximumAttempts = maximumAttempts
    rng = SplitMix64(seed: constraints.seed)
  }

  /// When `tick` must be called at the latest; nil: never.
  public var nextWake: Instant? {
    let total = begun.advanced(by: constraints.deadlines.total)
    switch state {
    case .new, .over: return nil
    case .trying(let attempt):
      guard request.stream else { return total }
      return min(total, attempt.started.advanced(by: constraints.deadlines.firstToken))
    case .answering(_, let answer):
      return min(total, answer.lastChunk.advanced(by: constraints.deadlines.interToken))
    }
  }

  // MARK: - Events

  public mutating func begin(_ view: ClusterView, now: Instant) -> [Directive] {
    guard case .new = state else { return [] }
    begun = now
    let eligibility = Eligibility(
      model: request.model, constraints: constraints, table: view.table)
    guard let candidate = choose(eligibility.candidates, view) else {
      state = .over
      return [.fail(Failure(.noEligibleHost, eligibility.explanation(model: request.model)))]
    }
    return [start(candidate, now: now)]
  }

  /// The response's head came. What its status means is told by the items that follow.
  public mutating func received(status: Int, from id: AttemptID) {
    guard case .trying(var attempt) = state, attempt.id == id else { return }
    attempt.status = status
    state = .trying(attempt)
  }

  public mutating func received(
    _ item: UpstreamItem, from id: AttemptID, view: () -> ClusterView, now: Instant
  ) -> [Directive] {
    switch state {
    case .new, .over: return []  // late: the run has moved on
    case .trying(let attempt):
      guard attempt.id == id else { return [] }
      return receivedFirst(item, attempt, view, now)
    case .answering(let attempt, let answer):
      guard attempt.id == id else { return [] }
      return receivedMore(item, attempt, answer, now)
    }
  }

  /// The connection failed, or never came to be.
  public mutating func failed(
    _ failure: AttemptFailure, _ id: AttemptID, view: () -> ClusterView, now: Instant
  ) -> [Directive] {
    switch state {
    case .new, .over: return []
    case .trying(let attempt):
      guard attempt.id == id else { return [] }
      return giveUp(attempt, failure, view, now)
    case .answering(let attempt, let answer):
      guard attempt.id == id else { return [] }
      // Its last word was said: that the connection goes then costs at most the usage.
      if answer.finishReason != nil { return finish(attempt, answer, now) }
      return breakOff(attempt, answer, failure, now)
    }
  }

  /// Time has passed.
  public mutating func tick(view: () -> ClusterView, now: Instant) -> [Directive] {
    guard let wake = nextWake, wake <= now else { return [] }
    let deadlines = constraints.deadlines
    let isTotal = begun.advanced(by: deadlines.total) <= now
    switch state {
    case .new, .over: return []
    case .trying(let attempt):
      guard isTotal else {
        let failure = AttemptFailure(
          .firstTokenDeadline,
          "it sent no token within \(deadlines.firstToken.wholeMilliseconds) ms")
        return giveUp(attempt, failure, view, now)
      }
      record(attempt, now, failure: Self.late(deadlines))
      state = .over
      return [.cancel(attempt.id), .fail(failureOfAll())]
    case .answering(let attempt, let answer):
      if answer.finishReason != nil { return finish(attempt, answer, now, cancels: true) }
      let failure =
        isTotal
        ? Self.late(deadlines)
        : AttemptFailure(
          .stall, "it sent nothing for \(deadlines.interToken.wholeMilliseconds) ms")
      return breakOff(attempt, answer, failure, now)
    }
  }

  /// Whoever asked has left, or reads too slowly.
  public mutating func abandon(
    _ reason: Failure = Failure(.cancelled, "whoever asked has left"), now: Instant
  ) -> [Directive] {
    switch state {
    case .new, .over:
      state = .over
      return []
    case .trying(let attempt), .answering(let attempt, _):
      record(attempt, now, failure: AttemptFailure(.consumerLeft, reason.message))
      state = .over
      return [.cancel(attempt.id), .fail(reason)]
    }
  }

  // MARK: - Before the first token

  private mutating func receivedFirst(
    _ item: UpstreamItem, _ attempt: Attempt, _ view: () -> ClusterView, _ now: Instant
  ) -> [Directive] {
    var attempt = attempt
    switch item {
    case .broken(let failure):
      return giveUp(attempt, failure, view, now)
    case .done, .end:
      return giveUp(
        attempt, AttemptFailure(.cut, "its stream ended without a token"), view, now)
    case .body(let bytes, let facts):
      let opening = self.opening(attempt, now)
      record(attempt, now)
      state = .over
      let summary = summary(
        attempt, firstToken: opening.firstToken, finishReason: facts.finishReason,
        usage: facts.usage, chunks: max(facts.text.utf8.count / 4, 1), now)
      return [
        .open(opening), .deliver(.body(bytes)), .deliver(.finished(summary)),
        .release(attempt.id), .complete,
      ]
    case .chunk(let chunk):
      attempt.held.append(chunk)
      guard chunk.facts.isValidToken else {
        // A host that sends empty chunks for ever is one that says nothing.
        guard attempt.held.count < 1_024 else {
          return giveUp(
            attempt, AttemptFailure(.garbage, "it sent 1,024 chunks without a word"), view, now)
        }
        state = .trying(attempt)
        return []
      }
      let opening = opening(attempt, now)
      var answer = Answer(firstToken: opening.firstToken, lastChunk: now)
      var directives = [Directive.open(opening)]
      for held in attempt.held {
        answer.take(held)
        directives.append(.deliver(.chunk(held)))
      }
      attempt.held = []
      state = .answering(attempt, answer)
      return directives
    }
  }

  private mutating func giveUp(
    _ attempt: Attempt, _ failure: AttemptFailure, _ view: () -> ClusterView, _ now: Instant
  ) -> [Directive] {
    record(attempt, now, failure: failure)
    var directives = [Directive.cancel(attempt.id)]
    guard failure.kind != .rejected, attempts.count < maximumAttempts else {
      state = .over
      return directives + [.fail(failureOfAll())]
    }
    let view = view()
    let all = Eligibility(model: request.model, constraints: constraints, table: view.table)
      .candidates
    let tried = Set(attempts.map(\.host))
    var rest = all.filter { !tried.contains($0.host.id) }
    // An idle connection that the host closed just as we used it says nothing about the host.
    if rest.isEmpty, failure.kind == .lostBeforeHead,
      attempts.count(where: { $0.host == attempt.candidate.host.id }) == 1
    {
      rest = all.filter { $0.host.id == attempt.candidate.host.id }
    }
    if let next = choose(rest, view) {
      directives.append(start(next, now: now))
    } else {
      state = .over
      directives.append(.fail(failureOfAll()))
    }
    return directives
  }

  private mutating func start(_ candidate: Candidate, now: Instant) -> Directive {
    let id = AttemptID(nextAttempt)
    nextAttempt += 1
    state = .trying(Attempt(id: id, candidate: candidate, started: now))
    return .start(id, candidate)
  }

  private mutating func choose(_ candidates: [Candidate], _ view: ClusterView) -> Candidate? {
    HostChoice.choose(
      from: candidates, avoid: constraints.avoid, affinity: constraints.affinity,
      inFlight: view.inFlight, using: &rng)
  }

  // MARK: - After the first token

  private mutating func receivedMore(
    _ item: UpstreamItem, _ attempt: Attempt, _ answer: Answer, _ now: Instant
  ) -> [Directive] {
    var answer = answer
    switch item {
    case .chunk(let chunk):
      answer.lastChunk = now
      answer.take(chunk)
      state = .answering(attempt, answer)
      return [.deliver(.chunk(chunk))]
    case .done, .end:
      guard answer.finishReason != nil else {
        return breakOff(
          attempt, answer, AttemptFailure(.cut, "its stream ended without a finish_reason"), now)
      }
      return finish(attempt, answer, now)
    case .broken(let failure):
      if answer.finishReason != nil { return finish(attempt, answer, now, cancels: true) }
      return breakOff(attempt, answer, failure, now)
    case .body:
      return breakOff(
        attempt, answer, AttemptFailure(.garbage, "it sent a body in its stream"), now)
    }
  }

  private mutating func finish(
    _ attempt: Attempt, _ answer: Answer, _ now: Instant, cancels: Bool = false
  ) -> [Directive] {
    record(attempt, now)
    state = .over
    let summary = summary(
      attempt, firstToken: answer.firstToken, finishReason: answer.finishReason,
      usage: answer.usage, chunks: answer.chunks, now)
    return [
      .deliver(.finished(summary)), cancels ? .cancel(attempt.id) : .release(attempt.id),
      .complete,
    ]
  }

  private mutating func breakOff(
    _ attempt: Attempt, _ answer: Answer, _ failure: AttemptFailure, _ now: Instant
  ) -> [Directive] {
    record(attempt, now, failure: failure)
    state = .over
    let message =
      "host \(attempt.candidate.host.id) broke off after \(answer.chunks) chunks: "
      + failure.message
    let code: Failure.Code =
      failure.kind == .totalDeadline ? .deadlineExceeded : .upstreamFailed
    return [.cancel(attempt.id), .fail(Failure(code, message))]
  }

  // MARK: - What is told about it

  private func opening(_ attempt: Attempt, _ now: Instant) -> InferenceOpening {
    InferenceOpening(
      host: attempt.candidate.host.id, model: attempt.candidate.model, status: attempt.status,
      firstToken: begun.duration(to: now), attempt: attempts.count + 1)
  }

  private mutating func record(
    _ attempt: Attempt, _ now: Instant, failure: AttemptFailure? = nil
  ) {
    attempts.append(
      AttemptRecord(
        host: attempt.candidate.host.id, model: attempt.candidate.model,
        started: begun.duration(to: attempt.started), ended: begun.duration(to: now),
        failure: failure))
  }

  private func summary(
    _ attempt: Attempt, firstToken: Duration, finishReason: String?, usage: Usage?, chunks: Int,
    _ now: Instant
  ) -> InferenceSummary {
    InferenceSummary(
      host: attempt.candidate.host.id, model: attempt.candidate.model,
      usage: usage
        ?? Usage(
          promptTokens: request.body.count / 4, completionTokens: chunks, estimated: true),
      finishReason: finishReason ?? "", firstToken: firstToken,
      total: begun.duration(to: now), attempts: attempts)
  }

  private static func late(_ deadlines: Deadlines) -> AttemptFailure {
    AttemptFailure(
      .totalDeadline, "the whole answer took longer than \(deadlines.total.wholeMilliseconds) ms")
  }

  /// One failure from those of all hosts that were asked.
  private func failureOfAll() -> Failure {
    let failures = attempts.compactMap(\.failure)
    if let last = attempts.last, let failure = last.failure, failure.kind == .rejected {
      let code: Failure.Code = failure.status == 413 ? .requestTooLarge : .invalidRequest
      return Failure(code, "host \(last.host) rejects the request: \(failure.message)")
    }
    let told = attempts.compactMap { record in
      record.failure.map { "host \(record.host): \($0.message)" }
    }.joined(separator: "; ")
    if failures.contains(where: { $0.kind == .totalDeadline }) {
      return Failure(.deadlineExceeded, told)
    }
    if failures.allSatisfy({ $0.kind == .busy }) {
      let wait = failures.compactMap(\.retryAfter).min() ?? .seconds(1)
      return Failure(.overloaded, "every host that was asked is busy: \(told)", retryAfter: wait)
    }
    if failures.allSatisfy({ $0.kind == .firstTokenDeadline }) {
      return Failure(.deadlineExceeded, told)
    }
    return Failure(.upstreamFailed, told)
  }
}

extension InferenceRun.Answer {
  fileprivate mutating func take(_ chunk: InferenceChunk) {
    if chunk.facts.hasOther || !chunk.facts.text.isEmpty { chunks += 1 }
    finishReason = chunk.facts.finishReason ?? finishReason
    usage = chunk.facts.usage ?? usage
  }
}
