import ClusterModel
import GatewayCore
import Metrics
import Money
import Overload
import Synchronization
import Telemetry

/// Record of one client request, which is emitted once when the request ends.
///
/// A client without a key can cause any number of refused requests, and the store of records is
/// bounded. So refused requests are recorded at a limited rate and do not displace the records of
/// other requests. Metrics count all refused requests.
///
/// If the server drops a response that was not read, it reports no error. The journal is then
/// deinitialised and records that the client left.
final class RequestJournal: Sendable {
  /// Status 499, as in nginx: the client closed the request.
  static let clientLeftStatus = 499

  private struct State {
    var model = ""
    var pattern = Plan.direct
    var isPlan = false
    var stream = false
    var host = ""
    /// Model of the host that answered. `nil` means that a plan answers, or that no host has
    /// answered.
    var answeringModel: ModelID?
    var isPaid = false
    var usage = Usage.zero
    var finishReason = ""
    /// The client's charge. `nil` means that the request is not billed.
    var cost: MicroCredits?
    var costs = HostCosts.none
    var firstProgress: Duration?
    var firstToken: Duration?
    var reason: String?
    var attempts: [AttemptFacts] = []
    /// Id of the request's key. `nil` means that no key is required, or that none was checked yet.
    var key: String?
    var use: KeyUse?
    /// Whether the request passed all checks before its answer began.
    var isAdmitted = false
    /// Whether a host may have been asked.
    var mayHaveAsked = false
    var isOver = false
    /// Whether the tokens of the request are still awaited after its end.
    var isPostponed = false
    /// The end of a request whose tokens are awaited. `nil` means that there is none.
    var postponed: Ending?

    /// Model of a request that costs nothing. `nil` means that the request is billed.
    var freeModel: String? { isPaid ? nil : answeringModel?.name ?? model }
  }

  /// How the request ended.
  private struct Ending {
    let status: Int
    /// Why the answer is missing or incomplete. `nil` means that the answer is complete.
    let failure: Failure?
    let elapsed: Duration
  }

  /// Statuses of requests that the cluster refuses. Other failures are mistakes of the client, or
  /// failures of an answer that had begun.
  private static let refusedStatuses: Set<Int> = [402, 403, 404, 429, 503]

  /// Names of models that metrics have.
  private static let models = BoundedLabel(limit: 64)

  /// The request's path.
  let endpoint: String
  private let recorder: TelemetryRecorder
  /// Limits the rate at which refused requests are recorded. `nil` means that all are recorded.
  private let refusals: RateGate?
  private let brokenAnswers: BrokenAnswerLog?
  private let span: OpenSpan
  private let started = ContinuousClock.now
  private let startedUnix = UnixTime.microseconds()
  private let state = Mutex(State())

  /// - Parameter brokenAnswers: `nil` means that an answer that breaks off is not logged.
  init(
    _ endpoint: String, recorder: TelemetryRecorder, refusals: RateGate? = nil,
    brokenAnswers: BrokenAnswerLog? = nil
  ) {
    self.endpoint = endpoint
    self.recorder = recorder
    self.refusals = refusals
    self.brokenAnswers = brokenAnswers
    span = recorder.span(.request, in: nil)
    span.set("endpoint", endpoint)
  }

  deinit {
    end(
      status: Self.clientLeftStatus,
      Failure(.cancelled, "the client left before the answer ended"))
    emitPostponed()
  }

  var trace: TraceContext { span.context }
  private var elapsed: Duration { started.duration(to: .now) }

  /// Opens a span for one phase of this request.
  func phase(_ phase: LifecyclePhase) -> OpenSpan { recorder.span(phase, in: trace) }

  // MARK: - During the request

  func record(_ request: ClientRequest) {
    state.withLock {
      $0.model = request.model.name
      $0.stream = request.stream
    }
  }

  /// Records the id of the request's valid key. `nil` means that no key is required. A request with
  /// a valid key may still be refused later.
  func record(key: String?) {
    if let key { span.set("key", key) }
    state.withLock { $0.key = key }
  }

  /// Records the use of the request's key, which ends with the request.
  func record(_ use: KeyUse?) { state.withLock { $0.use = use } }

  /// Takes the use of the request's key, which then does not end with the request.
  /// - Returns: a function that ends the use, with the tokens of the request. `nil` means that there
  ///   is no use.
  func takeUse() -> (@Sendable (Usage) -> Void)? {
    let (use, freeModel) = state.withLock { ($0.use.take(), $0.freeModel) }
    guard let use else { return nil }
    return { use.finish($0, freeModel: freeModel) }
  }

  /// Records that the request passed all checks, so that an answer is made for it.
  func recordAdmission() { state.withLock { $0.isAdmitted = true } }

  /// Counts more estimated tokens against the limits of the request's key.
  /// - Parameter mayRefuse: whether the request may still be refused.
  func raiseUse(to tokens: Int, mayRefuse: Bool) throws(Failure) {
    let use = state.withLock(\.use)
    try use?.raise(to: tokens, mayRefuse: mayRefuse)
  }

  /// Records that hosts may be asked from now on.
  func recordAsking() { state.withLock { $0.mayHaveAsked = true } }

  /// Records that the request is billed.
  func recordPayment() { state.withLock { $0.isPaid = true } }

  /// Records that a plan with this pattern answers the request.
  func recordPattern(_ pattern: String) {
    state.withLock {
      $0.pattern = pattern
      $0.isPlan = true
    }
  }

  /// Records why a request for `tutti/auto` is answered without a plan.
  func recordReason(_ reason: String) { state.withLock { $0.reason = reason } }
  var reason: String? { state.withLock(\.reason) }

  /// Records the time of the first progress line. Later calls do nothing.
  func recordProgress() {
    let elapsed = elapsed
    state.withLock { state in
      if state.firstProgress == nil { state.firstProgress = elapsed }
    }
  }

  /// Records the time of the first piece of the answer. Later calls do nothing.
  func recordFirstToken() {
    let elapsed = elapsed
    state.withLock { state in
      if state.firstToken == nil { state.firstToken = elapsed }
    }
  }

  var times: TraceExtension.Times {
    state.withLock {
      TraceExtension.Times(firstProgress: $0.firstProgress, firstToken: $0.firstToken)
    }
  }

  /// - Parameters:
  ///   - model: the model of the host. `nil` means that a plan answers.
  ///   - finishReason: why the answer ended. Empty if it did not end.
  ///   - costs: tokens and costs of the hosts.
  func recordAnswer(
    by host: String, model: ModelID? = nil, usage: Usage, finishReason: String = "",
    costs: HostCosts = .none
  ) {
    state.withLock {
      $0.host = host
      $0.answeringModel = model
      $0.usage = usage
      $0.finishReason = finishReason
      $0.costs = costs
    }
  }

  /// Records the client's charge. `nil` means that the request is not billed.
  func recordCost(_ cost: MicroCredits?) { state.withLock { $0.cost = cost } }

  /// Records the tokens of an answer that the client did not receive to its end. Does nothing if a
  /// complete answer was recorded.
  ///
  /// - Parameters:
  ///   - costs: tokens and costs of the hosts, also of those that failed.
  ///   - cost: the client's charge. `nil` means that the request is not billed.
  func recordPart(
    by host: String, model: ModelID, usage: Usage, costs: HostCosts = .none,
    cost: MicroCredits? = nil
  ) {
    state.withLock { state in
      guard state.usage == .zero else { return }
      state.costs = costs
      state.cost = cost
      guard usage != .zero else { return }
      state.host = host
      state.answeringModel = model
      state.usage = usage
    }
  }

  /// Records the hosts that were asked and the outcome of each attempt.
  func recordAttempts(_ attempts: [AttemptFacts]) { state.withLock { $0.attempts = attempts } }

  /// Postpones the record of a cancelled plan until the tokens of its tasks are known.
  ///
  /// The caller must call `recordLate`. The end of the request does not wait.
  func postpone() { state.withLock { $0.isPostponed = true } }

  /// Records the tokens of a cancelled plan, and emits its record if the request has ended.
  func recordLate(_ usage: Usage, costs: HostCosts, cost: MicroCredits?) {
    state.withLock { state in
      state.usage = usage
      state.costs = costs
      state.cost = cost
    }
    emitPostponed()
  }

  // MARK: - End

  /// Emits the record, the spans and the metrics. Only the first call has an effect.
  /// - Parameter failure: why the answer is missing or incomplete.
  func end(status: Int, _ failure: Failure? = nil) {
    let ending = Ending(status: status, failure: failure, elapsed: elapsed)
    let state = state.withLock { state -> State? in
      guard !state.isOver else { return nil }
      state.isOver = true
      return state
    }
    guard let state else { return }
    state.use?.finish(
      state.usage, freeModel: state.freeModel, wasRefused: Self.isRefusal(state, ending))
    emitMetrics(state, ending)
    logIfBroken(state, ending)
    if !state.isAdmitted, ending.failure != nil, let refusals, refusals.pass() == nil {
      Counter(label: "tutti_gateway_unrecorded_total").increment()
      return
    }
    emitSpan(state, ending)
    let known = self.state.withLock { state -> State? in
      guard state.isPostponed else { return state }
      state.postponed = ending
      return nil
    }
    if let known { emitTokens(known, ending) }
  }

  /// Emits what was postponed, with the tokens that are known now. Later calls do nothing.
  private func emitPostponed() {
    let (state, ending) = self.state.withLock { state -> (State, Ending?) in
      state.isPostponed = false
      return (state, state.postponed.take())
    }
    if let ending { emitTokens(state, ending) }
  }

  private func emitTokens(_ state: State, _ ending: Ending) {
    // Only a plan has an accounting span. The usage of a direct answer is part of the request span.
    if state.isPlan { emitAccounting(state) }
    emitRecord(state, ending)
  }

  /// Whether the request was refused before any host was asked.
  private static func isRefusal(_ state: State, _ ending: Ending) -> Bool {
    guard let failure = ending.failure, refusedStatuses.contains(ending.status),
      state.usage == .zero
    else { return false }
    return !state.mayHaveAsked || (!state.isPlan && failure.code == .noEligibleHost)
  }

  private func logIfBroken(_ state: State, _ ending: Ending) {
    guard let failure = ending.failure,
      BrokenAnswerLog.isBroken(
        status: ending.status, failure, isStream: state.stream, hasToken: state.firstToken != nil)
    else { return }
    brokenAnswers?.record(
      trace.trace, model: state.model, pattern: state.pattern, host: state.host,
      attempts: state.attempts, failure)
  }

  private func emitAccounting(_ state: State) {
    let span = phase(.accounting)
    Self.set(state.usage, on: span)
    Self.setCosts(state, on: span)
    span.end()
  }

  private static func setCosts(_ state: State, on span: OpenSpan) {
    if let cost = state.cost { span.set("cost", cost.credits) }
    if let cost = state.costs.total { span.set(SpanRecord.hostCostKey, cost.description) }
  }

  private static func set(_ usage: Usage, on span: OpenSpan) {
    span.set("prompt_tokens", String(usage.promptTokens))
    if usage.cachedTokens > 0 { span.set("cached_tokens", String(usage.cachedTokens)) }
    span.set("completion_tokens", String(usage.completionTokens))
  }

  private func emitRecord(_ state: State, _ ending: Ending) {
    recorder.record(
      RequestRecord(
        trace: trace.trace, timeUnixMicroseconds: startedUnix,
        key: state.key ?? "", endpoint: endpoint, model: state.model,
        pattern: state.pattern, stream: state.stream, status: ending.status,
        errorCode: ending.failure?.code.rawValue ?? "", host: state.host, usage: state.usage,
        finishReason: state.finishReason,
        cost: state.cost.map { CreditAmount(millionths: $0.count) },
        hostCost: state.costs.total, shares: state.costs.shares,
        firstTokenMilliseconds: state.firstToken.map { Int($0.wholeMilliseconds) } ?? 0,
        totalMilliseconds: Int(ending.elapsed.wholeMilliseconds)))
  }

  private func emitSpan(_ state: State, _ ending: Ending) {
    span.set("status", String(ending.status))
    span.set("pattern", state.pattern)
    if !state.model.isEmpty { span.set("model", state.model) }
    if let first = state.firstProgress {
      span.set("first_progress_ms", String(first.wholeMilliseconds))
    }
    if let first = state.firstToken {
      span.set("first_token_ms", String(first.wholeMilliseconds))
    }
    // The tokens of a cancelled plan are in its accounting span, as soon as they are known.
    if !state.isPostponed, state.usage != .zero { Self.set(state.usage, on: span) }
    if !state.finishReason.isEmpty { span.set("finish_reason", state.finishReason) }
    if !state.isPlan { Self.setCosts(state, on: span) }
    if !state.host.isEmpty { span.set("host", state.host) }
    if let failure = ending.failure {
      // The message names every failed host and quotes its error, so the span has code and message.
      span.set("error", failure.code.rawValue)
      if !failure.message.isEmpty { span.set("reason", failure.message) }
    }
    // The attempts come last, because a span holds a limited number of attributes.
    span.set(AttemptFacts.attributes(state.attempts))
    span.end(failed: ending.status >= 400)
  }

  private func emitMetrics(_ state: State, _ ending: Ending) {
    let labels = [("endpoint", endpoint), ("pattern", state.pattern)]
    // A client can invent any number of names. Only a name that a host or the cluster has passes
    // the checks.
    let model = state.isAdmitted ? Self.models.name(for: state.model) : "other"
    Counter(
      label: "tutti_gateway_requests_total",
      dimensions: labels + [("status", "\(ending.status)"), ("model", model)]
    ).increment()
    Timer(label: "tutti_gateway_request_seconds", dimensions: labels)
      .record(duration: ending.elapsed)
    if let firstToken = state.firstToken {
      Timer(label: "tutti_gateway_first_token_seconds", dimensions: labels)
        .record(duration: firstToken)
    }
  }
}
