import ClusterModel
import GatewayCore
import Metrics
import Synchronization
import Telemetry

/// What is written down of one client request, once, when it is over.
///
/// A response that nobody reads is dropped without a word; then this is too, and a client that left
/// is what it was.
final class RequestJournal: Sendable {
  /// As nginx says it: the client closed the request.
  static let clientLeft = 499
  /// The pattern of a request that is answered without a plan.
  static let direct = "direct"

  private struct State {
    var model = ""
    var pattern = RequestJournal.direct
    var stream = false
    var host = ""
    var usage = Usage.zero
    var credits: Int?
    var firstProgress: Duration?
    var firstToken: Duration?
    var reason: String?
    var attempts: [String] = []
    var isOver = false
  }

  /// Its path.
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

  deinit { end(status: Self.clientLeft, Failure(.cancelled, "nobody waited for the answer")) }

  var trace: TraceContext { span.context }
  var elapsed: Duration { started.duration(to: .now) }

  func describe(_ request: ClientRequest) {
    state.withLock {
      $0.model = request.model.name
      $0.stream = request.stream
    }
  }

  func follows(pattern: String) { state.withLock { $0.pattern = pattern } }

  /// A span of one phase of this request.
  func phase(_ phase: LifecyclePhase) -> OpenSpan { recorder.span(phase, in: trace) }

  /// Why it is answered the way it is, where that was for us to decide.
  func decided(_ reason: String) { state.withLock { $0.reason = reason } }
  var reason: String? { state.withLock(\.reason) }

  /// The first that a client hears of a plan.
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

  /// The first piece of an answer goes out to the client.
  func sentFirstToken() {
    let elapsed = elapsed
    state.withLock { state in
      if state.firstToken == nil { state.firstToken = elapsed }
    }
  }

  /// - Parameter credits: what it cost; nil: nobody knows.
  func answered(by host: String, usage: Usage, credits: Int? = nil) {
    state.withLock {
      $0.host = host
      $0.usage = usage
      $0.credits = credits
    }
  }

  /// The hosts that were asked, and how each did.
  func tried(_ attempts: [String]) { state.withLock { $0.attempts = attempts } }

  private func account(_ state: State) {
    let span = phase(.accounting)
    span.set("prompt_tokens", String(state.usage.promptTokens))
    span.set("completion_tokens", String(state.usage.completionTokens))
    if let credits = state.credits { span.set("credits", String(credits)) }
    span.end()
  }

  /// Only the first call counts.
  /// - Parameter failure: why there is no answer, or no whole one.
  func end(status: Int, _ failure: Failure? = nil) {
    let elapsed = elapsed
    let state = state.withLock { state -> State? in
      guard !state.isOver else { return nil }
      state.isOver = true
      return state
    }
    guard let state else { return }
    // A direct answer's cost is its host's usage, which stands in the request's own span.
    if state.pattern != Self.direct { account(state) }
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
      // Names every host that failed, in its own words.
      span.set("error", failure.code.rawValue)
      if !failure.message.isEmpty { span.set("reason", failure.message) }
    }
    // Last: a span holds only so many facts.
    for (index, attempt) in state.attempts.enumerated() {
      span.set("attempt \(index + 1)", attempt)
    }
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
