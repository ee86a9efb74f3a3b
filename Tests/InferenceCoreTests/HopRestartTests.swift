import AnswerTesting
import ClusterModel
import InferenceCore
import Testing

/// Tests hosts that restart the answer in words that hardly match the client's text.
///
/// If the new text cannot be a continuation of the client's text, it is refused. Otherwise it is
/// accepted as a continuation, because the host's intent is unknown.
@Suite("A host that restarts the answer in other words")
struct HopRestartTests {
  private static let begun = [
    "The", " capital", " of", " France", " is", " Paris", ",", " which", " lies", " on", " the",
    " ri",
  ]
  private static let said = "The capital of France is Paris, which lies on the"

  private func cut(
    _ pieces: [String] = begun, _ extra: String = "", way: ResumeWay = .trailingAssistant
  ) -> HopRun {
    var hop = HopRun(extra, way: way)
    for piece in pieces { hop.say(piece) }
    hop.breakOff()
    return hop
  }

  @Test(
    "amid a sentence of prose it is refused",
    arguments: [
      "The city of Paris is the capital of France, and it lies on the river Seine.",
      "Paris is the capital of France, a city on the Seine.",
      "Sure! France's capital is Paris, a city on the Seine.",
      "Great question. France has had one capital for centuries.",
      "# Answer\n\nParis is the capital of France.",
    ], [ResumeWay.trailingAssistant, .continueFinalMessage, .instruct])
  func amidSentence(_ text: String, _ way: ResumeWay) {
    var hop = cut(way: way)
    hop.say(text, finish: "stop")
    #expect(hop.run.attempts.last?.failure?.kind == .badJoint, "\(hop.received.content)")
    #expect(hop.received.content == Self.said)
    // The next host gets an attempt.
    #expect(hop.asked.count == 3)
    hop.say(" river Seine.", finish: "stop")
    hop.end()
    #expect(hop.received.content == Self.said + " river Seine.")
  }

  @Test(
    "the same when it comes token by token",
    arguments: [
      ["The", " city", " of", " Paris", " is", " the", " capital", "."],
      ["Paris", " is", " the", " capital", " of", " France", "."],
    ])
  func tokenByToken(_ tokens: [String]) {
    var hop = cut()
    for token in tokens { hop.say(token) }
    hop.say("", finish: "stop")
    #expect(hop.run.attempts.last?.failure?.kind == .badJoint, "\(hop.received.content)")
    #expect(hop.received.content == Self.said)
  }

  @Test(
    "words that could stand there are a continuation: other ones, names, and those that lost their space",
    arguments: [
      (" Seine, in the north.", " Seine, in the north."),
      (" banks of a river.", " banks of a river."), ("banks of a river.", " banks of a river."),
      (" River Seine.", " River Seine."), (", well, Seine.", ", well, Seine."),
    ])
  func continuation(_ text: String, _ joined: String) {
    var hop = cut()
    hop.say(text, finish: "stop")
    hop.end()
    #expect(hop.failure == nil && hop.received.content == Self.said + joined)
  }

  @Test("the word that was due may lose its space, also one that begins with a capital")
  func dueName() {
    var hop = cut(["It", " is", " called", " Par"])
    hop.say("Paris, and it is old.", finish: "stop")
    hop.end()
    #expect(hop.received.content == "It is called Paris, and it is old.")
  }

  @Test("after a sentence or a line a new one is accepted, because it may be the next one")
  func behindSentence() {
    for (end, next, joined) in [
      (["It", " is", " Paris", ".", " Th"], "Paris is old.", "It is Paris. Paris is old."),
      (["Cities", ":", "\n", "Ro"], "Paris", "Cities:\nParis"),
    ] {
      var hop = cut(end)
      hop.say(next, finish: "stop")
      hop.end()
      #expect(hop.received.content == joined)
    }
  }

  @Test("JSON, a call's arguments and a long token can be gone on with in one way only")
  func structures() {
    var json = cut(
      [#"{"city": "#, #""Rome", "#, #""n": "#, "1"], #","response_format":{"type":"json_object"}"#)
    json.say(#"{"name": "Rome"}"#, finish: "stop")
    #expect(json.run.attempts.last?.failure?.kind == .badJoint, "\(json.received.content)")

    var call = HopRun()
    call.say(
      delta:
        #"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"city\": \"Ro"}}]}"#
    )
    call.say(delta: #"{"tool_calls":[{"index":0,"function":{"arguments":"me\", \"n"}}]}"#)
    call.breakOff()
    call.say(
      delta:
        #"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"town\": \"Rome\"}"}}]}"#,
      finish: "tool_calls")
    #expect(call.run.attempts.last?.failure?.kind == .badJoint, "\(call.received)")

    var token = cut(["Here", " it", " is", ": ", String(repeating: "QUJD", count: 40)])
    #expect(token.received.content.count > 30)
    token.say("Here you are: QUJDQUJD", finish: "stop")
    #expect(token.run.attempts.last?.failure?.kind == .badJoint, "\(token.received.content)")
  }
}
