import ClusterModel
import ClusterTesting
import Testing

@testable import InferenceCore

@Suite("Requests without what hosts refuse")
struct RequestFormTests {
  private func text(_ form: RequestForm, _ body: String) -> String {
    String(decoding: form.applied(to: Array(body.utf8)), as: UTF8.self)
  }

  @Test(
    "members go, and every other byte stays",
    arguments: [
      (
        RequestForm.withoutTemperature, #"{"temperature":0.3,"top_p" : 0.9,"x":[1, 2]}"#,
        #"{"top_p" : 0.9,"x":[1, 2]}"#
      ),
      ([.withoutTopP, .withoutSeed], #"{"a":1,"top_p":0.9,"seed":7 }"#, #"{"a":1 }"#),
      (.withoutFormat, #"{"response_format":{"type":"json_schema"},"a":"é"}"#, #"{"a":"é"}"#),
      (.newLimitName, #"{"max_tokens":12}"#, #"{"max_completion_tokens":12}"#),
      (
        .newLimitName, #"{"max_tokens":12,"max_completion_tokens":5}"#,
        #"{"max_completion_tokens":5}"#
      ),
      ([.newLimitName, .withoutLimit], #"{"max_tokens":12,"a":1}"#, #"{"a":1}"#),
      (.unstreamed, #"{"temperature":1}"#, #"{"temperature":1}"#),
      ([], #"{"seed":1}"#, #"{"seed":1}"#),
      (.withoutSeed, "no JSON", "no JSON"),
    ] as [(RequestForm, String, String)])
  func members(_ form: RequestForm, _ body: String, _ expected: String) {
    #expect(text(form, body) == expected)
  }

  @Test(
    "the system's text begins the user's message that follows",
    arguments: [
      (
        #"[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi \"you\""}]"#,
        #"[{"role":"user","content":"Be brief.\n\nHi \"you\""}]"#
      ),
      (
        #"[{"role":"developer","content":[{"type":"text","text":"A"},{"type":"text","text":"B"}]},{"role":"user","content":[{"type":"image_url","image_url":{"url":"u"}}]}]"#,
        #"[{"role":"user","content":[{"type":"text","text":"A\nB"},{"type":"image_url","image_url":{"url":"u"}}]}]"#
      ),
      (
        #"[{"role":"system","content":"A"},{"role":"assistant","content":"x"},{"role":"system","content":"B"},{"role":"user","content":"q","name":"n"}]"#,
        #"[{"role":"assistant","content":"x"},{"role":"user","content":"A\n\nB\n\nq","name":"n"}]"#
      ),
      (
        #"[{"role":"user","content":"q"},{"role":"system","content":"A"}]"#,
        #"[{"role":"user","content":"q"},{"role":"user","content":"A"}]"#
      ),
      (
        #"[{"role":"system","content":""},{"role":"user","content":"q"}]"#,
        #"[{"role":"user","content":"q"}]"#
      ),
      (
        #"[{"role":"system","content":"A"},{"role":"user"}]"#,
        #"[{"role":"user","content":"A"},{"role":"user"}]"#
      ),
    ])
  func system(_ messages: String, _ expected: String) {
    #expect(text(.foldedSystem, #"{"messages":\#(messages)}"#) == #"{"messages":\#(expected)}"#)
  }

  private func sent(
    _ body: String, _ form: RequestForm, stream: Bool = false, undoable: RequestForm = [],
    dialect: HostDialect = .openai, resume: ResumePoint? = nil
  ) throws -> UpstreamRequest {
    try UpstreamRequest(
      InferenceRequest(
        endpoint: .chatCompletions, model: "m", body: Array(body.utf8), stream: stream,
        trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3)), undoable: undoable),
      to: Candidate(
        host: Host(id: "h", url: "http://h", dialect: dialect), model: "m", form: form),
      from: resume)
  }

  @Test(
    "a client that does not stream is asked for in its own bytes",
    arguments: [
      #"{"model":"m","messages":[]}"#, #"{"model":"m","stream":false , "stream_options":null}"#,
      #"{ "model" : "m","stream":null}"#,
    ])
  func unstreamed(_ body: String) throws {
    let request = try sent(body, .unstreamed)
    #expect(String(decoding: request.body, as: UTF8.self) == body)
    #expect(!request.reading.streams)
    #expect(request.headers.contains(.init("accept", "application/json")))
  }

  @Test("a stream without our option has the client's own, and an agent's has none")
  func usageOption() throws {
    let own = #"{"model":"m","stream":true,"stream_options":{"chunk":1}}"#
    let direct = try sent(own, .withoutUsageOption, stream: true)
    #expect(String(decoding: direct.body, as: UTF8.self) == own)
    let agent = try sent(
      own, .withoutUsageOption, stream: true, undoable: .withoutUsageOption)
    #expect(String(decoding: agent.body, as: UTF8.self) == #"{"model":"m","stream":true}"#)
  }

  @Test("an agent takes one body for a stream where streams are refused")
  func agentUnstreamed() throws {
    let request = try sent(
      #"{"model":"m","stream":true,"stream_options":{"include_usage":true},"seed":1}"#,
      [.unstreamed, .withoutSeed], stream: true, undoable: [.unstreamed, .withoutSeed])
    #expect(String(decoding: request.body, as: UTF8.self) == #"{"model":"m"}"#)
    // The reader treats the body as a stream of one chunk.
    #expect(request.reading.streams)
  }

  @Test("a body that continues a prefix is read as a chunk")
  func resumed() throws {
    let request = try sent(
      #"{"model":"m","messages":[{"role":"user","content":"q"}]}"#, .unstreamed,
      resume: ResumePoint(prefix: Array("He said".utf8), spentTokens: 2))
    #expect(request.reading.streams && request.resumed != nil)
  }

  @Test("members are left out in every dialect", arguments: [HostDialect.anthropic, .ollama])
  func dialects(_ dialect: HostDialect) throws {
    let body = #"{"messages":[{"role":"user","content":"q"}],"temperature":0.5,"top_p":0.9}"#
    let request = try sent(body, .withoutTopP, dialect: dialect)
    let text = String(decoding: request.body, as: UTF8.self)
    #expect(text.contains("temperature") && !text.contains("top_p"))
  }
}

@Suite("Memory of the requests that hosts accept")
struct HostHabitsTests {
  @Test("a form holds for its host and model, adds up, and is forgotten after an hour")
  func forms() {
    var habits = HostHabits()
    habits.learn(.form(.withoutSeed), of: "a", "m", now: at(0))
    habits.learn(.form(.foldedSystem), of: "a", "m", now: at(60))
    #expect(habits.form(of: "a", "m", at: at(100)) == [.withoutSeed, .foldedSystem])
    #expect(habits.form(of: "a", "n", at: at(100)).isEmpty)
    #expect(habits.form(of: "b", "m", at: at(100)).isEmpty)
    #expect(habits.form(of: "a", "m", at: at(60 + 3_600)).isEmpty)
    habits.learn(.form(.withoutTopP), of: "a", "m", now: at(8_000))
    #expect(habits.form(of: "a", "m", at: at(8_000)) == .withoutTopP)
  }

  @Test("a host's counts correct the estimate, and short prompts and nonsense do not")
  func ratio() {
    var habits = HostHabits()
    #expect(habits.tokens(estimated: 1_000, at: "a", "m") == 1_000)
    habits.learn(.prompt(estimated: 10, counted: 200), of: "a", "m", now: at(0))
    habits.learn(.prompt(estimated: 1_000, counted: 0), of: "a", "m", now: at(0))
    #expect(habits.tokens(estimated: 1_000, at: "a", "m") == 1_000)
    for _ in 0..<8 {
      habits.learn(.prompt(estimated: 1_000, counted: 500), of: "a", "m", now: at(0))
    }
    #expect(habits.tokens(estimated: 1_000, at: "a", "m") == 500)
    for _ in 0..<20 {
      habits.learn(.prompt(estimated: 1_000, counted: .max), of: "a", "m", now: at(0))
    }
    #expect(habits.tokens(estimated: .max, at: "a", "m") > 0)
    #expect((7_900...8_000).contains(habits.tokens(estimated: 1_000, at: "a", "m")))
  }

  @Test("however many hosts there are, the newest entries are kept and their number is bounded")
  func bounded() {
    var habits = HostHabits()
    for number in 0..<10_000 {
      habits.learn(
        .form(.withoutSeed), of: HostID("h\(number)"), "m", now: at(number / 100))
    }
    #expect(!habits.form(of: "h9999", "m", at: at(100)).isEmpty)
    #expect(habits.form(of: "h0", "m", at: at(100)).isEmpty)
  }
}
