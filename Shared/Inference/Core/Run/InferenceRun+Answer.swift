import ClusterModel
import Limits

/// The phase from the first valid token to the last. Several hosts may take part in it.
extension InferenceRun {
  /// Resumes an answer that another process began.
  ///
  /// The run asks one host, as if a previous host had failed at the end of the given prefix.
  mutating func resumeGivenPrefix(
    at first: Candidate, _ view: ClusterView, _ now: Instant
  ) -> [Directive] {
    beginResuming()
    answer.begin(after: request.prefix)
    do throws(Failure) {
      _ = try answer.suspendAtBoundary()
    } catch {
      return fail(error)
    }
    return resume(at: first, view, now)
  }

  mutating func receivedNext(
    _ item: UpstreamItem, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    let isFinished = answer.isFinished
    switch item {
    case .chunk(let chunk): return take(chunk, cluster, now)
    // The host itself reports the end, so the answer is complete even without a finish reason.
    case .done: return finish(cluster, now)
    case .end:
      if isFinished || answer.isEnded { return finish(cluster, now) }
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
    // The host was late and sends again, so it had only paused.
    var directives = legs[0].isLate ? endLateness(now) : []
    legs[0].count(chunk.facts.tokens, now: now)
    answer.recordChunk(tokens: chunk.facts.tokens, now: now)
    do throws(AttemptFailure) {
      try answer.recordSteps(chunk.facts.steps)
      defer { legs[0].recordProduced(answer.hostTokens) }
      directives += try answer.take(chunk)
    } catch {
      return directives + interrupt(error, cluster, now)
    }
    // The answer can be over because a stop sequence spans the joint, or because the host repeats
    // itself. The host would continue, so its attempt is cancelled.
    if answer.isOver { directives += finish(cluster, now, cancels: true) }
    return directives
  }

  /// Ends the run, because the host has completed the answer.
  ///
  /// - Parameter cancels: whether the attempt is cancelled, because its stream may continue.
  mutating func finish(
    _ cluster: some ClusterAccess, _ now: Instant, cancels: Bool = false
  ) -> [Directive] {
    guard let leg = legs.first else { return [] }
    var directives: [Directive] = []
    do throws(AttemptFailure) {
      directives += try answer.finish()
    } catch {
      return interrupt(error, cluster, now)
    }
    directives = dismissRelief(by: leg, now) + directives
    directives += record(leg, .answered, now) + contradictions() + conclude(leg, now)
    return directives + [cancels ? .cancel(leg.id) : .release(leg.id), .complete]
  }

  private mutating func conclude(_ leg: RunningAttempt, _ now: Instant) -> [Directive] {
    end()
    return counted(answer.usage, by: leg) + [
      .deliver(
        .finished(
          summary(
            leg, firstToken: answer.firstToken ?? begun.duration(to: now),
            finishReason: answer.finishReason, usage: answer.usage, now)))
    ]
  }

  /// Gives up the answering host. Another host resumes at the last safe boundary, such as the end
  /// of a word, a JSON token or a line.
  mutating func interrupt(
    _ failure: AttemptFailure, _ cluster: some ClusterAccess, _ now: Instant
  ) -> [Directive] {
    guard let leg = legs.first else { return [] }
    if legs.count > 1, phase == .answering { return promoteRelief(failure, cluster, now) }
    legs = []
    // No relief host is running, so nothing is withheld.
    _ = answer.endRelief()
    beginResuming()
    let reformed = reformed(leg, failure)
    let recorded = reformed == nil ? failure : failure.ofForm
    let directives = [Directive.cancel(leg.id)] + record(leg, .failed(recorded), now)
    if let end = answer.endAtLimit() {
      return directives + end + conclude(leg, now) + [.complete]
    }
    let unsafeText = answer.unsafeText
    let released: [Directive]
    do throws(Failure) {
      released = try answer.suspendAtBoundary(isJoinable: failure.kind != .badJoint)
    } catch {
      return directives + (answer.releaseAll(of: unsafeText) ?? [])
        + fail(brokenAnswer(failure, error))
    }
    let view = cluster.view()
    guard
      let next = reformed ?? instructed(leg, failure, at: answer.resumePoint)
        ?? replacement(view, cluster)
    else {
      return directives + (answer.releaseAll(of: unsafeText) ?? released)
        + fail(brokenAnswer(failure))
    }
    return directives + released + resume(at: next, view, now)
  }

  /// Asks a host to resume the answer. From here on there is no race: another host is asked only if
  /// this host fails or is late.
  private mutating func resume(
    at next: Candidate, _ view: ClusterView, _ now: Instant
  ) -> [Directive] {
    race = Race(mode: .single)
    return startResuming(at: next, answer.resumePoint, view, now)
  }

  mutating func startResuming(
    at next: Candidate, _ resume: ResumePoint?, _ view: ClusterView, _ now: Instant
  ) -> [Directive] {
    var next = next
    var resume = resume
    if phase == .resuming, shouldRepeat(next.host.id) {
      (next, resume) = repetition(by: next)
    } else if shouldInstruct(next.host.id) {
      next.host.resume = .instruct
    }
    let way = way(to: next, at: resume)
    if way == .instruct { resumeHistory.recordInstruction(of: next.host.id) }
    return start(next, .resumption, view, way: way, at: resume, now: now)
  }

  /// The candidate and resume point for a host that must repeat some of the client's text.
  ///
  /// There are two ways to ask for a repetition, and each is tried once. With a shorter prefix, the
  /// host generates the rest of the client's text again by itself. An instruction shows the host
  /// the text to repeat.
  ///
  /// The shorter prefix usually comes first, because a host that was asked by instruction has
  /// already been shown text to repeat. Exception: the answer is JSON, and the host is always asked
  /// by instruction. Such a host may have repeated the shown text, but in JSON the repetition could
  /// not be verified. So the instruction comes first.
  private mutating func repetition(by candidate: Candidate) -> (Candidate, ResumePoint?) {
    guard let point = answer.suspendForRepetition() else {
      return (candidate, answer.resumePoint)
    }
    let isFirst = resumeHistory.recordRepetition(of: candidate.host.id)
    let showsFirst = candidate.host.resume == .instruct && answer.hidesRepetitions
    guard !point.prefix.isEmpty, showsFirst == isFirst else {
      answer.setResumePoint(point.withoutAnchor)
      return (candidate, answer.resumePoint)
    }
    answer.setResumePoint(point)
    var instructed = candidate
    instructed.host.resume = .instruct
    return (instructed, point)
  }

  /// How a host can be asked to resume this answer. `nil` means that it must start over.
  private func way(to next: Candidate, at resume: ResumePoint?) -> ResumeWay? {
    (try? UpstreamRequest(request, to: next, from: resume))?.resumed
  }

  /// The same host, to be asked again by an instruction.
  ///
  /// Backends that accept no assistant message at the end answer 400. They are asked once more in
  /// this way. `nil` means that an instruction would not help.
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

  /// Handles silence and slow answers. A low rate counts only if there is a host that was not asked
  /// yet.
  mutating func checkPace(_ cluster: some ClusterAccess, _ now: Instant) -> [Directive] {
    guard let leg = legs.first else { return [] }
    let due = nextChunkDue(leg)
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
    var directives = legs.count > 1 ? checkRelief(cluster, now) : []
    guard phase == .answering, legs.first?.id == leg.id, answer.nextPaceCheck <= now else {
      return directives
    }
    if answer.reliefCause == .crawl {
      // The relief host had one interval of the pace check to take over, and did not.
      directives += dismissRelief(by: leg, now)
    }
    guard let rate = answer.checkPace(now: now), !answer.isWhole,
      hasUntriedHost(cluster.view())
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
  func nextChunkDue(_ leg: RunningAttempt) -> Instant {
    leg.nextChunkDue(after: answer.lastChunk, isFinished: answer.isFinished, limits)
  }

  func hasUntriedHost(_ view: ClusterView) -> Bool {
    let asked = ledger.hosts.union(legs.map(\.host))
    return eligibility(view).candidates.contains { !asked.contains($0.host.id) }
  }

  static func oneDecimal(_ value: Double) -> String {
    let tenths = Int(clamping: (value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
