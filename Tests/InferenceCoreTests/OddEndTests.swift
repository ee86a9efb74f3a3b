import ClusterModel
import Foundation
import InferenceCore
import Testing

/// An answer ends with a finish reason that no chunk follows, with `[DONE]`, or with a complete
/// body. Any other end is a cut, after which another host resumes.
@Suite("Ends of answers")
struct OddEndTests {
  private static let words = ["One", " two", " three", " four", " five", " six."]

  @Test(
    "a reason that comes with every chunk, or with the reasoning, ends nothing",
    arguments: [
      words.map { wireWord($0, #""stop""#) },
      [wireChunk(#"{"reasoning_content":"Hm."}"#, #""stop""#)] + words.map { wireWord($0) },
      [wireChunk(#"{"reasoning":"Hm."}"#, #""stop""#)],
      words.map { wireWord($0, #""""#) }, words.map { wireWord($0, "null") },
      [wireWord("One", #""length""#)] + words.dropFirst().map { wireWord($0) },
    ])
  func ignored(_ chunks: [String]) {
    // If the connection breaks after these chunks, another host resumes.
    var broken = WireRun(hosts: 2)
    broken.events(chunks)
    broken.breakOff()
    #expect(broken.asked.count == 2 && !broken.isComplete)
    // A pause is not an end.
    var paused = WireRun()
    paused.events(chunks)
    paused.now = Instant(sinceStart: .seconds(12))
    paused.tick()
    #expect(!paused.isComplete && paused.run.attempts.isEmpty)
    paused.events([wireWord(" Seven."), "[DONE]"])
    #expect(paused.isComplete && paused.text.hasSuffix(" Seven."))
    // Only `[DONE]` of the host ends the answer.
    var whole = WireRun()
    whole.events(chunks + ["[DONE]"])
    #expect(whole.isComplete && whole.finish == (chunks[0].contains("length") ? "length" : "stop"))
  }

  @Test("a finish reason sent twice, or before an empty chunk, is one end")
  func twice() {
    var wire = WireRun(hosts: 2)
    wire.events([wireWord("One two"), wireChunk("{}", #""stop""#), wireChunk("{}", #""stop""#)])
    wire.events([wireChunk(#"{"content":""}"#)])
    wire.breakOff()
    #expect(wire.isComplete && wire.text == "One two")
  }

  @Test("reasoning alone that ends by length has ended")
  func length() {
    var wire = WireRun(hosts: 2)
    wire.events([wireChunk(#"{"reasoning":"Hm."}"#), wireChunk("{}", #""length""#)])
    wire.breakOff()
    #expect(wire.isComplete && wire.finish == "length")
  }

  @Test("[DONE] without a reason is an end, and the client gets one", arguments: [true, false])
  func done(_ stream: Bool) {
    var wire = WireRun(stream: stream, hosts: 2)
    wire.events(Self.words.map { wireWord($0) } + ["[DONE]"])
    #expect(wire.isComplete && wire.asked.count == 1)
    #expect(wire.run.attempts.map(\.outcome) == [.answered])
    let text = stream ? wire.text : wire.message?["content"] as? String
    #expect(text == Self.words.joined())
    #expect((stream ? wire.finish : wire.bodyChoice?["finish_reason"] as? String) == "stop")
    if stream { #expect(wire.objects.last?["id"] as? String == "c") }
  }

  @Test("[DONE] after tool calls, a word that was held back, or a plain completion")
  func doneElse() {
    var calls = WireRun()
    calls.events([
      wireChunk(#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#),
      "[DONE]",
    ])
    #expect(calls.isComplete && calls.finish == "tool_calls")
    var short = WireRun()
    short.events([wireWord("Hi"), "[DONE]"])
    #expect(short.isComplete && short.text == "Hi" && short.finish == "stop")
    var plain = WireRun(#","prompt":"a""#, endpoint: .completions)
    plain.events([#"{"id":"c","choices":[{"index":0,"text":"One two"}]}"#, "[DONE]"])
    #expect(plain.isComplete && plain.text == "One two" && plain.finish == "stop")
    #expect(plain.objects.last?["id"] as? String == "c")
    var several = WireRun(#","n":2"#)
    several.events([wireWord("One two"), "[DONE]"])
    #expect(several.isComplete)
  }

  @Test("[DONE] without a reason by the host that resumed the answer is its end")
  func resumed() {
    var wire = WireRun(hosts: 2)
    wire.events(["One two three four five six", " seven eight"].map { wireWord($0) })
    wire.breakOff()
    wire.events([wireWord(" eight nine"), wireWord(" ten."), "[DONE]"])
    #expect(wire.isComplete, "\(wire.failure?.message ?? "")")
    #expect(wire.text == "One two three four five six seven eight nine ten.")
    #expect(wire.finish == "stop")
  }

  @Test(
    "a complete body without a reason is an answer, also if the connection is lost after it",
    arguments: [true, false], [#""finish_reason":null"#, #""finish_reason":"""#, #""index":0"#])
  func body(_ isLost: Bool, _ member: String) {
    let body = #"{"id":"c","choices":[{"message":{"content":"One two"},\#(member)}]}"#
    for stream in [true, false] {
      var wire = WireRun(stream: stream, hosts: 2)
      wire.send(body)
      if isLost { wire.breakOff() } else { wire.end() }
      #expect(wire.isComplete && wire.asked.count == 1)
      let text = stream ? wire.text : wire.message?["content"] as? String
      #expect(text == "One two")
    }
    var cut = WireRun(hosts: 2)
    cut.send(String(body.dropLast(3)))
    cut.breakOff()
    #expect(cut.asked.count == 2)
  }

  @Test("an answer without a word is believed if no other host can be asked")
  func empty() {
    let role = wireChunk(#"{"role":"assistant","content":""}"#)
    var alone = WireRun()
    alone.events([role, "[DONE]"])
    #expect(alone.isComplete && alone.text.isEmpty && alone.finish == "stop")
    var first = WireRun(hosts: 2)
    first.events([role, "[DONE]"])
    #expect(first.asked.count == 2)
    first.events([wireWord("One."), "[DONE]"])
    #expect(first.isComplete && first.text == "One.")
    var nothing = WireRun()
    nothing.events(["[DONE]"])
    #expect(!nothing.isComplete)
  }

  @Test(
    "a reason that is a failure is no end",
    arguments: ["abort", "error", "Aborted", "cancelled", "insufficient_system_resource"])
  func failed(_ reason: String) throws {
    for stream in [true, false] {
      var wire = WireRun(stream: stream, hosts: 2)
      wire.events([wireWord("One two"), wireChunk("{}", #""\#(reason)""#)])
      #expect(wire.asked.count == 2)
      #expect(wire.run.attempts.first?.failure?.message.contains(reason) == true)
    }
    var body = WireRun(stream: false, hosts: 2)
    body.send(#"{"choices":[{"message":{"content":"One"},"finish_reason":"\#(reason)"}]}"#)
    body.end()
    #expect(body.asked.count == 2)
  }

  @Test("a batch of prompts ends with its last choice")
  func batch() {
    func choice(_ index: Int, _ text: String, _ reason: String) -> String {
      #"{"choices":[{"index":\#(index),"text":"\#(text)","finish_reason":\#(reason)}]}"#
    }
    var wire = WireRun(#","prompt":["a","b"],"n":2"#, hosts: 2, endpoint: .completions)
    wire.events(["null"] + (0..<3).map { choice($0, "x", #""stop""#) })
    wire.now = Instant(sinceStart: .seconds(8))
    wire.tick()
    #expect(!wire.isComplete && wire.run.attempts.isEmpty)
    wire.events([choice(3, "y", #""stop""#)])
    wire.breakOff()
    #expect(wire.isComplete)
  }

  @Test("answers to several prompts in an array are one answer with all choices")
  func batchArray() throws {
    let answer: (Int) -> String = {
      #"{"id":"c\#($0)","choices":[{"index":\#($0),"text":"t\#($0)"}],"usage":{"prompt_tokens":2,"completion_tokens":3}}"#
    }
    var reader = UpstreamReader(
      UpstreamReading(endpoint: .completions, streams: false, choices: 2), status: 200)
    _ = reader.append(Array("[\(answer(0)), \(answer(1))]".utf8))
    guard case .body(let body, let facts)? = reader.end().first else {
      Issue.record("no body")
      return
    }
    #expect(
      String(decoding: body, as: UTF8.self)
        == #"{"id":"c0","choices":[{"index":0,"text":"t0"},{"index":1,"text":"t1"}],"usage":{"prompt_tokens":4,"completion_tokens":6,"total_tokens":10}}"#
    )
    #expect(facts.usage == Usage(promptTokens: 4, completionTokens: 6))
    for odd in ["[]", "[1]", "[{}]", "[{\"choices\":{}}]", "[{\"choices\":[]}]", "["] {
      var reader = UpstreamReader(
        UpstreamReading(endpoint: .completions, streams: false), status: 200)
      _ = reader.append(Array(odd.utf8))
      guard case .broken? = reader.end().first else {
        Issue.record("accepted \(odd)")
        return
      }
    }
  }

  // MARK: - Signs of life

  @Test(
    "a host that sends comments and no token gets a longer but limited time",
    arguments: [": ping\n\n", "data:\n\n", "data: null\n\n"])
  func signs(_ sign: String) throws {
    var wire = WireRun(hosts: 2)
    let patience = try #require(wire.run.nextWake).sinceStart
    var second = 0
    while wire.asked.count == 1, second < 500 {
      second += 1
      wire.now = Instant(sinceStart: .seconds(second))
      wire.send(sign)
      wire.tick()
    }
    #expect(wire.asked.count == 2)
    #expect(.seconds(second) > patience * 3 && .seconds(second) < patience * 5)
    // Without signs of life, another host is asked as soon as the first host's patience ends.
    var silent = WireRun(hosts: 2)
    silent.now = Instant(sinceStart: patience)
    silent.tick()
    #expect(silent.asked.count == 2)
  }

  @Test("a sign does not prolong a deadline that the client set")
  func ownDeadline() {
    let request = InferenceRequest(
      endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
    let deadlines = Deadlines(
      firstToken: .seconds(10), interToken: .seconds(5), total: .seconds(60))
    var run = InferenceRun(
      request: request,
      constraints: InferenceConstraints(race: .single, deadlines: deadlines, seed: 1))
    let cluster = FixedCluster([
      Host(id: "a", url: "http://a", state: .ready, models: [.init(id: "m")])
    ])
    _ = run.begin(cluster, now: .zero)
    run.receivedSign(from: AttemptID(0), now: Instant(sinceStart: .seconds(9)))
    #expect(run.nextWake == Instant(sinceStart: .seconds(10)))
  }
}
