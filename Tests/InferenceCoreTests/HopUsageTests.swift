import AnswerTesting
import ClusterModel
import InferenceCore
import Testing

private let usageWanted = #","stream_options":{"include_usage":true}"#

@Suite("Usage over several hosts")
struct HopUsageTests {
  private func start(stream: Bool, way: ResumeWay = .trailingAssistant) -> HopRun {
    HopRun(stream ? usageWanted : "", stream: stream, way: way)
  }

  private func expect(_ hop: HopRun, prompt: Int, completion: Int, _ content: String) {
    #expect(hop.usage == [prompt, completion, prompt + completion])
    #expect(hop.summary?.usage.promptTokens == prompt)
    #expect(hop.summary?.usage.completionTokens == completion)
    let got = hop.request.stream ? hop.received.content : hop.bodyChoice.content
    #expect(got == content)
    #expect(hop.objects.count { ($0["choices"] as? [Any])?.isEmpty == true } <= 1)
  }

  @Test(
    "the client's prompt once and what the client got, over one, two and three hops",
    arguments: [1, 2, 3], [true, false])
  func hops(_ hops: Int, _ stream: Bool) throws {
    var hop = start(stream: stream)
    var number = 0
    for _ in 0..<hops {
      // The last word of each host is discarded, and the next host repeats it.
      for _ in 0..<3 {
        number += 1
        hop.say(" w\(number)")
      }
      hop.breakOff()
      number -= 1
    }
    for _ in 0..<2 {
      number += 1
      hop.say(" w\(number)")
    }
    hop.say("", finish: "stop")
    // The prompt contains two tokens of each earlier host. One completion token is the end mark.
    hop.report(prompt: 7 + 2 * hops, completion: 3)
    hop.end()
    let words = (1...number).map { " w\($0)" }.joined()
    expect(hop, prompt: 7, completion: 2 * hops + 3, words)
    #expect(hop.summary?.attempts.map(\.tokens) == Array(repeating: 3, count: hops) + [3])
  }

  @Test("a host that reports impossibly many tokens does no harm", arguments: [true, false])
  func absurd(_ stream: Bool) throws {
    var hop = start(stream: stream)
    hop.say("One", usage: (7, .max - 7))
    hop.say(" two", usage: (7, .max - 7))
    hop.say(" three")
    hop.breakOff()
    hop.say(" four", finish: "stop", usage: (7, .max - 7))
    hop.end()
    #expect(hop.summary?.usage.promptTokens == 7)
    let completion = try #require(hop.summary?.usage.completionTokens)
    #expect((1...3 * Usage.mostTokens).contains(completion))
  }

  @Test("the first host's own count of the prompt is believed", arguments: [true, false])
  func promptReported(_ stream: Bool) throws {
    var hop = start(stream: stream)
    hop.say("One", usage: (11, 1))
    hop.say(" two", usage: (11, 2))
    hop.say(" th", usage: (11, 3))
    hop.breakOff()
    hop.say(" three", finish: "stop", usage: (99, 1))
    hop.end()
    expect(hop, prompt: 11, completion: 3, "One two three")
  }

  @Test("an instruction to go on is no part of the client's prompt", arguments: [true, false])
  func instruction(_ stream: Bool) throws {
    var hop = start(stream: stream, way: .instruct)
    for word in ["One", " two", " th"] { hop.say(word) }
    hop.breakOff()
    hop.say(" three")
    hop.say("", finish: "stop")
    // The prompt grows by two tokens of the answer, by an instruction of 58 tokens, by the same two
    // tokens within the instruction, and by 8 tokens that mark the turns.
    hop.report(prompt: 7 + 2 + 58 + 2 + 8, completion: 1)
    hop.end()
    let usage = try #require(hop.usage)
    #expect((1...14).contains(usage[0]), "\(usage)")
    #expect(usage[1] == 3)
  }

  @Test("repeated text is dropped and not counted", arguments: [true, false])
  func repeated(_ stream: Bool) throws {
    var hop = start(stream: stream, way: .instruct)
    for word in ["There", " was", " an", " old", " lighthouse", " kee"] { hop.say(word) }
    hop.breakOff()
    for word in ["was", " an", " old", " lighthouse", " keeper", " who", " slept"] {
      hop.say(word)
    }
    hop.say(".", finish: "stop", usage: (120, 8))
    hop.end()
    let content = "There was an old lighthouse keeper who slept."
    #expect((hop.request.stream ? hop.received.content : hop.bodyChoice.content) == content)
    // The client has five tokens of the first host and four of the second host's eight.
    let completion = try #require(hop.usage?[1])
    #expect((9...10).contains(completion), "\(completion)")
  }

  @Test("words that wait until it is clear how they join count too", arguments: [true, false])
  func waiting(_ stream: Bool) throws {
    var hop = start(stream: stream)
    for word in ["Sing", " low,", " an", " old", " so"] { hop.say(word) }
    hop.breakOff()
    for word in [" s", "o", " he", " said", ",", " sing", " on"] { hop.say(word) }
    hop.say(".", finish: "stop", usage: (11, 7))
    hop.end()
    let content = hop.request.stream ? hop.received.content : hop.bodyChoice.content
    #expect(content == "Sing low, an old so he said, sing on.")
    // Every word that the client has was counted once.
    let words = try #require(content).replacing(".", with: " .").replacing(",", with: " ,")
      .split(separator: " ").count
    #expect(abs(try #require(hop.usage?[1]) - words) <= 1, "\(content ?? "") \(hop.usage ?? [])")
  }

  @Test("usage is reported although the second host reports none", arguments: [true, false])
  func silent(_ stream: Bool) throws {
    var hop = start(stream: stream)
    for word in ["One", " two", " th"] { hop.say(word) }
    hop.breakOff()
    hop.say(" three")
    hop.say(" four", finish: "stop")
    hop.end()
    #expect(hop.usage?[1] == 4)
    #expect(hop.summary?.usage.estimated == true)
    #expect(hop.usage?[0] == hop.summary?.usage.promptTokens)
  }

  @Test("a host alone that reports nothing is left as it is")
  func aloneSilent() throws {
    var hop = start(stream: true)
    hop.say("One")
    hop.say(" two", finish: "stop")
    hop.end()
    #expect(hop.usage == nil)
    #expect(hop.summary?.usage.completionTokens == 2)
  }

  @Test("an answer that begins anew costs what the last host made, and no more")
  func anew() throws {
    var hop = HopRun(#","logprobs":true"#, stream: false)
    for word in ["One", " two", " three"] { hop.say(word) }
    hop.breakOff()
    for word in ["Uno", " dos"] { hop.say(word) }
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.bodyChoice.content == "Uno dos")
    #expect(hop.summary?.usage.completionTokens == 2)
    #expect(hop.summary?.attempts.map(\.tokens) == [3, 2])
  }

  @Test("the tokens of a beaten host are in its record only")
  func beaten() throws {
    var hop = HopRun(usageWanted, race: .dual)
    hop.say("", usage: (5, 90), from: 0)
    hop.say("One", from: 1)
    hop.say(" two", finish: "stop", from: 1)
    hop.report(prompt: 7, completion: 2)
    hop.end()
    #expect(hop.usage == [7, 2, 9])
    #expect(hop.summary?.attempts.map(\.outcome) == [.beaten, .answered])
  }

  @Test("details of one host's count are not reported for all hosts")
  func details() throws {
    var hop = start(stream: true)
    for word in ["One", " two", " th"] { hop.say(word) }
    hop.breakOff()
    hop.say(" three", finish: "stop", usage: (9, 1))
    hop.end()
    let told = hop.objects.last { $0["usage"] is HopRun.Object }?["usage"] as? HopRun.Object
    #expect(told?.keys.sorted() == ["completion_tokens", "prompt_tokens", "total_tokens"])
  }

  @Test("the tokens of a broken host are in its record, by its own count if it reported one")
  func records() throws {
    var hop = start(stream: true)
    hop.say("One long piece of", usage: (7, 5))
    hop.say(" an answer that", usage: (7, 9))
    hop.breakOff()
    #expect(hop.run.attempts.map(\.tokens) == [9])
  }
}
