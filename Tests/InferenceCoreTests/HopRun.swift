import AnswerTesting
import ClusterModel
import Foundation
import InferenceCore

/// One request at scripted hosts; by default the host of the latest attempt sends.
struct HopRun {
  typealias Object = [String: Any]

  private(set) var run: InferenceRun
  let request: InferenceRequest
  private let cluster: FixedCluster
  private(set) var directives: [InferenceRun.Directive]
  private var now = Instant.zero

  /// - Parameter extra: members of the request after the messages, each with a comma before it.
  init(
    _ extra: String = "", stream: Bool = true, hosts: Int = 4,
    way: ResumeWay = .trailingAssistant, race: RaceMode = .single, trust: DataPolicy = .any
  ) {
    let streams = stream ? #","stream":true"# : ""
    request = InferenceRequest(
      endpoint: .chatCompletions, model: "m",
      body: Array(
        #"{"model":"m","messages":[{"role":"user","content":"Go on."}]\#(streams)\#(extra)}"#.utf8),
      stream: stream, trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
    run = InferenceRun(
      request: request, constraints: InferenceConstraints(race: race, seed: 1))
    cluster = FixedCluster(
      (1...hosts).map {
        Host(
          id: HostID("h\($0)"), url: "http://h\($0)", resume: way, trust: trust, state: .ready,
          models: [.init(id: "m")])
      })
    directives = run.begin(cluster, now: .zero)
  }

  // MARK: - Host actions

  var asked: [(id: AttemptID, candidate: Candidate, resume: ResumePoint?)] {
    directives.compactMap {
      guard case .start(let id, let candidate, let resume) = $0 else { return nil }
      return (id, candidate, resume)
    }
  }

  /// Sends a chunk from the host of the latest attempt, or of another one.
  /// - Parameters:
  ///   - usage: the usage that the host reports in the chunk.
  ///   - leg: index of the attempt that sends; `nil` means the latest.
  mutating func say(
    delta: String, finish: String? = nil, usage: (prompt: Int, completion: Int)? = nil,
    from leg: Int? = nil
  ) {
    let host = leg ?? asked.count - 1
    let reason = finish.map { #""\#($0)""# } ?? "null"
    send(
      #"[{"index":0,"delta":\#(delta),"finish_reason":\#(reason)}]"#, usage: usage, from: host)
  }

  mutating func say(
    _ text: String, finish: String? = nil, usage: (prompt: Int, completion: Int)? = nil,
    from leg: Int? = nil
  ) {
    say(delta: #"{"content":\#(Self.quoted(text))}"#, finish: finish, usage: usage, from: leg)
  }

  /// Sends the usage chunk that precedes the end.
  mutating func report(prompt: Int, completion: Int) {
    send("[]", usage: (prompt, completion), from: asked.count - 1)
  }

  /// Sends a chunk, byte for byte, from the host of the latest attempt.
  mutating func send(_ data: String) { send(Array(data.utf8), from: asked.count - 1) }

  mutating func end() {
    directives += run.received(
      .done, from: asked[asked.count - 1].id, cluster: cluster, now: now)
  }

  mutating func breakOff() {
    directives += run.failed(
      AttemptFailure(.lost, "reset"), asked[asked.count - 1].id, cluster: cluster, now: now)
  }

  private mutating func send(
    _ choices: String, usage: (prompt: Int, completion: Int)?, from leg: Int
  ) {
    now = now.advanced(by: .milliseconds(10))
    let told = usage.map {
      #","usage":{"prompt_tokens":\#($0.prompt),"completion_tokens":\#($0.completion),"#
        + #""total_tokens":\#($0.prompt + $0.completion),"prompt_tokens_details":{"cached_tokens":1}}"#
    }
    let data = Array(
      (#"{"id":"c\#(leg)","object":"chat.completion.chunk","created":\#(leg),"model":"m\#(leg)","#
        + #""choices":\#(choices)\#(told ?? "")}"#).utf8)
    send(data, from: leg)
  }

  private mutating func send(_ data: [UInt8], from leg: Int) {
    let item: UpstreamItem
    do throws(AttemptFailure) {
      var facts = try ChunkFacts(parsing: data)
      facts.isUnasked =
        facts.isOnlyUsage && request.stream
        && !String(decoding: request.body, as: UTF8.self).contains("include_usage")
      item = .chunk(InferenceChunk(data: data, facts: facts))
    } catch {
      item = .broken(error)
    }
    directives += run.received(item, from: asked[leg].id, cluster: cluster, now: now)
  }

  static func quoted(_ text: String) -> String {
    let data = try? JSONSerialization.data(
      withJSONObject: text, options: [.fragmentsAllowed, .withoutEscapingSlashes])
    return String(decoding: data ?? Data(), as: UTF8.self)
  }

  // MARK: - The client's view

  var chunks: [InferenceChunk] {
    directives.compactMap {
      guard case .deliver(.chunk(let chunk)) = $0 else { return nil }
      return chunk
    }
  }

  var objects: [Object] {
    chunks.compactMap {
      try? JSONSerialization.jsonObject(with: Data($0.data)) as? Object
    }
  }

  /// The streamed answer, as a client assembles it.
  var received: EveryCut.Received {
    var received = EveryCut.Received()
    // A chunk with only usage has no choice.
    for chunk in chunks where !chunk.facts.isOnlyUsage { try? received.take([chunk]) }
    return received
  }

  var body: Object? {
    for case .deliver(.body(let body)) in directives {
      return try? JSONSerialization.jsonObject(with: Data(body)) as? Object
    }
    return nil
  }

  /// Content and finish reason of the single body.
  var bodyChoice: (content: String?, finish: String?) {
    let choice = (body?["choices"] as? [Object])?.first
    return (
      (choice?["message"] as? Object)?["content"] as? String, choice?["finish_reason"] as? String
    )
  }

  /// Prompt, completion and total tokens of the last usage that the client received.
  var usage: [Int]? {
    let told =
      body?["usage"] as? Object ?? objects.last { $0["usage"] is Object }?["usage"] as? Object
    return told.map { told in
      ["prompt_tokens", "completion_tokens", "total_tokens"].map { told[$0] as? Int ?? -1 }
    }
  }

  var summary: InferenceSummary? { summaryOf(directives) }
  var failure: Failure? { lastFailure(directives) }

  /// The request body sent to the host of the latest attempt.
  var sent: Object? {
    let last = asked[asked.count - 1]
    guard let said = try? UpstreamRequest(request, to: last.candidate, from: last.resume) else {
      return nil
    }
    return try? JSONSerialization.jsonObject(with: Data(said.body)) as? Object
  }
}
