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
    attempts.append(
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

  /// The failure of an answer that began and cannot be completed.
  func broken(
    at attempt: Attempt, _ failure: AttemptFailure, _ reason: Failure? = nil
  ) -> Failure {
    guard answer?.firstToken != nil else { return failureOfAll() }
    let tokens = attempts.reduce(0) { $0 + ($1.isInAnswer ? $1.tokens : 0) }
    let code: Failure.Code =
      failure.kind == .totalDeadline ? .deadlineExceeded : .upstreamFailed
    return Failure(
      code,
      "the answer broke off after \(tokens) tokens and "
        + (reason.map(\.message) ?? "no other host could resume it") + ": "
        + Self.causes(attempts), refusal: Self.serverError(attempts.compactMap(\.failure)))
  }

  /// One failure that sums up the failures of all attempts.
  func failureOfAll() -> Failure {
    // Skips attempts after which the same host was asked again without an addition.
    let last = attempts.filter { $0.failure != nil && $0.failure?.kind != .formRefused }
    let failures = last.compactMap(\.failure)
    if let rejected = last.last(where: { $0.failure?.kind == .rejected }),
      let failure = rejected.failure
    {
      return Self.refused(
        failure, "host \(rejected.host) rejects the request: \(failure.message)")
    }
    let causes = Self.causes(last)
    let small = failures.filter { $0.kind == .contextTooSmall }
    if let first = small.first,
      failures.allSatisfy({ $0.kind == .contextTooSmall || $0.isUnasked })
    {
      return Failure(
        .contextLengthExceeded, "the request is longer than any host can read: \(causes)",
        refusal: first.forClient)
    }
    if failures.contains(where: { $0.kind == .totalDeadline }) {
      return Failure(.deadlineExceeded, causes)
    }
    if let agreed = Self.agreed(failures) {
      let wait = failures.compactMap(\.retryAfter).min()
      let what = agreed.status == 429 ? "every host that was asked is busy: " : ""
      return Self.refused(agreed, what + causes, retryAfter: wait)
    }
    if failures.allSatisfy({ $0.kind == .busy }) {
      let wait = failures.compactMap(\.retryAfter).min() ?? .seconds(1)
      return Failure(.hostsBusy, "every host that was asked is busy: \(causes)", retryAfter: wait)
    }
    if failures.allSatisfy({ $0.kind == .firstTokenDeadline }) {
      return Failure(.deadlineExceeded, causes)
    }
    return Failure(.upstreamFailed, causes, refusal: Self.serverError(failures))
  }

  /// The messages of all failed attempts. Repeated messages appear once, with their count.
  private static func causes(_ records: [AttemptRecord]) -> String {
    var causes: [(text: String, times: Int)] = []
    for record in records {
      guard let failure = record.failure else { continue }
      let text = "host \(record.host): \(failure.message)"
      if let known = causes.firstIndex(where: { $0.text == text }) {
        causes[known].times += 1
      } else {
        causes.append((text, 1))
      }
    }
    return causes.map { $0.times > 1 ? "\($0.text) (\($0.times) times)" : $0.text }
      .joined(separator: "; ")
  }

  /// The last failure with a 4xx status, if all hosts that answered agree on the status. For 429,
  /// hosts that were never reached are ignored: they do not disprove that a host is busy.
  private static func agreed(_ failures: [AttemptFailure]) -> AttemptFailure? {
    guard let last = failures.last(where: { $0.status != nil }), let status = last.status,
      (400..<500).contains(status)
    else { return nil }
    let isAgreed = failures.allSatisfy {
      $0.status == status || $0.status == nil && status == 429 && $0.isUnasked
    }
    return isAgreed ? last : nil
  }

  private static func refused(
    _ failure: AttemptFailure, _ message: String, retryAfter: Duration? = nil
  ) -> Failure {
    let code: Failure.Code
    switch failure.status {
    case 401: code = .invalidAPIKey
    case 402: code = .insufficientBalance
    case 403: code = .permissionDenied
    case 404: code = .modelNotFound
    case 408: code = .upstreamFailed
    case 413: code = .requestTooLarge
    case 429: code = .rateLimited
    default: code = .invalidRequest
    }
    let remedy =
      failure.status == 401
      ? "; set a host's key when you add the host: tutti hosts add URL --credential env:NAME"
      : ""
    return Failure(
      code, message + remedy, retryAfter: retryAfter ?? failure.retryAfter,
      refusal: failure.forClient)
  }

  /// The error object of the last host, if all failures carry the same error status of 500 or more.
  /// An error in a stream counts as 502.
  private static func serverError(_ failures: [AttemptFailure]) -> HostRefusal? {
    guard let last = failures.last?.refusal, last.status >= 500,
      failures.allSatisfy({ $0.refusal?.status == last.status })
    else { return nil }
    return HostRefusal(status: 502, members: last.members)
  }
}

extension Failure.Code {
  /// OpenAI's name. Client libraries look for it to shorten a prompt.
  static let contextLengthExceeded = Failure.Code(rawValue: "context_length_exceeded")
  static let insufficientBalance = Failure.Code(rawValue: "insufficient_balance")
}
