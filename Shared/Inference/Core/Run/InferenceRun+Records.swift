import ClusterModel

/// Records and reports about a run.
extension InferenceRun {
  func opening(_ attempt: RunningAttempt, _ now: Instant) -> InferenceOpening {
    InferenceOpening(
      host: attempt.host, model: attempt.candidate.model, status: attempt.status,
      firstToken: begun.duration(to: now), attempt: attempt.id.number + 1,
      hostModel: attempt.candidate.hostModel, tier: attempt.candidate.host.tier)
  }

  /// Records how an attempt ended, for the ledger and for the host statistics.
  mutating func record(
    _ attempt: RunningAttempt, _ outcome: AttemptOutcome, _ now: Instant
  ) -> [Directive] {
    let isCut = outcome == .answered && answer.isEndedByRepetition
    ledger.append(
      attempt.record(
        outcome, ending: isCut ? .repetition : nil, form: reported(attempt.candidate.form),
        begun: begun, now: now))
    return attempt.observations(outcome, now: now).map {
      .observe(attempt.host, $0, started: attempt.started)
    }
  }

  /// Observations that hosts were wrong to refuse the request, because another host has answered
  /// it.
  func contradictions() -> [Directive] {
    ledger.contradicted.map { record in
      .observe(record.host, .contradicted, started: begun.advanced(by: record.started))
    }
  }

  func summary(
    _ attempt: RunningAttempt, firstToken: Duration, finishReason: String?, usage: Usage,
    _ now: Instant
  ) -> InferenceSummary {
    InferenceSummary(
      host: attempt.host, model: attempt.candidate.model, usage: usage,
      finishReason: finishReason ?? "", firstToken: firstToken, total: begun.duration(to: now),
      attempts: attempts)
  }

  /// The failure of an answer that cannot be completed.
  /// - Parameter reason: why the answer cannot be resumed. `nil` means that no host is left.
  func brokenAnswer(_ failure: AttemptFailure, _ reason: Failure? = nil) -> Failure {
    guard answer.firstToken != nil else { return ledger.failure }
    return ledger.failureOfAnswer(after: failure, reason)
  }
}
