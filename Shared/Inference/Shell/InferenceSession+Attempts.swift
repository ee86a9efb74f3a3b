import AsyncHTTPClient
import ClusterModel
import InferenceCore
import Logging
import NIOCore
import Overload
import Synchronization

/// Identifies a translated request by all values that the translation depends on. Only translations
/// without a resume point are kept.
struct PreparedKey: Hashable, Sendable {
  let dialect: HostDialect
  let model: ModelID
  let upstream: ModelID?
  let secret: String?
  let form: RequestForm
  let omitsV1: Bool
}

/// Sends the requests of attempts to hosts.
extension InferenceSession {
  /// Maximum translations of a request that are kept.
  private static let mostPrepared = 2

  func start(_ id: AttemptID, _ candidate: Candidate, _ resume: ResumePoint?) {
    guard isLarge, pool.eventLoop.inEventLoop else {
      ask(id, candidate, resume)
      return
    }
    aside { self.ask(id, candidate, resume) }
  }

  private func ask(_ id: AttemptID, _ candidate: Candidate, _ resume: ResumePoint?) {
    // This job may have waited for its thread so long that the attempt was given up meanwhile.
    if isLarge, state.withLock({ $0.upstream[id] == nil || $0.end != nil }) { return }
    let http: HTTPClient.Request
    let prepared: UpstreamRequest
    let secret: String?
    do throws(AttemptFailure) {
      secret = try client.secret(for: candidate)
      prepared = try prepare(candidate, resume, secret)
      http = try client.makeHTTPRequest(prepared, request, to: candidate)
    } catch {
      failed(error, id)
      return
    }
    let host = candidate.host.url
    let delegate: @Sendable ((@Sendable () -> Void)?) -> UpstreamDelegate = { [self] again in
      UpstreamDelegate(
        session: self, attempt: id, host: host, reading: prepared.reading, secret: secret,
        limits: client.limits, again: again)
    }
    var again: (@Sendable () -> Void)?
    if pool.kept.mayBeUsed(host, at: .now()) {
      again = { [self] in execute(http, id, on: pool.fresh, delegate(nil)) }
    }
    execute(http, id, on: pool.client, delegate(again))
  }

  private func execute(
    _ http: HTTPClient.Request, _ id: AttemptID, on client: HTTPClient,
    _ delegate: UpstreamDelegate
  ) {
    let task = client.execute(request: http, delegate: delegate)
    let isCurrent = state.withLock { state in
      guard state.upstream[id] != nil, state.end == nil else { return false }
      state.upstream[id] = .some(task)
      return true
    }
    // The attempt was given up, or the answer was completed, before the HTTP task was stored.
    if !isCurrent { pool.eventLoop.scheduleTask(in: .zero) { task.cancel() } }
  }

  /// Translates a request for a host. The translation of a large request is kept for other hosts
  /// with the same `PreparedKey`.
  private func prepare(
    _ candidate: Candidate, _ resume: ResumePoint?, _ secret: String?
  ) throws(AttemptFailure) -> UpstreamRequest {
    let key = PreparedKey(
      dialect: candidate.host.dialect, model: candidate.model, upstream: candidate.upstream,
      secret: secret,
      form: candidate.form, omitsV1: candidate.host.omitsV1)
    let isKept = isLarge && resume == nil
    if isKept, let known = state.withLock({ $0.prepared[key] }) { return known }
    let prepared: UpstreamRequest
    do throws(AdapterRefusal) {
      prepared = try UpstreamRequest(request, to: candidate, from: resume, secret: secret)
    } catch {
      throw error.failure
    }
    if isKept {
      state.withLock { state in
        if state.prepared.count >= Self.mostPrepared { state.prepared = [:] }
        state.prepared[key] = prepared
      }
    }
    return prepared
  }

  func recordOutcome(_ attempts: [AttemptRecord]) {
    let summary = state.withLock { state in
      state.prepared = [:]
      return state.summary
    }
    client.metrics.record(attempts: attempts, summary: summary, promptTokens: promptTokens) {
      client.price(of: $0)
    }
    for attempt in attempts {
      guard let failure = attempt.failure else { continue }
      if attempt.isBrokenOff, let skipped = client.brokenAttempts.pass() {
        client.logger.warning(
          "host broke off an answer",
          metadata: [
            "event": "attempt_broken", "trace_id": "\(request.trace.trace)",
            "host": "\(attempt.host)", "model": "\(attempt.model)", "tokens": "\(attempt.tokens)",
            "code": "\(failure.kind.rawValue)", "reason": "\(failure.message)",
            "skipped": "\(skipped)",
          ])
        continue
      }
      client.logger.debug(
        "host did not answer",
        metadata: [
          "trace_id": "\(request.trace.trace)", "host": "\(attempt.host)",
          "code": "\(failure.kind.rawValue)", "reason": "\(failure.message)",
        ])
    }
  }
}
