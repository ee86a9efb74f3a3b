import ClusterModel

/// What is told about a run.
extension InferenceRun {
  func opening(_ attempt: Attempt, _ now: Instant) -> InferenceOpening {
    InferenceOpening(
      host: attempt.host, model: attempt.candidate.model, status: attempt.status,
      firstToken: begun.duration(to: now), attempt: attempt.id.number + 1)
  }

  /// Notes how an attempt ended, for the ledger and for the hosts' standing.
  mutating func record(
    _ attempt: Attempt, _ outcome: AttemptOutcome, _ now: Instant
  ) -> [Directive] {
    attempts.append(
      AttemptRecord(
        host: attempt.host, model: attempt.candidate.model, role: attempt.role,
        tier: attempt.candidate.host.tier,
        started: begun.duration(to: attempt.started), ended: begun.duration(to: now),
        tokens: attempt.made ?? attempt.tokens, outcome: outcome))
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
      // One client's haste must not take a host from all the others.
      case .failed(let failure) where attempt.isHurried && failure.kind.isLateness:
        .withdrawn(answered: answered)
      case .failed(let failure): .failed(failure, answered: answered)
      }
    return (observations + [end]).map { .observe(attempt.host, $0, started: attempt.started) }
  }

  /// The request has an answer, so hosts that refused it were wrong.
  func contradictions() -> [Directive] {
    attempts.compactMap { record in
      guard record.role != .resumption, record.failure?.isRefusal == true else { return nil }
      return .observe(
        record.host, .contradicted, started: begun.advanced(by: record.started))
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

  /// An answer that was begun and cannot be finished.
  func broken(
    at attempt: Attempt, _ failure: AttemptFailure, _ reason: Failure? = nil
  ) -> Failure {
    guard answer?.firstToken != nil else { return failureOfAll() }
    let tokens = attempts.reduce(0) { $0 + ($1.isInAnswer ? $1.tokens : 0) }
    let told = attempts.compactMap { record in
      record.failure.map { "host \(record.host): \($0.message)" }
    }
    let code: Failure.Code =
      failure.kind == .totalDeadline ? .deadlineExceeded : .upstreamFailed
    return Failure(
      code,
      "the answer broke off after \(tokens) tokens and "
        + (reason.map(\.message) ?? "no other host could go on with it") + ": "
        + told.joined(separator: "; "))
  }

  /// One failure from those of all hosts that were asked.
  func failureOfAll() -> Failure {
    let failures = attempts.compactMap(\.failure)
    if let rejected = attempts.last(where: { $0.failure?.kind == .rejected }),
      let failure = rejected.failure
    {
      let code: Failure.Code = failure.status == 413 ? .requestTooLarge : .invalidRequest
      return Failure(code, "host \(rejected.host) rejects the request: \(failure.message)")
    }
    let told = attempts.compactMap { record in
      record.failure.map { "host \(record.host): \($0.message)" }
    }.joined(separator: "; ")
    if failures.allSatisfy({ $0.kind == .contextTooSmall }) {
      return Failure(
        .contextLengthExceeded, "the request is longer than any host can read: \(told)")
    }
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

extension Failure.Code {
  /// By OpenAI's name, which client libraries look for to shorten a prompt.
  static let contextLengthExceeded = Failure.Code(rawValue: "context_length_exceeded")
}
