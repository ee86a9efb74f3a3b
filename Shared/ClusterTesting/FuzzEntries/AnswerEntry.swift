import ClusterModel
import InferenceCore
import Text

/// Replays an answer from one or more hosts.
///
/// The first byte chooses the request. A line `--` ends one host's part: its connection is lost,
/// and the next host sends the following lines. Each other line is an event; `.` ends the stream
/// properly.
enum AnswerEntry {
  private static let requests: [(body: String, stream: Bool)] = [
    ("", true), ("", false), (#","tools":[{"type":"function","function":{"name":"f"}}]"#, true),
    (#","stop":["ab","\n"]"#, true), (#","response_format":{"type":"json_object"}"#, true),
    (#","n":2"#, true), (#","max_tokens":5,"stream_options":{"include_usage":true}"#, true),
  ]

  private struct Hosts: ClusterAccess {
    let seen: ClusterView

    func view() -> ClusterView { seen }
    func requestBegan(at view: ClusterView) {}
    func mayRace(at view: ClusterView) -> Bool { true }
    func mayRetry(at view: ClusterView) -> Bool { true }
  }

  private static let cluster = Hosts(
    seen: ClusterView(
      table: HostTable(
        epoch: 1, revision: 1,
        hosts: zip(
          ["a", "b", "c"], [ResumeWay.trailingAssistant, .instruct, .continueFinalMessage]
        ).map { name, way in
          Host(
            id: HostID(name), url: "http://\(name)", resume: way, state: .ready,
            models: [ModelOffer(id: "m")])
        }), standing: [:]))

  static func run(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let (extra, stream) = requests[Int(first) % requests.count]
    let streams = stream ? #","stream":true"# : ""
    let request = InferenceRequest(
      endpoint: .chatCompletions, model: "m",
      body: Array(
        #"{"model":"m","messages":[{"role":"user","content":"Go on."}]\#(streams)\#(extra)}"#.utf8),
      stream: stream, trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
    var run = InferenceRun(
      request: request, constraints: InferenceConstraints(race: .single, seed: 1))
    var directives = run.begin(cluster, now: .zero)
    var asked = lastAsked(directives)
    var reader = UpstreamReader(endpoint: .chatCompletions, streams: true, status: 200)
    var milliseconds = 0
    for line in bytes.dropFirst().split(separator: 0x0A, omittingEmptySubsequences: true) {
      guard let id = asked else { break }
      milliseconds += 1
      let now = Instant.zero.advanced(by: .milliseconds(milliseconds))
      let more: [InferenceRun.Directive]
      if line.elementsEqual("--".utf8) {
        more = run.failed(AttemptFailure(.lost, "reset"), id, cluster: cluster, now: now)
      } else {
        let items: [UpstreamItem] =
          line.elementsEqual(".".utf8)
          ? [.done, .end] : reader.append(Array("data: ".utf8) + line + [0x0A, 0x0A])
        more = items.flatMap { run.received($0, from: id, cluster: cluster, now: now) }
      }
      directives += more
      if let next = lastAsked(more) {
        asked = next
        reader = UpstreamReader(endpoint: .chatCompletions, streams: true, status: 200)
      }
    }
    for case .deliver(let event) in directives {
      switch event {
      case .chunk(let chunk): ReaderEntries.check(chunk.data)
      case .body(let body): ReaderEntries.check(body)
      case .resumed, .finished: break
      }
    }
  }

  private static func lastAsked(_ directives: [InferenceRun.Directive]) -> AttemptID? {
    var found: AttemptID?
    for case .start(let id, _, _) in directives { found = id }
    return found
  }
}
