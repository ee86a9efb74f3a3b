import Limits
import ClusterModel

/// The phase from the first valid token to the last, over as many hosts as needed.
extension InferenceRun {
  func newAnswer(_ stream: AnswerStream, _ now: Instant) -> Answer {
    Answer(
      stream: stream, body: request.stream ? nil : newBody,
      lastChunk: now, pace: Pace(floor: 0, from: now), choices: shape.choices)
  }

  var newBody: BodyAssembler {
    BodyAssembler(endpoint: request.endpoint, choices: shape.choices)
  }

  /// Resumes an answer that another process began. Asks one host, as if another had failed at the
  /// end of the given prefix.
  mutating func goOn(
    at first: Candidate, _ view: ClusterView, _ now: Instant
  ) -> [Directive] {
    phase = .resuming
    answer = newAnswer(AnswerStream(shape: shape, after: request.prefix), now)
    do throws(Failure) {
      _ = try keep()
    } catch {
      return stop(error)
    }
    return resume(at: first, view, now)
  }

  mutating func receivedMore(
    _ item: UpstreamItem, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    let isFinished = answer?.isFinished == true
    switch item {
    case .chunk(let chunk): return take(chunk, cluster, now)
    // The host itself reports the end, with or without a reason.
    case .done: return finish(cluster, now)
    case .end:
      if isFinished || answer?.isEnded == true { return finish(cluster, now) }
      return interrupt(
        AttemptFailure(.cut, "its stream ended without a finish_reason and without [DONE]"),
        cluster, now)
    case .broken(let failure):
      return isFinished ? finish(cluster, now, cancels: true) : interrupt(failure, cluster, now)
    case .body:
      return interrupt(
        AttemptFailure(.garbage, "it sent a body in its stream"), cluster, now)
    }
  }

  mutating func take(
    _ chunk: InferenceChunk, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    guard answer != nil else { return [] }
    // The late host had only paused. Chunks of a crawling host are withheld for a while.
    var directives = legs[0].isLate ? spokeAgain(now) : []
    legs[0].count(chunk.facts.tokens, now: now)
    answer?.lastChunk = now
    answer?.pace.count(chunk.facts.tokens)
    do throws(AttemptFailure) {
      try checkIndices(chunk.facts.steps)
      answer?.progress.take(chunk.facts.steps)
      defer { legs[0].recordProduced(answer?.stream.hostTokens) }
      let passed = try pass(try answer?.stream.take(chunk) ?? [])
      if answer?.relief.isEmpty == false {
        answer?.relief[0].withheld += passed
      } else {
        directives += passed
      }
    } catch {
      return directives + interrupt(error, cluster, now)
    }
    // A stop sequence was completed across a joint. The host does not know that it is done.
    if answer?.stream.isOver == true { directives += finish(cluster, now, cancels: true) }
    return directives
  }

  /// - Throws: `garbage` for a choice index that the request does not ask for.
  private func checkIndices(_ steps: ChoiceSteps) throws(AttemptFailure) {
    guard steps.hasInvalidIndex || steps.highest >= shape.choices else { return }
    throw AttemptFailure(
      .garbage, "it sent a choice with an index outside the \(shape.choices) that were requested")
  }

  /// Delivers chunks to the client, or adds them to the body of an answer that is not streamed.
  mutating func pass(
    _ chunks: [InferenceChunk]
  ) throws(AttemptFailure) -> [Directive] {
    guard answer?.body != nil else {
      return chunks.filter { !$0.facts.isUnasked }.map { .deliver(.chunk($0)) }
    }
    for chunk in chunks { try answer?.body?.take(chunk) }
    return []
  }

  /// Ends the run: the host has completed the answer.
  mutating func finish(
    _ cluster: some ClusterAccess, _ now: Instant, cancels: Bool = false
  ) -> [Directive] {
    guard let leg = legs.first, answer != nil else { return [] }
    var directives: [Directive] = []
    do throws(AttemptFailure) {
      directives += try passLast()
    } catch {
      return interrupt(error, cluster, now)
    }
    directives = dismissRelief(by: leg, now) + directives
    legs = []
    directives += record(leg, .answered, now) + contradictions() + conclude(leg, now)
    return directives + [cancels ? .cancel(leg.id) : .release(leg.id), .complete]
  }

  /// Delivers the held chunks, and the body for a client that does not stream.
  private mutating func passLast() throws(AttemptFailure) -> [Directive] {
    var directives = try pass(try answer?.stream.finish() ?? [])
    if let body = answer?.body { directives.append(.deliver(.body(try body.body()))) }
    return directives
  }

  private mutating func conclude(_ leg: RunningAttempt, _ now: Instant) -> [Directive] {
    guard let answer else { return [] }
    phase = .over
    return counted(answer.stream.usage, by: leg) + [
      .deliver(
        .finished(
          summary(
            leg, firstToken: answer.firstToken ?? begun.duration(to: now),
            finishReason: answer.stream.finishReason, usage: answer.stream.usage, now)))
    ]
  }

  /// Ends the answer if the failed host had used up `max_tokens`. No other host is needed then.
  /// - Returns: `nil` if tokens are left.
  private mutating func endAtLimit(_ leg: RunningAttempt, _ now: Instant) -> [Directive]? {
    guard var stream = answer?.stream, let last = stream.endAtLimit() else { return nil }
    answer?.stream = stream
    // If a body cannot be assembled, another host is asked.
    guard let passed = try? pass(last) + passLast() else { return nil }
    return passed + conclude(leg, now) + [.complete]
  }

  /// Gives up the answering host. Another host resumes at the end of a word, a JSON token or a
  /// line.
  mutating func interrupt(
    _ failure: AttemptFailure, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    guard let leg = legs.first, answer != nil else { return [] }
    if legs.count > 1, case .answering = phase { return promoteRelief(failure, cluster, now) }
    legs = []
    answer?.relief = []
    phase = .resuming
    let again = reformed(leg, failure)
    let recorded = again == nil ? failure : failure.ofForm
    let directives = [Directive.cancel(leg.id)] + record(leg, .failed(recorded), now)
    if let end = endAtLimit(leg, now) { return directives + end }
    // Text of a host that resumed the answer may be wrong until its joint is verified.
    let begun = answer?.body == nil && answer?.stream.hop == nil ? answer?.stream : nil
    let kept: [Directive]
    do throws(Failure) {
      kept = try keep(isJoinable: failure.kind != .badJoint)
    } catch {
      return directives + (allText(of: begun) ?? []) + stop(brokenAnswer(failure, error))
    }
    let view = cluster.view()
    guard
      let next = again ?? instructed(leg, failure, at: answer?.resume)
        ?? replacement(view, cluster)
    else {
      return directives + (allText(of: begun) ?? kept) + stop(brokenAnswer(failure))
    }
    return directives + kept + resume(at: next, view, now)
  }

  /// Delivers the held text of an answer that no other host resumes, so that the client gets all
  /// that the host sent.
  ///
  /// - Parameter stream: The answer before its unsafe text was dropped.
  /// - Returns: `nil` if the client has seen nothing of the answer.
  private mutating func allText(of stream: AnswerStream?) -> [Directive]? {
    guard var stream, stream.hasDelivered, let last = try? stream.releaseAll() else { return nil }
    answer?.stream = stream
    return try? pass(last)
  }

  /// Asks a host to resume the answer. The race ends: from here one host is asked at a time.
  private mutating func resume(
    at next: Candidate, _ view: ClusterView, _ now: Instant
  ) -> [Directive] {
    race = Race(mode: .single)
    return startResuming(at: next, answer?.resume, view, now)
  }

  mutating func startResuming(
    at next: Candidate, _ resume: ResumePoint?, _ view: ClusterView, _ now: Instant
  ) -> [Directive] {
    var next = next
    var resume = resume
    if case .resuming = phase, isToRepeat(next.host.id) {
      (next, resume) = asRepeating(next)
    } else if isToBeAskedInWords(next.host.id) {
      next.host.resume = .instruct
    }
    let way = way(to: next, at: resume)
    if way == .instruct { resumeHistory.recordInstruction(of: next.host.id) }
    return start(next, .resumption, view, way: way, at: resume, now: now)
  }

  /// The candidate and resume point for a host that must repeat some of the client's text. There
  /// are two ways: a shorter prefix, so that the host repeats the rest by itself, or an instruction
  /// that shows the text to repeat. The shorter prefix comes first, because an instruction in prose
  /// has already shown text to repeat. Only a host that was asked by an instruction in JSON is
  /// shown the text first: it may have repeated text, but the repetition could not be verified.
  private mutating func asRepeating(_ host: Candidate) -> (Candidate, ResumePoint?) {
    var host = host
    guard let (_, resume) = try? answer?.stream.interrupt(anchored: true) else {
      return (host, answer?.resume)
    }
    let isFirst = resumeHistory.recordRepetition(of: host.host.id)
    let showsFirst = host.host.resume == .instruct && answer?.stream.isJSON == true
    guard !resume.prefix.isEmpty, showsFirst == isFirst else {
      answer?.resume = resume.withoutAnchor
      return (host, answer?.resume)
    }
    host.host.resume = .instruct
    answer?.resume = resume
    return (host, resume)
  }

  /// Delivers what is safe and stores the point at which the next host resumes. A client that does
  /// not stream has seen nothing. Its answer therefore starts over if it cannot be resumed or if an
  /// attempt to resume it failed.
  private mutating func keep(isJoinable: Bool = true) throws(Failure) -> [Directive] {
    guard var stream = answer?.stream else { return [] }
    answer?.progress = ChoiceProgress()
    if !isJoinable, mayBeginAnew {
      beginAnew()
      return []
    }
    do {
      let (release, resume) = try stream.interrupt()
      answer?.stream = stream
      answer?.resume = resume
      return try pass(release)
    } catch {
      guard mayBeginAnew else {
        throw (error as? Failure) ?? Failure(.internalError, "\(error)")
      }
      beginAnew()
      return []
    }
  }

  /// Whether the client has seen nothing of the answer, so that it may start over.
  var mayBeginAnew: Bool { answer?.body != nil && request.prefix.isEmpty }

  private mutating func beginAnew() {
    answer?.stream = AnswerStream(shape: shape)
    let body = newBody
    answer?.body = body
    answer?.resume = nil
  }

  /// How a host can be asked to resume this answer; `nil` means that it must start over.
  private func way(to next: Candidate, at resume: ResumePoint?) -> ResumeWay? {
    (try? UpstreamRequest(request, to: next, from: resume))?.resumed
  }

  /// The same host, to be asked by an instruction. Backends that accept no trailing assistant
  /// message answer 400, and are asked once more in this way.
  func instructed(
    _ leg: RunningAttempt, _ failure: AttemptFailure, at resume: ResumePoint?
  ) -> Candidate? {
    guard failure.kind == .rejected, leg.role == .resumption,
      leg.candidate.host.resume != .instruct, resume?.prefix.isEmpty == false
    else { return nil }
    var candidate = leg.candidate
    candidate.host.resume = .instruct
    return candidate
  }

  private mutating func stop(_ failure: Failure) -> [Directive] {
    phase = .over
    return [.fail(failure)]
  }

  /// Handles silence and slow answers. A slow answer counts only if another host could do better.
  mutating func checkPace(_ cluster: some ClusterAccess, _ now: Instant) -> [Directive] {
    guard let leg = legs.first, let answer else { return [] }
    let due = nextChunkDue(answer, leg)
    if due <= now {
      if answer.isWhole { return finish(cluster, now, cancels: true) }
      guard constraints.deadlines.interToken == nil else {
        let silence = answer.lastChunk.duration(to: due)
        return interrupt(
          AttemptFailure(.stall, "it sent nothing for \(silence.wholeMilliseconds) ms"), cluster,
          now)
      }
      if !leg.isLate || leg.checkAt <= now { return relieve(.stall, cluster, now) }
    }
    var directives = legs.count > 1 ? lookAtRelief(cluster, now) : []
    guard case .answering = phase, legs.first?.id == leg.id, answer.pace.nextCheck <= now else {
      return directives
    }
    if self.answer?.relief.first?.cause == .crawl {
      // The relief host had one interval of the pace check to take over.
      directives += dismissRelief(by: leg, now)
    }
    guard let rate = self.answer?.pace.check(now: now), !answer.isWhole,
      hasUntried(cluster.view())
    else { return directives }
    guard constraints.deadlines.minimumRate != nil else {
      return directives + (legs[0].isLate ? [] : relieve(.crawl, cluster, now))
    }
    return directives
      + interrupt(
        AttemptFailure(
          .crawl,
          "it made \(Self.oneDecimal(rate)) tokens a second, less than "
            + Self.oneDecimal(leg.patience.tokensPerSecondFloor)), cluster, now)
  }

  /// Deadline for the next chunk of the answering attempt.
  func nextChunkDue(_ answer: Answer, _ leg: RunningAttempt) -> Instant {
    leg.nextChunkDue(after: answer.lastChunk, isFinished: answer.isFinished, limits)
  }

  func hasUntried(_ view: ClusterView) -> Bool {
    let asked = ledger.hosts.union(legs.map(\.host))
    return eligibility(view).candidates.contains { !asked.contains($0.host.id) }
  }

  static func oneDecimal(_ value: Double) -> String {
    let tenths = Int(clamping: (value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
