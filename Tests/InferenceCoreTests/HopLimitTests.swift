import AnswerTesting
import ClusterModel
import InferenceCore
import Testing

/// Each piece has at least twelve bytes. A host does not send so many bytes as one token.
private let pieces = [
  "The river rises", " in the mountains,", " runs through the", " valley and ends",
]

@Suite("max_tokens over several hosts")
struct HopLimitTests {
  @Test(
    "one token a chunk: the chunks that the client has are taken off",
    arguments: ["max_tokens", "max_completion_tokens"])
  func chunks(_ name: String) throws {
    var hop = HopRun(#","\#(name)":20"#)
    for word in ["One", " two", " three", " four", " fi"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.received.content == "One two three four")
    #expect(hop.sent?[name] as? Int == 16)
  }

  @Test("several tokens a chunk and no word from the host: four bytes are a token")
  func longChunks() throws {
    var hop = HopRun(#","max_tokens":40"#)
    for piece in pieces { hop.say(piece) }
    hop.breakOff()
    // The client has "The river rises in the mountains, runs through the valley and": 61 bytes.
    #expect(hop.received.content.utf8.count == 61)
    let left = try #require(hop.sent?["max_tokens"] as? Int)
    #expect((24...25).contains(left), "\(left)")
  }

  @Test("the host's report in every chunk counts, whatever its chunks")
  func reported() throws {
    var hop = HopRun(#","max_tokens":40"#)
    for (number, piece) in pieces.enumerated() {
      hop.say(piece, usage: (7, 9 * (number + 1)))
    }
    hop.breakOff()
    // The host sent 66 bytes in 36 tokens. The client has 61 of these bytes.
    let left = try #require(hop.sent?["max_tokens"] as? Int)
    #expect((6...7).contains(left), "\(left)")
  }

  @Test("chunks without text count nothing, and thoughts count")
  func emptyChunks() throws {
    var hop = HopRun(#","max_tokens":20"#)
    for _ in 0..<5 { hop.say(delta: #"{"role":"assistant","content":""}"#) }
    for word in ["Hm", " yes", " so"] { hop.say(delta: #"{"reasoning_content":"\#(word)"}"#) }
    for word in ["One", " two", " thr"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.received.content == "One two")
    #expect(hop.sent?["max_tokens"] as? Int == 20 - 3 - 2)
  }

  @Test("no tokens are left at the cut: the answer ends at once, and no other host is asked")
  func spent() throws {
    var hop = HopRun(#","max_tokens":4,"stream_options":{"include_usage":true}"#)
    for word in ["One", " two", " three", " fou"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.asked.count == 1)
    #expect(hop.received.content == "One two three fou")
    #expect(hop.received.finish == "length")
    #expect(hop.received.identities.count == 1)
    #expect(hop.directives.last == .complete)
    #expect(hop.summary?.finishReason == "length")
    #expect(hop.summary?.usage.completionTokens == 4)
    #expect(hop.usage?[1] == 4)
    #expect(hop.summary?.attempts.map(\.outcome.name) == ["lost"])
  }

  @Test("nothing is left at the cut of a body: it ends with length and usage")
  func spentBody() throws {
    var hop = HopRun(#","max_completion_tokens":3"#, stream: false)
    for word in ["One", " two", " three"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.asked.count == 1)
    #expect(hop.bodyChoice.content == "One two three")
    #expect(hop.bodyChoice.finish == "length")
    #expect(hop.usage?[1] == 3)
  }

  @Test("a client that asked for no usage gets none with such an end")
  func spentWithoutUsage() throws {
    var hop = HopRun(#","max_tokens":2"#)
    for word in ["One", " two"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.received.finish == "length" && hop.usage == nil)
  }

  @Test("the second host ends by what was left: length, and never more than was asked for")
  func secondHostEnds() throws {
    var hop = HopRun(#","max_tokens":6"#)
    for word in ["One", " two", " three", " fou"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.sent?["max_tokens"] as? Int == 3)
    for word in [" four", " five"] { hop.say(word) }
    hop.say(" six", finish: "length")
    hop.end()
    #expect(hop.received.content == "One two three four five six")
    #expect(hop.received.finish == "length")
    #expect(hop.summary?.finishReason == "length")
    #expect(hop.summary?.usage.completionTokens == 6)
  }

  @Test("the second host breaks off, too: the tokens of both count against the limit")
  func twice() throws {
    var hop = HopRun(#","max_tokens":6"#)
    for word in ["One", " two", " th"] { hop.say(word) }
    hop.breakOff()
    for word in [" three", " four", " fi"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.sent?["max_tokens"] as? Int == 2)
    for word in [" five", " six"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.asked.count == 3)
    #expect(hop.received.content == "One two three four five six")
    #expect(hop.received.finish == "length" && hop.directives.last == .complete)
  }

  @Test("a limit of null or below one is none", arguments: ["null", "-1", "0"])
  func noLimit(_ limit: String) {
    var hop = HopRun(#","max_tokens":\#(limit)"#)
    for word in ["One", " two", " th"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.asked.count == 2)
  }

  @Test("null in the newer field leaves the older one")
  func older() {
    var hop = HopRun(#","max_completion_tokens":null,"max_tokens":2"#)
    for word in ["One", " two"] { hop.say(word) }
    hop.breakOff()
    #expect(hop.asked.count == 1 && hop.received.finish == "length")
  }
}
