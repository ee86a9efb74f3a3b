import ClusterModel
import Foundation
import InferenceCore

/// One request at hosts that send the bytes given by a test.
struct WireRun {
  private(set) var run: InferenceRun
  private let request: InferenceRequest
  private let cluster: FixedCluster
  private(set) var directives: [InferenceRun.Directive]
  private var readers: [AttemptID: UpstreamReader] = [:]
  var now = Instant.zero

  init(
    _ extra: String = "", stream: Bool = true, hosts: Int = 1,
    endpoint: InferenceEndpoint = .chatCompletions
  ) {
    let input =
      endpoint == .completions ? "" : #","messages":[{"role":"user","content":"Go on."}]"#
    request = InferenceRequest(
      endpoint: endpoint, model: "m",
      body: Array(#"{"model":"m"\#(input)\#(stream ? #","stream":true"# : "")\#(extra)}"#.utf8),
      stream: stream, trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
    cluster = FixedCluster(
      (1...hosts).map {
        Host(id: HostID("h\($0)"), url: "http://h\($0)", state: .ready, models: [.init(id: "m")])
      })
    run = InferenceRun(request: request, constraints: InferenceConstraints(race: .single, seed: 1))
    directives = run.begin(cluster, now: .zero)
  }

  var asked: [AttemptID] {
    directives.compactMap { if case .start(let id, _, _) = $0 { id } else { nil } }
  }

  /// Sends bytes from the host of the latest attempt.
  mutating func send(_ bytes: [UInt8]) {
    guard let id = asked.last else { return }
    var reader = readers[id] ?? newReader(id)
    let signs = reader.signs
    let items = reader.append(bytes)
    if reader.signs > signs { run.receivedSign(from: id, now: now) }
    readers[id] = reader
    take(items, id)
  }

  mutating func send(_ text: String) { send(Array(text.utf8)) }

  /// Sends one event per element.
  mutating func events(_ data: [String]) { for data in data { send("data: \(data)\n\n") } }

  /// Completes the response of the latest attempt.
  mutating func end() {
    guard let id = asked.last else { return }
    var reader = readers[id] ?? newReader(id)
    let items = reader.end()
    readers[id] = reader
    take(items, id)
  }

  /// Breaks the connection of the latest attempt.
  mutating func breakOff() {
    guard let id = asked.last else { return }
    var reader = readers[id] ?? newReader(id)
    let items = reader.cutShort()
    readers[id] = reader
    take(items, id)
    directives += run.failed(AttemptFailure(.lost, "reset"), id, cluster: cluster, now: now)
  }

  mutating func tick() { directives += run.tick(cluster: cluster, now: now) }

  private mutating func take(_ items: [UpstreamItem], _ id: AttemptID) {
    for item in items { directives += run.received(item, from: id, cluster: cluster, now: now) }
  }

  private func newReader(_ id: AttemptID) -> UpstreamReader {
    for case .start(id, let candidate, let resume) in directives {
      let sent = try? UpstreamRequest(request, to: candidate, from: resume)
      if let sent { return UpstreamReader(sent.reading, status: 200) }
    }
    return UpstreamReader(endpoint: request.endpoint, streams: true, status: 200)
  }

  // MARK: - The client's view

  var chunks: [[UInt8]] {
    directives.compactMap { if case .deliver(.chunk(let chunk)) = $0 { chunk.data } else { nil } }
  }

  var objects: [[String: Any]] {
    chunks.compactMap { try? JSONSerialization.jsonObject(with: Data($0)) as? [String: Any] }
  }

  private var choices: [[String: Any]] {
    objects.flatMap { $0["choices"] as? [[String: Any]] ?? [] }
  }

  /// The text, as a client that reads `delta.content` or `text` assembles it.
  var text: String {
    choices.map { choice in
      (choice["delta"] as? [String: Any])?["content"] as? String ?? choice["text"] as? String ?? ""
    }.joined()
  }

  /// The last finish reason.
  var finish: String? { choices.compactMap { $0["finish_reason"] as? String }.last }

  var body: [String: Any]? {
    for case .deliver(.body(let body)) in directives {
      return try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
    }
    return nil
  }

  var bodyChoice: NSDictionary? { (body?["choices"] as? [NSDictionary])?.first }
  var message: NSDictionary? { bodyChoice?["message"] as? NSDictionary }

  var isComplete: Bool { directives.last == .complete }
  var failure: Failure? { lastFailure(directives) }
}

/// A chunk with one choice.
func wireChunk(_ delta: String, _ reason: String = "null", _ more: String = "") -> String {
  #"{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(reason)}]\#(more)}"#
}

/// A chunk that adds text.
func wireWord(_ word: String, _ reason: String = "null") -> String {
  wireChunk(#"{"content":"\#(word)"}"#, reason)
}
