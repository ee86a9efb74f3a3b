import ClusterModel

/// Failures of whole runs, composed from the failures of their attempts.
extension AttemptLedger {
  /// The failure of an answer that has begun and cannot be completed.
  /// - Parameters:
  ///   - failure: the failure of the last attempt.
  ///   - reason: why the answer cannot be resumed. `nil` means that no host is left.
  func failureOfAnswer(after failure: AttemptFailure, _ reason: Failure?) -> Failure {
    let code: Failure.Code =
      failure.kind == .totalDeadline ? .deadlineExceeded : .upstreamFailed
    return Failure(
      code,
      "the answer broke off after \(tokensInAnswer) tokens and "
        + (reason.map(\.message) ?? "no other host could resume it") + ": "
        + Self.causes(records), refusal: Self.serverError(records.compactMap(\.failure)))
  }

  /// One failure that summarises the failures of all attempts.
  var failure: Failure {
    let failed = failed
    let failures = failed.compactMap(\.failure)
    if let rejected = failed.last(where: { $0.failure?.kind == .rejected }),
      let failure = rejected.failure
    {
      return Self.refused(
        failure, "host \(rejected.host) rejects the request: \(failure.message)")
    }
    let causes = Self.causes(failed)
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

  /// The messages of all failed attempts. A repeated message appears once, with its count.
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

  /// The last failure with a status, if it is a 4xx status and all failures have it. `nil` means
  /// that it is another status, or that the failures differ.
  ///
  /// For 429, failures without a status count as equal if their hosts were not asked or not
  /// reached. Such hosts do not contradict the others.
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
  /// An error in a stream counts as status 502. `nil` means that there is no such status.
  private static func serverError(_ failures: [AttemptFailure]) -> HostRefusal? {
    guard let last = failures.last?.refusal, last.status >= 500,
      failures.allSatisfy({ $0.refusal?.status == last.status })
    else { return nil }
    return HostRefusal(status: 502, members: last.members)
  }
}

extension Failure.Code {
  /// OpenAI's code. Client libraries that receive this code shorten the prompt.
  static let contextLengthExceeded = Failure.Code(rawValue: "context_length_exceeded")
  static let insufficientBalance = Failure.Code(rawValue: "insufficient_balance")
}
