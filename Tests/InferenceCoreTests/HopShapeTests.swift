import AnswerTesting
import ClusterModel
import Foundation
import InferenceCore
import Testing

@Suite("A request's demands on an answer of several hosts")
struct HopShapeTests {
  // MARK: - Stop sequences

  @Test(
    "a stop sequence that one host begins and the next ends: the answer ends before it",
    arguments: [true, false])
  func acrossTheJoint(_ stream: Bool) throws {
    // The hosts do not stop at the stop sequence. The first host sends its beginning, and the
    // second host sends all of it.
    var hop = HopRun(#","stop":["END OF"],"stream_options":{"include_usage":true}"#, stream: stream)
    for word in ["One", " two", " END", " O"] { hop.say(word) }
    hop.breakOff()
    let prefix = String(decoding: try #require(hop.asked.last?.resume).prefix, as: UTF8.self)
    #expect(prefix == "One two")
    hop.say(" END")
    hop.say(" OF")
    hop.say(" ALL")
    let content = stream ? hop.received.content : hop.bodyChoice.content
    let trimmed = try #require(content).trimmingCharacters(in: .whitespaces)
    #expect(trimmed == "One two")
    #expect(hop.summary?.finishReason == "stop")
    #expect((stream ? hop.received.finish : hop.bodyChoice.finish) == "stop")
    #expect(hop.directives.last == .complete)
    // The second host is still sending, so its attempt is cancelled.
    #expect(hop.directives.contains(.cancel(hop.asked[1].id)))
    #expect(hop.usage?[1] == hop.summary?.usage.completionTokens)
  }

  @Test("the possible start of a stop sequence is held back until it is clear that it is none")
  func startIsHeld() {
    var hop = HopRun(#","stop":"\n\nUser: hello""#)
    for word in ["One", " two", "\n\n", "User", ":"] { hop.say(word) }
    #expect(hop.received.content == "One two")
    hop.say(" goodbye")
    hop.say(".", finish: "stop")
    hop.end()
    #expect(hop.received.content == "One two\n\nUser: goodbye.")
  }

  @Test("the text may go on where a stop sequence only began")
  func noStop() {
    var hop = HopRun(#","stop":["END OF ALL"]"#)
    for word in ["One", " END", " OF", " A"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.received.content == "One")
    for word in [" END", " OF", " A", " story", "."] { hop.say(word) }
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.received.content == "One END OF A story.")
  }

  @Test("a stop sequence within the bytes that were held back: the next host stops before it")
  func withinHeldBytes() throws {
    var hop = HopRun(#","stop":["STOP"]"#)
    for word in ["One", " two", " STO"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.received.content == "One two")
    #expect(hop.sent?["stop"] as? [String] == ["STOP"])
    // The host stopped at the stop sequence without sending it, and had no other text.
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.received.content == "One two")
    #expect(hop.received.finish == "stop")
  }

  @Test(
    "a stop sequence that the client has in part and the next host ends in a longer chunk")
  func longBeginning() {
    // The stop sequence is longer than the text that is held back, so the client receives its
    // start.
    let long = String(repeating: "=", count: 100)
    var hop = HopRun(#","stop":["\#(long)"]"#)
    hop.say("One ")
    hop.say(String(repeating: "=", count: 90))
    hop.breakOff()
    hop.say(String(repeating: "=", count: 200))
    hop.say(" two", finish: "stop")
    hop.end()
    #expect(!hop.received.content.contains(long))
    #expect(hop.summary?.finishReason == "stop" || hop.failure != nil)
  }

  // MARK: - Formats

  @Test(
    "response_format and every other member stay in the resumed request",
    arguments: [
      #"{"type":"json_object"}"#,
      #"{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","x":[1.0,2]}}}"#,
    ],
    [ResumeWay.trailingAssistant, .continueFinalMessage, .instruct])
  func responseFormat(_ format: String, _ way: ResumeWay) throws {
    let extra = #","response_format":\#(format),"seed":7,"tools":[],"new_field":{"a":[1e3]}"#
    var hop = HopRun(extra, way: way)
    for piece in [#"{"a": "#, #"1, "#, #""b": "#] { hop.say(piece) }
    hop.breakOff()
    let last = try #require(hop.asked.last)
    let said = try UpstreamRequest(hop.request, to: last.candidate, from: last.resume)
    #expect(String(decoding: said.body, as: UTF8.self).contains(extra))
    #expect(said.resumed == way)
    // The continuation must be the rest of the JSON.
    hop.say(#" 2}"#)
    hop.say("", finish: "stop")
    hop.end()
    let data = Data(hop.received.content.utf8)
    #expect(try JSONSerialization.jsonObject(with: data) as? [String: Int] == ["a": 1, "b": 2])
  }

  @Test("Ollama is asked for the same format again")
  func ollamaFormat() throws {
    let request = try said(
      #"{"messages":[{"role":"user","content":"q"}],"response_format":{"type":"json_object"}}"#,
      to: .ollama, from: #"{"a": 1"#)
    #expect(bodyText(request).contains(#""format":"json""#))
  }

  // MARK: - Answers that cannot be resumed

  @Test(
    "several choices and logprobs end with the named error once a part was delivered",
    arguments: [
      (#","n":2"#, "it has 2 choices (n)"),
      (#","logprobs":true"#, "it carries logprobs"), (#","logprobs":3"#, "it carries logprobs"),
    ])
  func notContinued(_ extra: String, _ words: String) throws {
    var hop = HopRun(extra)
    for word in ["One", " two"] { hop.say(word) }
    hop.breakOff()
    let failure = try #require(hop.failure)
    #expect(failure.code == .upstreamFailed)
    #expect(hop.asked.count == 1)
    #expect(hop.received.content == "One two" && hop.received.finish == nil)
    #expect(failure.message.contains(words), "\(failure)")
  }

  @Test("a call by another name is refused, and the next host asked")
  func otherCall() {
    var hop = HopRun()
    hop.say(
      delta:
        #"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"look","arguments":"{\"q\": "}}]}"#
    )
    hop.say(delta: #"{"tool_calls":[{"index":0,"function":{"arguments":"1, \"r"}}]}"#)
    hop.breakOff()
    #expect(hop.received.names == [0: "look"])
    hop.say(
      delta:
        #"{"tool_calls":[{"index":0,"id":"b","type":"function","function":{"name":"send","arguments":"{\"q\": 1}"}}]}"#
    )
    #expect(hop.run.attempts.last?.failure?.kind == .badJoint)
    #expect(hop.run.attempts.last?.failure?.message == "it calls send instead of look")
    #expect(hop.asked.count == 3)
    hop.say(
      delta:
        #"{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"look","arguments":"{\"q\": 1, \"r\": 2}"}}]}"#
    )
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.received.names == [0: "look"] && hop.received.ids == [0: "a"])
    #expect(hop.received.arguments == [0: #"{"q": 1, "r": 2}"#])
  }

  @Test("an answer above the limit ends with an error that names the limit")
  func tooLong() throws {
    var hop = HopRun()
    hop.say("One")
    let megabyte = String(repeating: "word ", count: (1 << 20) / 5)
    for _ in 0..<5 { hop.say(megabyte) }
    hop.breakOff()
    let failure = try #require(hop.failure)
    #expect(failure.code == .upstreamFailed)
    #expect(failure.message.contains("longer than the 4194304 bytes that are kept"))
    #expect(hop.asked.count == 1)
    // The client received everything; nothing is held back.
    #expect(hop.received.content.utf8.count == 3 + 5 * megabyte.utf8.count)
  }
}
