import ClusterModel
import Testing

@testable import InferenceCore

/// A complete answer body of a host.
private let whole = Array(
  #"{"id":"1","odd":[1, 2],"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#
    .utf8)

private var wholeItem: UpstreamItem {
  get throws { .body(whole, try ChunkFacts(parsing: whole)) }
}

private let answered: [UpstreamItem] = [piece("x", finish: "stop"), .done, .end]

@Suite("Changed requests to one host")
struct FormRunTests {
  @Test("one host gives a client that does not stream its own bytes")
  func body() throws {
    let talk = try ScriptedRun(LearningCluster([.scripted("a")]), .chat()) { _ in
      [try wholeItem, .end]
    }
    #expect(talk.asked.map(\.form) == [.unstreamed])
    #expect(talk.body == whole)
    #expect(talk.attempts.map(\.tokens) == [3] && talk.attempts[0].form.isEmpty)
  }

  @Test("a second host, a deadline of the client and a stream are reasons for a stream")
  func stream() throws {
    let two = try ScriptedRun(LearningCluster([.scripted("a"), .scripted("b")]), .chat()) { _ in
      answered
    }
    #expect(two.asked.map(\.form) == [[]] && two.body != nil)
    for deadlines in [
      Deadlines(firstToken: .seconds(5)), Deadlines(interToken: .seconds(5)),
      Deadlines(minimumRate: 1),
    ] {
      let hurried = try ScriptedRun(
        LearningCluster([.scripted("a")]), .chat(),
        InferenceConstraints(deadlines: deadlines, seed: 1)
      ) { _ in answered }
      #expect(hurried.asked.map(\.form) == [[]])
    }
    let streamed = try ScriptedRun(
      LearningCluster([.scripted("a")]), .chat(#","stream":true"#, stream: true)
    ) { _ in answered }
    #expect(streamed.asked.map(\.form) == [[]])
    let other = try ScriptedRun(LearningCluster([.scripted("a", dialect: .anthropic)]), .chat()) {
      _ in answered
    }
    #expect(other.asked.map(\.form) == [[]])
  }

  @Test("a prefix of the client's own is answered as the client asks, by one host of several")
  func prefill() throws {
    let messages = #"[{"role":"user","content":"q"},{"role":"assistant","content":"Sure"}]"#
    let talk = try ScriptedRun(
      LearningCluster([.scripted("a"), .scripted("b")]), .chat(messages: messages),
      InferenceConstraints(seed: 1)
    ) { _ in [try wholeItem, .end] }
    #expect(talk.asked.map(\.form) == [.unstreamed] && talk.body == whole)
  }

  @Test("a body may take as long as the whole answer may")
  func patience() {
    let cluster = LearningCluster([.scripted("a")])
    var run = InferenceRun(request: .chat(), constraints: InferenceConstraints(seed: 1))
    _ = run.begin(cluster, now: .zero)
    #expect(run.nextWake == Instant(sinceStart: Deadlines.standard.total))
  }

  @Test("a host that refuses an addition is asked again without, and the next time at once")
  func refused() throws {
    let cluster = LearningCluster([.scripted("a")])
    let streamed = InferenceRequest.chat(#","stream":true"#, stream: true)
    func answer(_ candidate: Candidate) -> [UpstreamItem] {
      candidate.form.contains(.withoutUsageOption)
        ? answered
        : [.refusal(422, #"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs"}]}"#)]
    }
    let first = try ScriptedRun(cluster, streamed) { answer($0) }
    #expect(first.failure == nil)
    #expect(first.asked.map(\.form) == [[], .withoutUsageOption])
    #expect(first.attempts.first?.failure?.kind == .formRefused)
    #expect(first.attempts.last?.form == .withoutUsageOption)
    #expect(first.attempts[1].facts.description.contains("without stream_options"))
    // The refusal does not count as an error of the host.
    #expect(cluster.errorRate(of: "a") == 0)
    let second = try ScriptedRun(cluster, streamed) { answer($0) }
    #expect(second.asked.map(\.form) == [.withoutUsageOption])
    // A client that sets the option itself gets the usage, or the host's refusal.
    let own = InferenceRequest.chat(
      #","stream":true,"stream_options":{"include_usage":true}"#, stream: true)
    let third = try ScriptedRun(cluster, own) { answer($0) }
    #expect(third.asked.map(\.form) == [[]] && third.failure?.refusal?.status == 422)
    cluster.pass(3_600)
    // The host has answered other requests in the meantime.
    cluster.observe([.observe("a", .firstToken, started: cluster.now)])
    let later = try ScriptedRun(cluster, streamed) { answer($0) }
    #expect(later.asked.count == 2)
  }

  @Test("a host that does not implement a request is asked once more, without additions")
  func notImplemented() throws {
    let talk = try ScriptedRun(
      LearningCluster([.scripted("a")]), .chat(#","stream":true"#, stream: true)
    ) { _ in
      [.refusal(501, #"{"error":{"message":"not implemented"}}"#)]
    }
    #expect(talk.asked.count == 2 && talk.failure?.code == .upstreamFailed)
  }

  @Test("a task's additions are left out one after another, as a family of models names them")
  func family() throws {
    let all: RequestForm = [
      .unstreamed, .withoutUsageOption, .withoutTemperature, .withoutTopP, .withoutSeed,
      .withoutFormat, .newLimitName, .withoutLimit, .foldedSystem,
    ]
    let rules: [(RequestForm, String)] = [
      (.newLimitName, errorBody("'max_tokens' is not supported", param: "max_tokens")),
      (.withoutTemperature, errorBody("only 1", param: "temperature")),
      (.withoutTopP, errorBody("not supported", param: "top_p")),
      (.foldedSystem, errorBody("no 'system'", param: "messages[0].role")),
    ]
    let cluster = LearningCluster([.scripted("a")])
    func answer(_ candidate: Candidate) -> [UpstreamItem] {
      for (change, body) in rules where !candidate.form.contains(change) {
        return [.refusal(400, body)]
      }
      return answered
    }
    let task = InferenceRequest.chat(stream: true, undoable: all)
    let first = try ScriptedRun(cluster, task) { answer($0) }
    #expect(first.failure == nil && first.asked.count == 5)
    let second = try ScriptedRun(cluster, task) { answer($0) }
    #expect(
      second.asked.map(\.form)
        == [[.newLimitName, .withoutTemperature, .withoutTopP, .foldedSystem]])
    // A client's own request lacks these members and is sent unchanged.
    let client = try ScriptedRun(cluster, .chat(#","stream":true"#, stream: true)) { _ in answered }
    #expect(client.asked.map(\.form) == [[]])
  }

  @Test("a refusal that a client's own member may have caused is not remembered for other clients")
  func companions() throws {
    let cluster = LearningCluster([.scripted("a"), .scripted("b")])
    let plain = InferenceRequest.chat()
    for words in [
      "`prompt_logprobs` are not available when `stream=True`.",
      "best_of cannot be used with stream",
      "Cannot use tools with stream",
    ] {
      let first = try ScriptedRun(cluster, .chat(#","prompt_logprobs":1"#)) { candidate in
        candidate.form.contains(.unstreamed) ? answered : [.refusal(400, errorBody(words))]
      }
      #expect(first.failure == nil && first.asked.count == 2, "\(words)")
      let second = try ScriptedRun(cluster, plain) { _ in answered }
      #expect(second.asked.map(\.form) == [[]], "\(words)")
    }
  }

  @Test("a host that refuses everything is asked a bounded number of times")
  func endless() throws {
    let all = RequestForm(rawValue: .max)
    let talk = try ScriptedRun(
      LearningCluster([.scripted("a")]), .chat(stream: true, undoable: all)
    ) { _ in
      [.refusal(400, "Bad Request")]
    }
    #expect(talk.failure?.refusal?.status == 400)
    #expect(talk.asked.count <= 1 + InferenceLimits().formChanges)
  }

  @Test("a bad request is asked in the client's bytes, and of one other host in these at once")
  func badRequest() throws {
    let talk = try ScriptedRun(
      LearningCluster(["a", "b", "c"].map { Host.scripted($0) }), .chat(#","temperature":9"#)
    ) { _ in [.refusal(400, errorBody("temperature is not from 0 to 2", param: "temperature"))] }
    // The refusal names a member that the client set, so nothing is left out.
    #expect(talk.asked.map(\.form) == [[], []])
    let vague = try ScriptedRun(
      LearningCluster(["a", "b", "c"].map { Host.scripted($0) }), .chat()
    ) { _ in
      [.refusal(400, errorBody("bad"))]
    }
    let own: RequestForm = [.unstreamed, .withoutUsageOption]
    #expect(vague.asked.map(\.form) == [[], own, own])
    #expect(Set(vague.asked.prefix(2).map(\.host.id)).count == 1)
  }

  @Test("a limit that does not fit with a long prompt is left out for that prompt only")
  func limit() throws {
    let cluster = LearningCluster([.scripted("a", context: 2_048)])
    let task = InferenceRequest.chat(stream: true, undoable: [.newLimitName, .withoutLimit])
    func answer(_ candidate: Candidate) -> [UpstreamItem] {
      candidate.form.contains(.withoutLimit)
        ? answered
        : [
          .refusal(400, errorBody("maximum context length is 2048 tokens, 2000 in the completion"))
        ]
    }
    for _ in 0..<2 {
      let talk = try ScriptedRun(cluster, task) { answer($0) }
      #expect(talk.asked.map(\.form) == [[], .withoutLimit] && talk.failure == nil)
    }
  }
}

@Suite("Contexts that are too small")
struct ContextOrderTests {
  private let long = #"[{"role":"user","content":"\#(String(repeating: "word ", count: 4_000))"}]"#
  private let tooSmall = UpstreamItem.refusal(
    400, errorBody("the request exceeds the available context size", more: #","n_ctx":2048"#))

  @Test("a host that seems too small is asked if there is no other, and decides")
  func decides() throws {
    let fits = try ScriptedRun(
      LearningCluster([.scripted("a", context: 2_048)]), .chat(messages: long)
    ) { _ in [try wholeItem, .end] }
    #expect(fits.body == whole)
    let small = try ScriptedRun(
      LearningCluster([.scripted("a", context: 2_048)]), .chat(messages: long)
    ) { _ in
      [tooSmall]
    }
    #expect(small.failure?.code.rawValue == "context_length_exceeded")
    #expect(small.failure?.refusal?.status == 400)
    #expect(small.failure?.refusal?.members.contains { $0.name == "n_ctx" } == true)
  }

  @Test("hosts with room come first, then the largest, and after a refusal only larger ones")
  func order() throws {
    for seed in 0..<20 as Range<UInt64> {
      let cluster = LearningCluster([
        .scripted("small", context: 2_048), .scripted("large", context: 32_768),
        .scripted("middle", context: 4_096), .scripted("unknown"),
      ])
      let talk = try ScriptedRun(
        cluster, .chat(messages: long), InferenceConstraints(race: .single, seed: seed)
      ) { _ in [tooSmall] }
      let asked = talk.asked.map(\.host.id)
      #expect(Set(asked) == ["large", "unknown"], "seed \(seed): \(asked)")
      let both = try ScriptedRun(
        LearningCluster([.scripted("small", context: 2_048), .scripted("middle", context: 4_096)]),
        .chat(messages: long), InferenceConstraints(race: .single, seed: seed)
      ) { _ in [tooSmall] }
      #expect(both.asked.map(\.host.id) == ["middle"], "seed \(seed)")
    }
  }

  @Test("a second leg is never a host that may shorten the prompt")
  func race() throws {
    let cluster = LearningCluster([
      .scripted("small", context: 2_048), .scripted("large", context: 32_768),
    ])
    var run = InferenceRun(
      request: .chat(#","stream":true"#, stream: true, messages: long),
      constraints: InferenceConstraints(race: .dual, seed: 1))
    let started = run.begin(cluster, now: .zero).compactMap { directive -> HostID? in
      guard case .start(_, let candidate, _) = directive else { return nil }
      return candidate.host.id
    }
    #expect(started == ["large"])
  }

  @Test("a host's own counts decide what seems too small for it")
  func learned() throws {
    let cluster = LearningCluster([.scripted("a", context: 4_096), .scripted("b", context: 32_768)])
    let usage = #","usage":{"prompt_tokens":2500,"completion_tokens":1}"#
    let end = Array(
      #"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]\#(usage)}"#.utf8)
    let chunk = InferenceChunk(data: end, facts: try ChunkFacts(parsing: end))
    let constraints = InferenceConstraints(race: .single, prefer: "a", seed: 1)
    let before = try ScriptedRun(cluster, .chat(messages: long), constraints) { _ in answered }
    #expect(before.asked.map(\.host.id) == ["b"])
    var only = constraints
    only.require = "a"
    _ = try ScriptedRun(cluster, .chat(messages: long), only) { _ in [.chunk(chunk), .done, .end] }
    let after = try ScriptedRun(cluster, .chat(messages: long), constraints) { _ in answered }
    #expect(after.asked.map(\.host.id) == ["a"])
  }

  @Test(
    "the same text is as long if it is escaped",
    arguments: ["Сколько будет дважды два? ", "日本語のテキスト", "𝄞𝄞 tab\t\"quoted\"\n"])
  func escapes(_ text: String) {
    let plain = String(repeating: text, count: 300)
    var escaped = ""
    for unit in plain.utf16 {
      let digits = String(unit, radix: 16)
      escaped += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
    func tokens(_ content: String) -> Int {
      AnswerShape(
        body: Array(#"{"messages":[{"role":"user","content":"\#(content)"}]}"#.utf8)
      ).promptTokens
    }
    let quoted = String(decoding: JSONText.inner(plain), as: UTF8.self)
    #expect(abs(tokens(escaped) - tokens(quoted)) <= 1)
  }
}

private enum JSONText {
  /// The text as the inside of a JSON string, with minimal escaping.
  static func inner(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\n"): bytes += Array("\\n".utf8)
      case UInt8(ascii: "\t"): bytes += Array("\\t".utf8)
      case UInt8(ascii: "\""): bytes += Array("\\\"".utf8)
      default: bytes.append(byte)
      }
    }
    return bytes
  }
}
