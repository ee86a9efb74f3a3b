import ClusterModel
import Testing

@testable import InferenceCore

@Suite("Hosts that count more tokens than their text has")
struct FalseCountTests {
  @Test("the count of a host that is not trusted is limited by its text", arguments: [true, false])
  func limited(_ stream: Bool) throws {
    var hop = HopRun(stream: stream)
    hop.say("One two")
    hop.say(" three", finish: "stop")
    hop.report(prompt: 7, completion: 50_000)
    hop.end()
    let tokens = try #require(hop.summary?.usage.completionTokens)
    // At most one token counts for each of the 13 bytes and each of the 2 chunks, plus 16 tokens
    // without text.
    #expect((3...13 + 2 + 16).contains(tokens), "\(tokens)")
    #expect(hop.summary?.attempts.map(\.tokens) == [tokens])
  }

  @Test("a true count stays, also of tool calls", arguments: [true, false])
  func honest(_ stream: Bool) throws {
    var hop = HopRun(stream: stream)
    let call = #"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#
    hop.say(delta: call)
    hop.say("", finish: "tool_calls")
    hop.report(prompt: 7, completion: 24)
    hop.end()
    #expect(hop.summary?.usage.completionTokens == 24)
  }

  @Test(
    "the prompt of a host that is not trusted has at most one token per byte that it was sent",
    arguments: [true, false])
  func falsePrompt(_ stream: Bool) throws {
    var hop = HopRun(stream: stream)
    hop.say("One two", finish: "stop")
    hop.report(prompt: 50_000, completion: 2)
    hop.end()
    let tokens = try #require(hop.summary?.usage.promptTokens)
    // A chat template has up to 128 tokens more.
    #expect((1...hop.request.body.count + 128).contains(tokens), "\(tokens)")
  }

  @Test("a prompt may have more tokens than its estimate, and so may a picture of a URL")
  func densePrompt() throws {
    var hop = HopRun()
    hop.say("One", finish: "stop")
    hop.report(prompt: hop.request.body.count, completion: 1)
    hop.end()
    #expect(hop.summary?.usage.promptTokens == hop.request.body.count)
    let body =
      #"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What?"},"#
      + #"{"type":"image_url","image_url":{"url":"https://a.example/b.png"}}]}]}"#
    #expect(AnswerShape(body: Array(body.utf8)).mostPromptTokens >= 1_600)
  }

  @Test("a host that breaks off with a false count takes nothing from the host that resumes")
  func brokenOff() throws {
    var hop = HopRun()
    hop.say("One", usage: (7, 50_000))
    hop.say(" two", usage: (7, 50_000))
    hop.say(" th", usage: (7, 50_000))
    hop.breakOff()
    for word in [" three", " four", " five"] { hop.say(word) }
    hop.say("", finish: "stop")
    hop.end()
    let summary = try #require(hop.summary)
    #expect(summary.usage.completionTokens < 60, "\(summary.usage)")
    #expect(summary.attempts.map(\.tokens).allSatisfy { $0 < 40 }, "\(summary.attempts)")
  }

  @Test("a trusted host may count tokens that it does not send, such as hidden reasoning")
  func trusted() throws {
    var hop = HopRun(trust: .trusted)
    hop.say("One two", finish: "stop")
    hop.report(prompt: 5_000, completion: 900)
    hop.end()
    #expect(hop.summary?.usage.completionTokens == 900)
    #expect(hop.summary?.usage.promptTokens == 5_000)
  }
}
