import ClusterModel

/// Records and reports about a run.
extension InferenceRun {
  func opening(_ attempt: Attempt, _ now: Instant) -> InferenceOpening {
    InferenceOpening(
      host: attempt.host, model: attempt.candidate.model, status: attempt.status,
      firstToken: begun.duration(to: now), attempt: attempt.id.number + 1)
  }

  /// Records how an attempt ended, for the ledger and for the host statistics.
  mutating func record(
    _ attempt: Attempt, _ outcome: AttemptOutcome, _ now: Instant
  ) -> [Directive] {
    ledger.append(
      AttemptRecord(
        host: attempt.host, model: attempt.candidate.model, role: attempt.role,
        tier: attempt.candidate.host.tier,
        started: begun.duration(to: attempt.started), ended: begun.duration(to: now),
        tokens: attempt.made ?? attempt.tokens, form: reported(attempt.candidate.form),
        outcome: outcome, isPanic: attempt.isPanic))
    var observations: [HostObservation] = []
    if let first = attempt.firstToken, let last = attempt.lastToken, attempt.tokens > 1 {
      observations.append(
        .flowed(
          tokens: attempt.tokens - 1, over: first.duration(to: last),
          longestPause: attempt.longestPause))
    }
    let answered = attempt.firstToken != nil
    let end: HostObservation =
      switch outcome {
      case .answered: .ended
      case .beaten: .cancelled(answered: answered)
      case .failed(let failure) where failure.kind == .consumerLeft:
        .withdrawn(answered: answered)
      // One client's strict deadline must not open a host's breaker for all other clients.
      case .failed(let failure) where attempt.isHurried && failure.kind.isLateness:
        .withdrawn(answered: answered)
      case .failed(let failure): .failed(failure, answered: answered)
      }
    return (observations + [end]).map { .observe(attempt.host, $0, started: attempt.started) }
  }

  /// Observations that hosts were wrong to refuse the request, because another host answered it.
  func contradictions() -> [Directive] {
    ledger.contradicted.map { record in
      .observe(record.host, .contradicted, started: begun.advanced(by: record.started))
    }
  }

  func summary(
    _ attempt: Attempt, firstToken: Duration, finishReason: String?, usage: Usage, _ now: Instant
  ) -> InferenceSummary {
    InferenceSummary(
      host: attempt.host, model: attempt.candidate.model, usage: usage,
      finishReason: finishReason ?? "", firstToken: firstToken, total: begun.duration(to: now),
      attempts: attempts)
  }

  /// The failure of an answer that cannot be completed.
  /// - Parameter reason: why it cannot be resumed; `nil` means that no host is left.
  func brokenAnswer(_ failure: AttemptFailure, _ reason: Failure? = nil) -> Failure {
    guard answer?.firstToken != nil else { return ledger.failure }
    return ledger.failureOfAnswer(after: failure, reason)
  }
}
