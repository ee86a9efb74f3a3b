import ClusterModel

@testable import InferenceCore

/// A cluster that records the observations of its runs.
final class LearningCluster: ClusterAccess {
  private(set) var now = Instant.zero
  private var statistics = HostStatistics(seed: 1)

  init(_ hosts: [Host]) {
    statistics.adopt(HostTable(epoch: 1, revision: 1, hosts: hosts), now: .zero)
  }

  func pass(_ seconds: Double) { now = now.advanced(by: .seconds(seconds)) }

  func view() -> ClusterView { statistics.view(now: now) }
  func requestBegan(at view: ClusterView) {}
  func mayRace(at view: ClusterView) -> Bool { true }
  func mayRetry(at view: ClusterView) -> Bool { true }

  func errorRate(of host: HostID) -> Double { view().standing(of: host)?.errorRate ?? 0 }

  func observe(
    _ observation: HostObservation, _ host: HostID, _ client: ClientFingerprint, _ started: Instant
  ) {
    statistics.observe(observation, of: host, for: client, started: started, now: now)
  }

  func observe(_ directives: [InferenceRun.Directive]) {
    for case .observe(let host, let observation, let started) in directives {
      statistics.observe(observation, of: host, started: started, now: now)
    }
  }
}

/// One request, and the hosts' responses to its attempts.
struct ScriptedRun {
  var asked: [Candidate] = []
  var failure: Failure?
  var body: [UInt8]?
  var attempts: [AttemptRecord] = []

  /// - Parameter answer: returns the response of the candidate.
  init(
    _ cluster: LearningCluster, _ request: InferenceRequest,
    _ constraints: InferenceConstraints = InferenceConstraints(race: .single, seed: 1),
    _ answer: (Candidate) throws -> [UpstreamItem]
  ) throws {
    var run = InferenceRun(request: request, constraints: constraints)
    var pending = run.begin(cluster, now: cluster.now)
    while !pending.isEmpty {
      let directives = pending
      pending = []
      cluster.observe(directives)
      for directive in directives {
        switch directive {
        case .start(let id, let candidate, _):
          asked.append(candidate)
          for item in try answer(candidate) {
            pending += run.received(item, from: id, cluster: cluster, now: cluster.now)
          }
        case .fail(let failure): self.failure = failure
        case .deliver(.body(let body)): self.body = body
        default: break
        }
      }
    }
    attempts = run.attempts
  }
}

extension Host {
  /// A ready host with model "m".
  static func scripted(
    _ id: String, context: Int? = nil, dialect: HostDialect = .openai
  ) -> Host {
    Host(
      id: HostID(id), url: "http://\(id)", dialect: dialect, state: .ready,
      models: [ModelOffer(id: "m", contextTokens: context)])
  }
}

extension InferenceRequest {
  /// A chat request for model "m".
  /// - Parameter extra: more members of its JSON, each after a comma.
  static func chat(
    _ extra: String = "", stream: Bool = false, undoable: RequestForm = [],
    messages: String = #"[{"role":"user","content":"q"}]"#
  ) -> InferenceRequest {
    InferenceRequest(
      endpoint: .chatCompletions, model: "m",
      body: Array(#"{"model":"m","messages":\#(messages)\#(extra)}"#.utf8), stream: stream,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)), undoable: undoable)
  }
}

extension UpstreamItem {
  /// A host's response with an error status.
  static func refusal(
    _ status: Int, _ body: String, retryAfter: Duration? = nil
  ) -> UpstreamItem {
    var reader = UpstreamReader(
      endpoint: .chatCompletions, streams: true, status: status, retryAfter: retryAfter)
    return (reader.append(Array(body.utf8)) + reader.end())[0]
  }
}

/// The JSON of an error as OpenAI's API writes it.
/// - Parameter more: more members of the error, each after a comma.
func errorBody(_ message: String, param: String? = nil, more: String = "") -> String {
  let param = param.map { #""\#($0)""# } ?? "null"
  return #"{"error":{"message":"\#(message)","type":"t","param":\#(param),"code":"c"\#(more)}}"#
}
