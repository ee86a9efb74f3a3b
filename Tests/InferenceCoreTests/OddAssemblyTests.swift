import ClusterModel
import Foundation
import InferenceCore
import Limits
import Testing

/// Checks that the body of an unstreamed answer contains the chunks' content exactly once.
@Suite("Bodies made of odd chunks")
struct OddAssemblyTests {
  /// The message assembled from deltas, in an answer with one choice.
  private func message(_ deltas: [String], _ extra: String = "") -> NSDictionary? {
    var wire = WireRun(extra, stream: false)
    wire.events(deltas.map { wireChunk($0) } + [wireChunk("{}", #""stop""#), "[DONE]"])
    #expect(wire.isComplete, "\(wire.failure?.message ?? "")")
    return wire.message
  }

  private func choice(_ choices: [String], _ extra: String = "") -> NSDictionary? {
    var wire = WireRun(extra, stream: false)
    wire.events(choices.map { #"{"id":"c","choices":[\#($0)]}"# } + ["[DONE]"])
    #expect(wire.isComplete, "\(wire.failure?.message ?? "")")
    return wire.bodyChoice
  }

  private func json(_ text: String) throws -> NSDictionary {
    try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary)
  }

  @Test(
    "a text that several members of a choice repeat is taken once",
    arguments: [
      [
        #"{"index":0,"delta":{"content":"One"},"message":{"content":"One"},"text":"One"}"#,
        #"{"index":0,"delta":{"content":" two"},"message":{"content":"One two"},"text":" two"}"#,
        #"{"index":0,"delta":{},"message":{"content":"One two"},"finish_reason":"stop"}"#,
      ],
      [
        #"{"index":0,"delta":{"content":"One two"}}"#,
        #"{"index":0,"message":{"role":"assistant","content":"One two"},"finish_reason":"stop"}"#,
      ],
      [#"{"index":0,"message":{"content":"One two"},"finish_reason":"stop"}"#],
      [
        #"{"index":0,"delta":null,"message":{"content":"One two"}}"#,
        #"{"index":0,"delta":null,"message":null,"finish_reason":"stop"}"#,
      ],
    ])
  func once(_ choices: [String]) {
    let made = choice(choices)
    #expect((made?["message"] as? NSDictionary)?["content"] as? String == "One two")
    // After a break, the answer is complete or another host is asked.
    var wire = WireRun(hosts: 2)
    wire.events(choices.map { #"{"id":"c","choices":[\#($0)]}"# })
    wire.breakOff()
    #expect(wire.isComplete || wire.asked.count == 2)
  }

  @Test("a body has one text, also if a chunk has a message and a delta")
  func bodyWithDelta() {
    for stream in [true, false] {
      var wire = WireRun(stream: stream)
      wire.send(
        #"{"choices":[{"delta":{"content":"One two"},"message":{"content":"One two"}}]}"#)
      wire.end()
      #expect((stream ? wire.text : wire.message?["content"] as? String) == "One two")
    }
  }

  @Test(
    "the index of an only choice has no meaning",
    arguments: [[0, 1, 2, 3], [1, 1, 1, 1], [0, 5, 6, 9]])
  func numbered(_ numbers: [Int]) {
    let words = ["One", " two", " three", " four"]
    for stream in [true, false] {
      var wire = WireRun(stream: stream)
      for (number, word) in zip(numbers, words) {
        wire.events([#"{"choices":[{"index":\#(number),"delta":{"content":"\#(word)"}}]}"#])
      }
      wire.events([#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#, "[DONE]"])
      #expect(wire.isComplete, "\(wire.failure?.message ?? "")")
      #expect((stream ? wire.text : wire.message?["content"] as? String) == words.joined())
    }
  }

  @Test(
    "two choices where one was asked for are not mixed",
    arguments: [[0, 1, 0, 1], [0, 0, 1, 1], [1, 0, 1, 0], [0, 1, 1, 1]])
  func mixed(_ numbers: [Int]) {
    var wire = WireRun(hosts: 2)
    for number in numbers {
      wire.events([#"{"choices":[{"index":\#(number),"delta":{"content":"One two "}}]}"#])
    }
    #expect(wire.run.attempts.first?.failure?.kind == .garbage)
  }

  @Test("a content of parts and of texts becomes one")
  func parts() throws {
    let thinking: (String) -> String = {
      #"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"\#($0)"}]}]}"#
    }
    #expect(
      message([thinking("Hm"), thinking("."), #"{"content":"One"}"#, #"{"content":" two"}"#])
        == (try json(
          #"{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]},{"type":"text","text":"One two"}]}"#
        )))
    #expect(
      message([
        #"{"content":"One"}"#, #"{"content":[{"type":"text","text":" two"}]}"#,
        #"{"content":" three"}"#,
      ])
        == (try json(
          #"{"role":"assistant","content":[{"type":"text","text":"One two three"}]}"#)))
    // Text within content parts can be resumed.
    var wire = WireRun(hosts: 2)
    wire.events(
      ["One two three four five six", " seven eight"].map {
        wireChunk(#"{"content":[{"type":"text","text":"\#($0)"}]}"#)
      })
    wire.breakOff()
    wire.events([wireWord(" eight nine."), "[DONE]"])
    #expect(wire.isComplete, "\(wire.failure?.message ?? "")")
    #expect(wire.run.attempts.last?.outcome == .answered)
  }

  @Test("text in parts that a second host repeats reaches the client once")
  func repeatedParts() {
    func said(_ text: String) -> String {
      wireChunk(#"{"content":[{"type":"text","text":"\#(text)"}]}"#)
    }
    let words = ["One", " two", " three", " four", " five", " six", " seven", " eight"]
    var wire = WireRun(hosts: 2)
    wire.events(words.map(said))
    wire.breakOff()
    wire.events((words + [" nine."]).map(said) + ["[DONE]"])
    #expect(wire.isComplete, "\(wire.failure?.message ?? "")")
    let text = wire.objects.map { object -> String in
      let choice = (object["choices"] as? [NSDictionary])?.first
      let content = (choice?["delta"] as? NSDictionary)?["content"]
      let parts = (content as? [NSDictionary])?.compactMap { $0["text"] as? String }
      return content as? String ?? parts?.joined() ?? ""
    }
    #expect(text.joined() == (words + [" nine."]).joined())
  }

  @Test("ids and constants are kept once, texts of unknown members are joined")
  func constants() throws {
    let detail: (String) -> String = {
      #"{"reasoning_details":[{"type":"reasoning.text","text":"\#($0)","format":"anthropic-claude-v1","index":0}]}"#
    }
    #expect(
      message([detail("Hm"), detail(" so"), detail(".")])
        == (try json(
          #"{"role":"assistant","content":null,"reasoning_details":[{"type":"reasoning.text","text":"Hm so.","format":"anthropic-claude-v1","index":0}]}"#
        )))
    #expect(
      message([
        #"{"content":"a","format":"wav","id":"x1","note":"ha"}"#,
        #"{"content":"a","format":"wav","id":"x2","note":"ha"}"#,
        #"{"content":"a","format":"wav","id":"x3","note":"!"}"#,
      ])
        == (try json(
          #"{"role":"assistant","content":"aaa","format":"wav","id":"x1","note":"haha!"}"#)))
    #expect(
      message([
        #"{"audio":{"id":"a","data":"QUJD","transcript":"Hi","format":"wav"}}"#,
        #"{"audio":{"id":"a","data":"QUJD","transcript":" Hi","format":"wav"}}"#,
      ])
        == (try json(
          #"{"role":"assistant","content":null,"audio":{"id":"a","data":"QUJDQUJD","transcript":"Hi Hi","format":"wav"}}"#
        )))
  }

  private func calls(_ deltas: [String]) -> [String]? {
    let calls =
      message(deltas.map { #"{"tool_calls":[\#($0)]}"# })?["tool_calls"] as? [NSDictionary]
    return calls?.map {
      let function = $0["function"] as? NSDictionary
      return "\(function?["name"] ?? "")(\(function?["arguments"] ?? ""))"
    }
  }

  @Test("calls without ids are kept apart, and pieces of one call come together")
  func callsWithoutIDs() {
    let look = #"{"function":{"name":"look","arguments":"{\"q\":1}"}}"#
    let send = #"{"function":{"name":"send","arguments":"{}"}}"#
    #expect(calls([look, send]) == [#"look({"q":1})"#, "send({})"])
    #expect(calls([look, look]) == [#"look({"q":1})"#, #"look({"q":1})"#])
    #expect(calls([look + "," + send]) == [#"look({"q":1})"#, "send({})"])
    let numbered = #"{"index":0,"function":{"name":"look","arguments":"{\"q\":{}}"}}"#
    #expect(calls([numbered, numbered]) == [#"look({"q":{}})"#, #"look({"q":{}})"#])
    let pieces = [#"{\"q\":{}"#, #","#, #"\"r\":1}"#, ""]
    for index in [#""index":0,"#, ""] {
      #expect(
        calls(pieces.map { #"{\#(index)"function":{"name":"look","arguments":"\#($0)"}}"# })
          == [#"look({"q":{},"r":1})"#])
    }
    // A name repeated in every piece does not exceed the name limit.
    let many = Array(
      repeating: #"{"index":0,"function":{"name":"look","arguments":"x"}}"#, count: 200)
    let opening = #"{"index":0,"function":{"name":"look","arguments":""}}"#
    #expect(calls([opening] + many) == calls(many))
    #expect(calls(many) == ["look(\(String(repeating: "x", count: 200)))"])
    #expect(
      calls([
        #"{"id":"a","function":{"name":"look","arguments":""}}"#,
        #"{"id":"a","function":{"arguments":"{}"}}"#,
      ]) == ["look({})"])
  }

  @Test("data that hosts add per token is joined in order")
  func tokens() throws {
    let entry: (String) -> String = {
      #"{"index":0,"id":"t","token":"\#($0)","logprob":-1,"top_logprobs":[]}"#
    }
    #expect(
      choice(
        [
          #"{"index":0,"delta":{"content":"a"},"token_ids":[5],"logprobs":{"content":[\#(entry("a"))]}}"#,
          #"{"index":0,"delta":{"content":"a"},"token_ids":[5],"logprobs":{"content":[\#(entry("a"))]}}"#,
          #"{"index":0,"delta":{"content":"b"},"token_ids":[6,7],"logprobs":{"content":[\#(entry("b"))]},"finish_reason":"stop"}"#,
        ], #","logprobs":true"#)
        == (try json(
          #"{"index":0,"message":{"role":"assistant","content":"aab"},"token_ids":[5,5,6,7],"logprobs":{"content":[\#(entry("a")),\#(entry("a")),\#(entry("b"))]},"finish_reason":"stop"}"#
        )))
    var plain = WireRun(#","prompt":"p","logprobs":1"#, stream: false, endpoint: .completions)
    plain.events([
      #"{"id":"c","prompt_token_ids":[1,2],"choices":[{"index":0,"text":"a","logprobs":{"tokens":["a"],"token_logprobs":[null],"top_logprobs":[{"index":1}],"text_offset":[0]},"prompt_token_ids":[1,2]}]}"#,
      #"{"id":"c","prompt_token_ids":null,"choices":[{"index":0,"text":"b","logprobs":{"tokens":["b"],"token_logprobs":[-1],"top_logprobs":[{"index":1}],"text_offset":[1]},"prompt_token_ids":[1,2],"finish_reason":"stop"}]}"#,
      "[DONE]",
    ])
    #expect(plain.body?["prompt_token_ids"] as? [Int] == [1, 2])
    #expect(
      plain.bodyChoice
        == (try json(
          #"{"index":0,"text":"ab","logprobs":{"tokens":["a","b"],"token_logprobs":[null,-1],"top_logprobs":[{"index":1},{"index":1}],"text_offset":[0,1]},"prompt_token_ids":[1,2],"finish_reason":"stop"}"#
        )))
  }

  @Test("an empty content stays empty and null stays null")
  func contents() throws {
    #expect(
      message([#"{"content":null,"refusal":"No"}"#, #"{"refusal":"."}"#])
        == (try json(
          #"{"role":"assistant","content":null,"refusal":"No."}"#)))
    #expect(
      message([#"{"role":"assistant","content":"","refusal":null}"#, #"{"content":null}"#])
        == (try json(#"{"role":"assistant","content":"","refusal":null}"#)))
    #expect(
      message([
        #"{"content":null,"function_call":{"name":"f","arguments":""}}"#,
        #"{"function_call":{"arguments":"{}"}}"#,
      ])
        == (try json(
          #"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}"#)))
  }

  @Test("an identity that is empty in the first chunk is the next one's")
  func identity() {
    var wire = WireRun(stream: false)
    wire.events([
      #"{"id":"","object":"","created":0,"model":"","choices":[],"prompt_filter_results":[]}"#,
      #"{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m1","choices":[{"index":0,"delta":{"content":"One"}}]}"#,
      wireChunk("{}", #""stop""#), "[DONE]",
    ])
    #expect(wire.body?["id"] as? String == "c1" && wire.body?["model"] as? String == "m1")
    #expect(wire.body?["created"] as? Int == 7)
  }

  @Test(
    "a part that no other host can go on with is not begun twice",
    arguments: [
      #"{"refusal":"No, I"}"#, #"{"function_call":{"name":"f","arguments":"{"}}"#,
      #"{"audio":{"id":"a","data":"QUJD"}}"#, #"{"images":[{"image_url":{"url":"data:"}}]}"#,
    ])
  func foreign(_ delta: String) {
    var wire = WireRun(hosts: 2)
    wire.events([wireChunk(delta)])
    #expect(wire.chunks.count == 1)
    wire.breakOff()
    #expect(wire.asked.count == 1 && wire.failure?.message.contains("cannot be resumed") == true)
    // The client of an unstreamed answer has received nothing yet, so another host may start over.
    var body = WireRun(stream: false, hosts: 2)
    body.events([wireChunk(delta)])
    body.breakOff()
    #expect(body.asked.count == 2)
  }
}

@Suite("Large events")
struct LargeEventTests {
  private static func picture(_ bytes: Int) -> String {
    let data = String(repeating: "QUJD", count: bytes / 4)
    return #"{"images":[{"index":0,"image_url":{"url":"data:image/png;base64,\#(data)"}}]}"#
  }

  @Test("a picture of several megabytes passes whole, streamed and not, in an event and in a body")
  func picture() throws {
    let picture = Self.picture(2 << 20)
    let end = wireChunk("{}", #""stop""#)
    for stream in [true, false] {
      var wire = WireRun(stream: stream)
      let bytes = Array("data: \(wireWord("One tw"))\n\ndata: \(wireChunk(picture))\n\n".utf8)
      for start in stride(from: 0, to: bytes.count, by: 64 << 10) {
        wire.send(Array(bytes[start..<min(start + 64 << 10, bytes.count)]))
      }
      wire.events([wireWord("o."), end, "[DONE]"])
      #expect(wire.isComplete, "\(wire.failure?.message ?? "")")
      if stream {
        #expect(wire.text == "One two." && wire.chunks[1].count > 2 << 20)
      } else {
        #expect(wire.message?["content"] as? String == "One two.")
        #expect((wire.message?["images"] as? [NSDictionary])?.count == 1)
      }
      var body = WireRun(stream: stream)
      body.send(#"{"choices":[{"message":\#(picture),"finish_reason":"stop"}]}"#)
      body.end()
      #expect(body.isComplete, "\(body.failure?.message ?? "")")
    }
  }

  @Test("a large event that is read takes the memory of two at most, and has a limit")
  func memory() {
    let stream = HostileStream.events([wireChunk(Self.picture(3 << 20))])
    let read = HostileReading(stream, HostileStream.reading(), slice: 64 << 10)
    #expect(read.failure == nil && read.chunks.count == 1)
    #expect(read.mostKept < 2 * stream.count + (64 << 10))
    #expect(Limits.eventBytes.value == Limits.answerBodyBytes.value)
    var limits = UpstreamLimits()
    limits.eventBytes = 2 << 20
    var reader = UpstreamReader(HostileStream.reading(), status: 200, limits: limits)
    let items = reader.append(stream)
    guard case .broken(let failure)? = items.last else {
      Issue.record("\(told(items).count) items")
      return
    }
    #expect(failure.message.contains(Limits.eventBytes.name))
  }

  @Test("after a large event nothing is held back, and the answer cannot be resumed")
  func notResumed() {
    var wire = WireRun(hosts: 2)
    wire.events([wireWord("One tw"), wireChunk(Self.picture(2 << 20)), wireWord("o th")])
    #expect(wire.text == "One two th")
    wire.breakOff()
    #expect(wire.asked.count == 1 && wire.failure != nil)
  }
}
