import ClusterModel
import GatewayCore
import Metrics
import Synchronization
import Telemetry

/// Record of one client request, emitted once when it ends.
///
/// The server drops an unread response without an error. The journal is then deinitialised and
/// records that the client left.
final class RequestJournal: Sendable {
  /// Status 499, as in nginx: the client closed the request.
  static let clientLeft = 499
  private struct State {
    var model = ""
    var pattern = Plan.direct
    var isPlan = false
    var stream = false
    var host = ""
    var usage = Usage.zero
    var credits: Int?
    var firstProgress: Duration?
    var firstToken: Duration?
    var reason: String?
    var attempts: [AttemptFacts] = []
    var isOver = false
  }

  /// The request's path.
  let endpoint: String
  private let recorder: TelemetryRecorder
  private let span: OpenSpan
  private let started = ContinuousClock.now
  private let startedUnix = UnixTime.microseconds()
  private let state = Mutex(State())

  init(_ endpoint: String, recorder: TelemetryRecorder) {
    self.endpoint = endpoint
    self.recorder = recorder
    span = recorder.span(.request, in: nil)
    span.set("endpoint", endpoint)
  }

  deinit {
    end(status: Self.clientLeft, Failure(.cancelled, "the client left before the answer ended"))
  }

  var trace: TraceContext { span.context }
  var elapsed: Duration { started.duration(to: .now) }

  func describe(_ request: ClientRequest) {
    state.withLock {
      $0.model = request.model.name
      $0.stream = request.stream
    }
  }

  func follows(pattern: String) {
    state.withLock {
      $0.pattern = pattern
      $0.isPlan = true
    }
  }

  /// Opens a span for one phase of this request.
  func phase(_ phase: LifecyclePhase) -> OpenSpan { recorder.span(phase, in: trace) }

  /// Records why the gateway chose this route, if the client left the choice to it.
  func decided(_ reason: String) { state.withLock { $0.reason = reason } }
  var reason: String? { state.withLock(\.reason) }

  /// Records the time of the first progress line.
  func sentProgress() {
    let elapsed = elapsed
    state.withLock { state in
      if state.firstProgress == nil { state.firstProgress = elapsed }
    }
  }

  var times: TraceExtension.Times {
    state.withLock {
      TraceExtension.Times(firstProgress: $0.firstProgress, firstToken: $0.firstToken)
    }
  }

  /// Records the time of the first piece of the answer.
  func sentFirstToken() {
    let elapsed = elapsed
    state.withLock { state in
      if state.firstToken == nil { state.firstToken = elapsed }
    }
  }

  /// - Parameter credits: cost of the answer. `nil` means that no host has a price.
  func answered(by host: String, usage: Usage, credits: Int? = nil) {
    state.withLock {
      $0.host = host
      $0.usage = usage
      $0.credits = credits
    }
  }

  /// Records the hosts that were asked and the outcome of each attempt.
  func tried(_ attempts: [AttemptFacts]) { state.withLock { $0.attempts = attempts } }

  private func account(_ state: State) {
    let span = phase(.accounting)
    span.set("prompt_tokens", String(state.usage.promptTokens))
    span.set("completion_tokens", String(state.usage.completionTokens))
    if let credits = state.credits { span.set("credits", String(credits)) }
    span.end()
  }

  /// Only the first call has an effect.
  /// - Parameter failure: why the answer is missing or incomplete.
  func end(status: Int, _ failure: Failure? = nil) {
    let elapsed = elapsed
    let state = state.withLock { state -> State? in
      guard !state.isOver else { return nil }
      state.isOver = true
      return state
    }
    guard let state else { return }
    // A direct answer's cost is its host's usage, which is part of the request span.
    if state.isPlan { account(state) }
    recorder.record(
      RequestRecord(
        trace: trace.trace, timeUnixMicroseconds: startedUnix, endpoint: endpoint,
        model: state.model, pattern: state.pattern, stream: state.stream, status: status,
        errorCode: failure?.code.rawValue ?? "", host: state.host, usage: state.usage,
        firstTokenMilliseconds: state.firstToken.map { Int($0.wholeMilliseconds) } ?? 0,
        totalMilliseconds: Int(elapsed.wholeMilliseconds)))
    span.set("status", String(status))
    span.set("pattern", state.pattern)
    if !state.model.isEmpty { span.set("model", state.model) }
    if let first = state.firstProgress {
      span.set("first_progress_ms", String(first.wholeMilliseconds))
    }
    if let first = state.firstToken {
      span.set("first_token_ms", String(first.wholeMilliseconds))
    }
    if state.usage != .zero {
      span.set("prompt_tokens", String(state.usage.promptTokens))
      span.set("completion_tokens", String(state.usage.completionTokens))
    }
    if !state.host.isEmpty { span.set("host", state.host) }
    if let failure {
      // The message names every failed host and quotes its error.
      span.set("error", failure.code.rawValue)
      if !failure.message.isEmpty { span.set("reason", failure.message) }
    }
    // Last, because a span holds a limited number of attributes.
    span.set(AttemptFacts.attributes(state.attempts))
    span.end(failed: status >= 400)

    let labels = [("endpoint", endpoint), ("pattern", state.pattern)]
    Counter(
      label: "tutti_gateway_requests_total",
      dimensions: labels + [("status", "\(status / 100)xx")]
    ).increment()
    Timer(label: "tutti_gateway_request_seconds", dimensions: labels).record(duration: elapsed)
    if let firstToken = state.firstToken {
      Timer(label: "tutti_gateway_first_token_seconds", dimensions: labels)
        .record(duration: firstToken)
    }
  }
}
