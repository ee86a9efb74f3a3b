import ClusterModel
import Limits
import Testing

@testable import InferenceCore

private func host(_ id: String, context: Int? = nil, dialect: HostDialect = .openai) -> Host {
  Host(
    id: HostID(id), url: "http://\(id)", dialect: dialect, state: .ready,
    models: [ModelOffer(id: "m", contextTokens: context)])
}

private func refusal(_ status: Int, _ body: String, retryAfter: Duration? = nil) -> UpstreamItem {
  var reader = UpstreamReader(
    endpoint: .chatCompletions, streams: true, status: status, retryAfter: retryAfter)
  return (reader.append(Array(body.utf8)) + reader.end())[0]
}

private func error(_ message: String, param: String? = nil, more: String = "") -> String {
  let param = param.map { #""\#($0)""# } ?? "null"
  return #"{"error":{"message":"\#(message)","type":"t","param":\#(param),"code":"c"\#(more)}}"#
}

/// A complete answer body of a host.
private let whole = Array(
  #"{"id":"1","odd":[1, 2],"choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#
    .utf8)

private var wholeItem: UpstreamItem {
  get throws { .body(whole, try ChunkFacts(parsing: whole)) }
}

/// A cluster that records all observations of its runs.
private final class Memory: ClusterAccess {
  var now = Instant.zero
  private var statistics = HostStatistics(seed: 1)

  init(_ hosts: [Host]) {
    statistics.adopt(HostTable(epoch: 1, revision: 1, hosts: hosts), now: .zero)
  }

  func view() -> ClusterView { statistics.view(now: now) }
  func requestBegan(at view: ClusterView) {}
  func mayRace(at view: ClusterView) -> Bool { true }
  func mayRetry(at view: ClusterView) -> Bool { true }

  func errorRate(of host: HostID) -> Double { view().standing(of: host)?.errorRate ?? 0 }

  func observe(_ directives: [InferenceRun.Directive]) {
    for case .observe(let host, let observation, let started) in directives {
      statistics.observe(observation, of: host, started: started, now: now)
    }
  }
}

/// One request, and the hosts' responses to its attempts.
private struct Talk {
  var asked: [Candidate] = []
  var failure: Failure?
  var body: [UInt8]?
  var attempts: [AttemptRecord] = []

  /// - Parameter answer: returns the response of the candidate.
  init(
    _ cluster: Memory, _ request: InferenceRequest,
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

private func request(
  _ extra: String = "", stream: Bool = false, undoable: RequestForm = [],
  messages: String = #"[{"role":"user","content":"q"}]"#
) -> InferenceRequest {
  InferenceRequest(
    endpoint: .chatCompletions, model: "m",
    body: Array(#"{"model":"m","messages":\#(messages)\#(extra)}"#.utf8), stream: stream,
    trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)), undoable: undoable)
}

private let answered: [UpstreamItem] = [piece("x", finish: "stop"), .done, .end]

@Suite("How a host is asked, and asked again")
struct FormRunTests {
  @Test("one host gives a client that does not stream its own bytes")
  func body() throws {
    let talk = try Talk(Memory([host("a")]), request()) { _ in [try wholeItem, .end] }
    #expect(talk.asked.map(\.form) == [.unstreamed])
    #expect(talk.body == whole)
    #expect(talk.attempts.map(\.tokens) == [3] && talk.attempts[0].form.isEmpty)
  }

  @Test("a second host, a deadline of the client and a stream are reasons for a stream")
  func stream() throws {
    let two = try Talk(Memory([host("a"), host("b")]), request()) { _ in answered }
    #expect(two.asked.map(\.form) == [[]] && two.body != nil)
    for deadlines in [
      Deadlines(firstToken: .seconds(5)), Deadlines(interToken: .seconds(5)),
      Deadlines(minimumRate: 1),
    ] {
      let hurried = try Talk(
        Memory([host("a")]), request(),
        InferenceConstraints(deadlines: deadlines, seed: 1)
      ) { _ in answered }
      #expect(hurried.asked.map(\.form) == [[]])
    }
    let streamed = try Talk(
      Memory([host("a")]), request(#","stream":true"#, stream: true)
    ) { _ in answered }
    #expect(streamed.asked.map(\.form) == [[]])
    let other = try Talk(Memory([host("a", dialect: .anthropic)]), request()) { _ in answered }
    #expect(other.asked.map(\.form) == [[]])
  }

  @Test("a prefix of the client's own is answered as the client asks, by one host of several")
  func prefill() throws {
    let messages = #"[{"role":"user","content":"q"},{"role":"assistant","content":"Sure"}]"#
    let talk = try Talk(
      Memory([host("a"), host("b")]), request(messages: messages),
      InferenceConstraints(seed: 1)
    ) { _ in [try wholeItem, .end] }
    #expect(talk.asked.map(\.form) == [.unstreamed] && talk.body == whole)
  }

  @Test("a body may take as long as the whole answer may")
  func patience() {
    let cluster = Memory([host("a")])
    var run = InferenceRun(request: request(), constraints: InferenceConstraints(seed: 1))
    _ = run.begin(cluster, now: .zero)
    #expect(run.nextWake == Instant(sinceStart: Deadlines.standard.total))
  }

  @Test("a host that refuses an addition is asked again without, and the next time at once")
  func refused() throws {
    let cluster = Memory([host("a")])
    let streamed = request(#","stream":true"#, stream: true)
    func answer(_ candidate: Candidate) -> [UpstreamItem] {
      candidate.form.contains(.withoutUsageOption)
        ? answered
        : [refusal(422, #"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs"}]}"#)]
    }
    let first = try Talk(cluster, streamed) { answer($0) }
    #expect(first.failure == nil)
    #expect(first.asked.map(\.form) == [[], .withoutUsageOption])
    #expect(first.attempts.first?.failure?.kind == .formRefused)
    #expect(first.attempts.last?.form == .withoutUsageOption)
    #expect(first.attempts[1].facts.description.contains("without stream_options"))
    // The refusal does not count as an error of the host.
    #expect(cluster.errorRate(of: "a") == 0)
    let second = try Talk(cluster, streamed) { answer($0) }
    #expect(second.asked.map(\.form) == [.withoutUsageOption])
    // A client that sets the option itself gets the usage, or the host's refusal.
    let own = request(
      #","stream":true,"stream_options":{"include_usage":true}"#, stream: true)
    let third = try Talk(cluster, own) { answer($0) }
    #expect(third.asked.map(\.form) == [[]] && third.failure?.refusal?.status == 422)
    cluster.now = cluster.now + .seconds(3_600)
    // The host has answered other requests in the meantime.
    cluster.observe([.observe("a", .firstToken, started: cluster.now)])
    let later = try Talk(cluster, streamed) { answer($0) }
    #expect(later.asked.count == 2)
  }

  @Test("a host that does not implement a request is asked once more, without additions")
  func notImplemented() throws {
    let talk = try Talk(Memory([host("a")]), request(#","stream":true"#, stream: true)) { _ in
      [refusal(501, #"{"error":{"message":"not implemented"}}"#)]
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
      (.newLimitName, error("'max_tokens' is not supported", param: "max_tokens")),
      (.withoutTemperature, error("only 1", param: "temperature")),
      (.withoutTopP, error("not supported", param: "top_p")),
      (.foldedSystem, error("no 'system'", param: "messages[0].role")),
    ]
    let cluster = Memory([host("a")])
    func answer(_ candidate: Candidate) -> [UpstreamItem] {
      for (change, body) in rules where !candidate.form.contains(change) {
        return [refusal(400, body)]
      }
      return answered
    }
    let task = request(stream: true, undoable: all)
    let first = try Talk(cluster, task) { answer($0) }
    #expect(first.failure == nil && first.asked.count == 5)
    let second = try Talk(cluster, task) { answer($0) }
    #expect(
      second.asked.map(\.form)
        == [[.newLimitName, .withoutTemperature, .withoutTopP, .foldedSystem]])
    // Client requests lack these members and are sent unchanged.
    let client = try Talk(cluster, request(#","stream":true"#, stream: true)) { _ in answered }
    #expect(client.asked.map(\.form) == [[]])
  }

  @Test("what a host refuses together with a member of one client is not remembered for the others")
  func companions() throws {
    let cluster = Memory([host("a"), host("b")])
    let plain = request()
    for words in [
      "`prompt_logprobs` are not available when `stream=True`.",
      "best_of cannot be used with stream",
      "Cannot use tools with stream",
    ] {
      let first = try Talk(cluster, request(#","prompt_logprobs":1"#)) { candidate in
        candidate.form.contains(.unstreamed) ? answered : [refusal(400, error(words))]
      }
      #expect(first.failure == nil && first.asked.count == 2, "\(words)")
      let second = try Talk(cluster, plain) { _ in answered }
      #expect(second.asked.map(\.form) == [[]], "\(words)")
    }
  }

  @Test("a host that refuses everything is asked a bounded number of times")
  func endless() throws {
    let all = RequestForm(rawValue: .max)
    let talk = try Talk(Memory([host("a")]), request(stream: true, undoable: all)) { _ in
      [refusal(400, "Bad Request")]
    }
    #expect(talk.failure?.refusal?.status == 400)
    #expect(talk.asked.count <= 1 + InferenceLimits().formChanges)
  }

  @Test("a bad request is asked in the client's bytes, and of one other host in these at once")
  func badRequest() throws {
    let talk = try Talk(
      Memory(["a", "b", "c"].map { host($0) }), request(#","temperature":9"#)
    ) { _ in [refusal(400, error("temperature is not from 0 to 2", param: "temperature"))] }
    // The refusal names a member that the client set: nothing is left out.
    #expect(talk.asked.map(\.form) == [[], []])
    let vague = try Talk(Memory(["a", "b", "c"].map { host($0) }), request()) { _ in
      [refusal(400, error("bad"))]
    }
    let own: RequestForm = [.unstreamed, .withoutUsageOption]
    #expect(vague.asked.map(\.form) == [[], own, own])
    #expect(Set(vague.asked.prefix(2).map(\.host.id)).count == 1)
  }

  @Test("a limit that does not fit beside a long prompt is left out for that prompt alone")
  func limit() throws {
    let cluster = Memory([host("a", context: 2_048)])
    let task = request(stream: true, undoable: [.newLimitName, .withoutLimit])
    func answer(_ candidate: Candidate) -> [UpstreamItem] {
      candidate.form.contains(.withoutLimit)
        ? answered
        : [refusal(400, error("maximum context length is 2048 tokens, 2000 in the completion"))]
    }
    for _ in 0..<2 {
      let talk = try Talk(cluster, task) { answer($0) }
      #expect(talk.asked.map(\.form) == [[], .withoutLimit] && talk.failure == nil)
    }
  }
}

@Suite("Contexts that are too small")
struct ContextOrderTests {
  private let long = #"[{"role":"user","content":"\#(String(repeating: "word ", count: 4_000))"}]"#
  private let tooSmall = refusal(
    400, error("the request exceeds the available context size", more: #","n_ctx":2048"#))

  @Test("a host that seems too small is asked if there is no other, and decides")
  func decides() throws {
    let fits = try Talk(
      Memory([host("a", context: 2_048)]), request(messages: long)
    ) { _ in [try wholeItem, .end] }
    #expect(fits.body == whole)
    let small = try Talk(Memory([host("a", context: 2_048)]), request(messages: long)) { _ in
      [tooSmall]
    }
    #expect(small.failure?.code.rawValue == "context_length_exceeded")
    #expect(small.failure?.refusal?.status == 400)
    #expect(small.failure?.refusal?.members.contains { $0.name == "n_ctx" } == true)
  }

  @Test("hosts with room come first, then the largest, and after a refusal only larger ones")
  func order() throws {
    for seed in 0..<20 as Range<UInt64> {
      let cluster = Memory([
        host("small", context: 2_048), host("large", context: 32_768),
        host("middle", context: 4_096), host("unknown"),
      ])
      let talk = try Talk(
        cluster, request(messages: long), InferenceConstraints(race: .single, seed: seed)
      ) { _ in [tooSmall] }
      let asked = talk.asked.map(\.host.id)
      #expect(Set(asked) == ["large", "unknown"], "seed \(seed): \(asked)")
      let both = try Talk(
        Memory([host("small", context: 2_048), host("middle", context: 4_096)]),
        request(messages: long), InferenceConstraints(race: .single, seed: seed)
      ) { _ in [tooSmall] }
      #expect(both.asked.map(\.host.id) == ["middle"], "seed \(seed)")
    }
  }

  @Test("a second leg is never a host that may shorten the prompt")
  func race() throws {
    let cluster = Memory([host("small", context: 2_048), host("large", context: 32_768)])
    var run = InferenceRun(
      request: request(#","stream":true"#, stream: true, messages: long),
      constraints: InferenceConstraints(race: .dual, seed: 1))
    let started = run.begin(cluster, now: .zero).compactMap { directive -> HostID? in
      guard case .start(_, let candidate, _) = directive else { return nil }
      return candidate.host.id
    }
    #expect(started == ["large"])
  }

  @Test("a host's own counts decide what seems too small for it")
  func learned() throws {
    let cluster = Memory([host("a", context: 4_096), host("b", context: 32_768)])
    let usage = #","usage":{"prompt_tokens":2500,"completion_tokens":1}"#
    let end = Array(
      #"{"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]\#(usage)}"#.utf8)
    let chunk = InferenceChunk(data: end, facts: try ChunkFacts(parsing: end))
    let constraints = InferenceConstraints(race: .single, prefer: "a", seed: 1)
    let before = try Talk(cluster, request(messages: long), constraints) { _ in answered }
    #expect(before.asked.map(\.host.id) == ["b"])
    var only = constraints
    only.require = "a"
    _ = try Talk(cluster, request(messages: long), only) { _ in [.chunk(chunk), .done, .end] }
    let after = try Talk(cluster, request(messages: long), constraints) { _ in answered }
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

@Suite("What the client gets of hosts' refusals")
struct RefusalAnswerTests {
  private func talk(_ hosts: Int, _ answer: [UpstreamItem]) throws -> Talk {
    let all = ["a", "b", "c"].prefix(hosts).map { host($0) }
    let streamed = request(
      #","stream":true,"stream_options":{"include_usage":true}"#, stream: true)
    var left = answer[...]
    return try Talk(Memory(all), streamed) { _ in
      [left.count > 1 ? left.removeFirst() : left.first!]
    }
  }

  @Test(
    "a status below 500 on which hosts agree is the client's, with the members of the error",
    arguments: [
      (400, "invalid_request_error"), (401, "invalid_api_key"), (402, "insufficient_balance"),
      (403, "permission_denied"), (404, "model_not_found"), (405, "invalid_request_error"),
      (409, "invalid_request_error"), (413, "request_too_large"), (415, "invalid_request_error"),
      (418, "invalid_request_error"), (422, "invalid_request_error"), (429, "rate_limited"),
      (451, "invalid_request_error"),
    ])
  func agreed(_ status: Int, _ code: String) throws {
    for hosts in 1...2 {
      let body = error("no", param: "p", more: #","extra":{"a":[1, 2]},"none":null"#)
      let failure = try #require(
        try talk(hosts, [refusal(status, body, retryAfter: .milliseconds(2_500))]).failure)
      #expect(failure.code.rawValue == code)
      let said = try #require(failure.refusal)
      #expect(said.status == status)
      let members = Dictionary(
        uniqueKeysWithValues: said.members.map {
          ($0.name, String(decoding: $0.json, as: UTF8.self))
        })
      #expect(
        members == [
          "type": #""t""#, "param": #""p""#, "code": #""c""#, "extra": #"{"a":[1, 2]}"#,
        ])
      #expect(failure.retryAfter == .milliseconds(2_500))
      #expect(failure.message.contains("host ") && failure.message.contains("no"))
    }
  }

  @Test("hosts that do not agree, and statuses from 500, are a failure of the cluster")
  func disagreed() throws {
    let mixed = try talk(2, [refusal(401, error("key")), refusal(403, error("no"))])
    #expect(mixed.failure?.code == .upstreamFailed && mixed.failure?.refusal == nil)
    let busy = try talk(2, [refusal(429, error("slow")), refusal(503, error("busy"))])
    #expect(busy.failure?.code == .overloaded && busy.failure?.refusal == nil)
  }

  @Test(
    "500 and 501 are asked once more, said once, and keep their members", arguments: [500, 501])
  func serverErrors(_ status: Int) throws {
    for hosts in 1...2 {
      let talk = try talk(hosts, [refusal(status, error("boom"))])
      #expect(talk.asked.count == 2)
      let failure = try #require(talk.failure)
      #expect(failure.code == .upstreamFailed && failure.refusal?.status == 502)
      #expect(failure.refusal?.members.map(\.name) == ["type", "code"])
      if hosts == 1 {
        #expect(failure.message.ranges(of: "boom").count == 1, "\(failure.message)")
      }
    }
    // An untried host gets an attempt, however many other hosts fail.
    let three = try talk(3, [refusal(status, error("boom"))])
    #expect(Set(three.asked.map(\.host.id)).count == 3 && three.asked.count == 3)
  }

  @Test(
    "an error in a stream keeps its members, before the first token and in mid-answer",
    arguments: [false, true])
  func errorEvents(_ isBegun: Bool) throws {
    var reader = UpstreamReader(endpoint: .chatCompletions, streams: true, status: 200)
    let chunk =
      #"{"id":"1","object":"chat.completion.chunk","choices":[{"delta":{"content":"A word. "}}]}"#
    let stream = (isBegun ? "data: \(chunk)\n\n" : "") + "data: \(error("boom"))\n\n"
    let items = reader.append(Array(stream.utf8))
    let all = ["a"].map { host($0) }
    let streamed = request(
      #","stream":true,"stream_options":{"include_usage":true}"#, stream: true)
    let failure = try #require(try Talk(Memory(all), streamed) { _ in items }.failure)
    #expect(failure.code == .upstreamFailed && failure.message.contains("boom"))
    #expect(failure.refusal?.members.map(\.name) == ["type", "code"])
  }

  @Test(
    "errors are read in every shape that servers give them",
    arguments: [
      (
        #"{"object":"error","message":"m","type":"BadRequestError","param":null,"code":400}"#,
        #"type="BadRequestError" code=400"#
      ),
      (
        #"{"type":"error","error":{"type":"invalid_request_error","message":"m"}}"#,
        #"type="invalid_request_error""#
      ),
      (
        #"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
        #"code=400 status="INVALID_ARGUMENT""#
      ),
      (
        #"{"detail":[{"type":"missing","loc":["body","messages",0,"role"],"msg":"Field required"}]}"#,
        #"param="messages.0.role""#
      ),
      (#"{"detail":"Not here"}"#, ""), (#"{"error":"m"}"#, ""), ("<html>no</html>", ""), ("", ""),
      ("[]", ""), ("[1]", ""), (#"{"error":null}"#, ""), ("null", ""),
      (
        "{\"error\":{\"message\":\"m\",\n \"type\":\n \"t\",\"o\":{\n\"a\":1}}}",
        #"type="t" o={ "a":1}"#
      ),
    ])
  func shapes(_ body: String, _ expected: String) {
    let refusal = UpstreamRefusal(status: 400, body: Array(body.utf8))
    #expect(
      refusal.members.map { "\($0.name)=\(String(decoding: $0.json, as: UTF8.self))" }
        .joined(separator: " ") == expected)
  }

  @Test("the members of an error are bounded")
  func bounded() {
    let many = (0..<100).map { #","m\#($0)":\#($0)"# }.joined()
    let large = #","big":"\#(String(repeating: "x", count: 60_000))""#
    for more in [many, large] {
      let refusal = UpstreamRefusal(status: 400, body: Array(error("m", more: more).utf8))
      #expect(refusal.members.count <= Limits.errorMembers.value)
      #expect(
        refusal.members.reduce(0) { $0 + $1.json.count } <= Limits.errorMemberBytes.value)
    }
  }

  @Test(
    "a host's secret leaves no trace in the members", arguments: ["sk/secret-1", "sk-secret-2"])
  func secret(_ secret: String) {
    let slashed = secret.replacing("/", with: "\\/")
    var refusal = UpstreamRefusal(
      status: 401,
      body: Array(
        error("no", param: secret, more: #","o":{"key":"\#(slashed)"}"#).utf8))
    refusal.hide(secret)
    for member in refusal.members {
      let text = String(decoding: member.json, as: UTF8.self)
      #expect(!text.contains(secret) && !text.contains(slashed))
    }
    #expect(!refusal.words.contains(secret))
  }
}
