import AnswerTesting
import ClusterModel
import InferenceCore
import Testing

@Suite("Chunks that add to several texts at once, while a hop is joined")
struct HopChunkTests {
  /// Kinds of text and names of calls in the order in which the client receives them. Adjacent
  /// repetitions are dropped.
  private func order(_ hop: HopRun) -> [String] {
    var seen: [String] = []
    for chunk in hop.chunks where !chunk.facts.isOnlyUsage {
      guard let client = try? ClientChunk(chunk.data) else { continue }
      if !client.reasoning.isEmpty { seen.append("reasoning") }
      if !client.content.isEmpty { seen.append("content") }
      for call in client.calls where !call.name.isEmpty { seen.append(call.name) }
    }
    return seen.reduce(into: []) { if $0.last != $1 { $0.append($1) } }
  }

  private func call(_ index: Int, _ name: String? = nil, _ arguments: String) -> String {
    guard let name else {
      return #"{"index":\#(index),"function":{"arguments":\#(HopRun.quoted(arguments))}}"#
    }
    return #"{"index":\#(index),"id":"i\#(index)","type":"function","function":"#
      + #"{"name":"\#(name)","arguments":\#(HopRun.quoted(arguments))}}"#
  }

  private func calls(_ calls: String...) -> String {
    #"{"tool_calls":[\#(calls.joined(separator: ","))]}"#
  }

  @Test(
    "reasoning and content in one chunk: the thoughts of the second host are dropped, its words kept"
  )
  func reasoningAndContent() {
    var hop = HopRun()
    hop.say(delta: #"{"reasoning_content":"Let me see.","content":"One"}"#)
    hop.say(" two")
    hop.say(" th")
    hop.breakOff()
    hop.say(delta: #"{"reasoning_content":"Go on.","content":" three"}"#)
    hop.say(delta: #"{"reasoning_content":"Still.","content":" four"}"#)
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.received.reasoning == "Let me see.")
    #expect(hop.received.content == "One two three four")
    #expect(order(hop) == ["reasoning", "content"])
  }

  @Test("a cut between thoughts and words that came in one chunk loses neither")
  func cutWithBothHeld() {
    var hop = HopRun()
    hop.say(delta: #"{"reasoning_content":"Let me"}"#)
    hop.say(delta: #"{"reasoning_content":" see.","content":"One"}"#)
    hop.breakOff()
    // "One" was held and never reached the client. So the next host answers from the start,
    // reasoning included.
    hop.say(delta: #"{"reasoning_content":"Let me see.","content":"One"}"#)
    hop.say(" two")
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.received.reasoning == "Let me see.")
    #expect(hop.received.content == "One two")
  }

  @Test("content and a call in one chunk: the words that wait for the joint come before the call")
  func contentAndCall() {
    for isOneChunk in [true, false] {
      var hop = HopRun(hosts: 2, way: .instruct)
      for word in ["I", " shall", " look", " them", " u"] { hop.say(word) }
      hop.breakOff()
      hop.say("them")
      let look = call(0, "look", #"{"q":"#)
      if isOneChunk {
        hop.say(delta: #"{"content":" up.","tool_calls":[\#(look)]}"#)
      } else {
        hop.say(" up.")
        hop.say(delta: calls(look))
      }
      hop.say(delta: calls(call(0, nil, #""x"}"#)))
      hop.say(delta: "{}", finish: "tool_calls")
      hop.end()
      #expect(hop.received.content == "I shall look them up.")
      #expect(hop.received.names == [0: "look"])
      #expect(hop.received.arguments == [0: #"{"q":"x"}"#])
      #expect(order(hop) == ["content", "look"], "\(isOneChunk)")
    }
  }

  @Test("words that wait for a stop sequence come before the call too")
  func contentBeforeCallWithStop() {
    var hop = HopRun(#","stop":["up to a long stop sequence"]"#)
    for word in ["I", " look", " it", " u"] { hop.say(word) }
    hop.breakOff()
    hop.say(" up.")
    hop.say(delta: calls(call(0, "look", "{}")))
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.received.content == "I look it up.")
    #expect(order(hop) == ["content", "look"])
  }

  @Test("parallel calls in one chunk, begun by one host and made again by the next in other chunks")
  func parallel() {
    var hop = HopRun()
    hop.say(delta: calls(call(0, "first", #"{"a": 1, "#), call(1, "second", #"{"b": "#)))
    hop.say(delta: calls(call(0, nil, #""c": 2}"#), call(1, nil, #"[1, 2"#)))
    hop.breakOff()
    hop.say(
      delta: calls(
        call(0, "first", #"{"a": 1, "c": 2}"#), call(1, "second", #"{"b": [1,"#)))
    hop.say(delta: calls(call(1, nil, #" 2]}"#), call(2, "third", "{}")))
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.received.names == [0: "first", 1: "second", 2: "third"])
    #expect(
      hop.received.arguments == [0: #"{"a": 1, "c": 2}"#, 1: #"{"b": [1, 2]}"#, 2: "{}"])
    #expect(hop.received.ids == [0: "i0", 1: "i1", 2: "i2"])
    #expect(hop.received.finish == "tool_calls")
  }

  @Test("one call twice in a chunk, its name and then its arguments: each once")
  func sameCallTwice() {
    for hops in [false, true] {
      var hop = HopRun()
      if hops {
        for word in ["Look", " it", " u"] { hop.say(word) }
        hop.breakOff()
        hop.say(" up.")
      }
      hop.say(
        delta: calls(call(0, "look", ""), call(0, nil, #"{"q":"#), call(0, nil, #"1}"#)))
      hop.say(delta: "{}", finish: "tool_calls")
      hop.end()
      #expect(hop.received.names == [0: "look"])
      #expect(hop.received.arguments == [0: #"{"q":1}"#])
      #expect(hop.received.finish == "tool_calls")
    }
  }

  @Test(
    "one call twice in a chunk of a host that makes it again: what is known is dropped, the rest comes once"
  )
  func knownCallTwice() {
    var hop = HopRun()
    hop.say(delta: calls(call(0, "look", #"{"q": "#)))
    hop.say(delta: calls(call(0, nil, #""on"#)))
    hop.breakOff()
    hop.say(
      delta: calls(call(0, "look", ""), call(0, nil, #"{"q": "#), call(0, nil, #""one"}"#)))
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.received.names == [0: "look"])
    #expect(hop.received.arguments == [0: #"{"q": "one"}"#])
  }

  @Test(
    "content, thoughts and several calls in one chunk, however the first host was cut",
    arguments: 1...6)
  func everythingAtOnce(_ cut: Int) {
    let deltas = [
      #"{"role":"assistant","content":""}"#,
      #"{"reasoning_content":"Two cities."}"#,
      #"{"reasoning_content":" Two calls.","content":"I ask both:"}"#,
      #"{"content":" one moment.","tool_calls":[\#(call(0, "weather", #"{"city": "#)),\#(call(1, "weather", #"{"city": "#))]}"#,
      calls(call(0, nil, #""Rome"}"#), call(1, nil, #""Bo"#)),
      calls(call(1, nil, #"nn"}"#)),
    ]
    var hop = HopRun()
    for delta in deltas.prefix(cut) { hop.say(delta: delta) }
    hop.breakOff()
    let prefix = String(decoding: hop.asked.last?.resume?.prefix ?? [], as: UTF8.self)
    if prefix.isEmpty {
      for delta in deltas { hop.say(delta: delta) }
    } else {
      let rest = String("I ask both: one moment.".dropFirst(prefix.count))
      hop.say(
        delta:
          #"{"content":\#(HopRun.quoted(rest)),"tool_calls":[\#(call(0, "weather", #"{"city": "#))]}"#
      )
      hop.say(
        delta: calls(call(0, nil, #""Rome"}"#), call(1, "weather", #"{"city": "Bonn"}"#)))
    }
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.failure == nil, "\(prefix)")
    #expect(hop.received.reasoning == "Two cities. Two calls.")
    #expect(hop.received.content == "I ask both: one moment.")
    #expect(hop.received.names == [0: "weather", 1: "weather"])
    #expect(
      hop.received.arguments == [0: #"{"city": "Rome"}"#, 1: #"{"city": "Bonn"}"#])
    #expect(hop.received.roles == 1)
    #expect(order(hop).prefix(2) == ["reasoning", "content"])
  }

  @Test("a long argument is delivered before its end, and its call's name once")
  func longArgument() {
    var hop = HopRun()
    hop.say(delta: calls(call(0, "keep", "")))
    let long = String(repeating: "x", count: 150)
    hop.say(delta: calls(call(0, nil, #"{"text": "\#(long)"#)))
    hop.breakOff()
    #expect(hop.received.names == [0: "keep"])
    hop.say(delta: calls(call(0, "keep", #"{"text": "\#(long)yz"}"#)))
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.received.names == [0: "keep"])
    #expect(hop.received.arguments == [0: #"{"text": "\#(long)yz"}"#])
  }
}
