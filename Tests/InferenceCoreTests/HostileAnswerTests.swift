import AnswerTesting
import ClusterModel
import InferenceCore
import Limits
import Testing

/// Feeds answers that no honest host sends.
///
/// None may end the process, reach the client unchecked, or prevent the next host's answer.
@Suite("Hosts that send what no honest host sends")
struct HostileAnswerTests {
  private static func call(_ index: String, _ name: String? = nil, _ arguments: String) -> String {
    let name = name.map { #""name":"\#($0)","# } ?? ""
    return #"{"index":\#(index),"function":{\#(name)"arguments":\#(HopRun.quoted(arguments))}}"#
  }

  private static func calls(_ calls: String...) -> String {
    #"{"tool_calls":[\#(calls.joined(separator: ","))]}"#
  }

  private static func members(_ count: Int) -> String {
    (0..<count).map { #""m\#($0)":0"# }.joined(separator: ",")
  }

  /// Whether the last attempt failed because its content was invalid or exceeded a limit.
  private func isGarbage(_ hop: HopRun) -> Bool {
    [.garbage, .tooLarge].contains(hop.run.attempts.last?.failure?.kind)
  }

  // MARK: - Crashes

  @Test("a call with the largest index there is, then a host with two calls")
  func largestIndex() {
    var hop = HopRun()
    hop.say(delta: Self.calls(Self.call("9223372036854775807", "look", #"{"q": 1, "#)))
    #expect(isGarbage(hop))
    hop.say(delta: Self.calls(Self.call("0", "look", "{}"), Self.call("1", "send", "{}")))
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.received.names == [0: "look", 1: "send"])
  }

  @Test(
    "an index of a call that is not 0 to 1,023 is garbage",
    arguments: [
      "-1", "1024", "9223372036854775807", "-9223372036854775808", "1e300", "1.5", #""0""#, "{}",
      "true", "99999999999999999999999999",
    ], [0, 1])
  func indices(_ index: String, _ hops: Int) {
    var hop = HopRun()
    if hops > 0 {
      hop.say(delta: Self.calls(Self.call("0", "look", #"{"q": 1, "r": 2"#)))
      hop.breakOff()
    }
    hop.say(delta: Self.calls(Self.call(index, "look", "{}")))
    #expect(isGarbage(hop), "\(hop.received.names)")
    #expect(hop.asked.count == hops + 2)
  }

  @Test("an argument in a long word breaks off, and the next host's call has 1,100 members")
  func manyMembers() {
    var hop = HopRun()
    let long = String(repeating: "x", count: 200)
    hop.say(delta: Self.calls(Self.call("0", "keep", #"{"x":"\#(long)"#)))
    hop.breakOff()
    let arguments = HopRun.quoted(#"{"x":"\#(long)yz"}"#)
    hop.say(
      delta: Self.calls(
        #"{"index":0,\#(Self.members(1_100)),"function":{"name":"keep","arguments":\#(arguments)}}"#
      ))
    #expect(isGarbage(hop))
    hop.say(delta: Self.calls(Self.call("0", "keep", #"{"x":"\#(long)yz"}"#)))
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.received.arguments == [0: #"{"x":"\#(long)yz"}"#])
    #expect(hop.received.names == [0: "keep"])
  }

  // MARK: - Unreadable chunks

  /// Choices of a chunk that another host sends after the cut.
  private static let unreadableChoices = [
    #"[{"index":0,"delta":"two"}]"#,
    #"[{"index":0,"delta":["two"]}]"#,
    #"[{"index":0,"delta":{"content":" two",\#(members(1_100))}}]"#,
    #"[{"index":0,\#(members(1_100)),"delta":{"content":" two"}}]"#,
    #"[{"index":0,"delta":{"content":" two","reasoning_content":"a","reasoning_content":"b"}}]"#,
    #"[{"index":0,"delta":{"content":" two"},"delta":{"content":" three"}}]"#,
    #"[{"index":0,"delta":{"content":" two"}},{"index":0,"delta":{"content":" three"}}]"#,
    #"[{"index":0,"delta":{"tool_calls":[7]}}]"#,
    #"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":"look"}]}}]"#,
    #"[{"index":0,"delta":{"tool_calls":[{"index":0,"index":1,"function":{"name":"a"}}]}}]"#,
    #"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"name":"a","name":"b"}}]}}]"#,
    #"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{\#(members(1_100))}}]}}]"#,
    #"[7,{"index":0,"delta":{"content":" two"}}]"#,
  ]

  @Test("a chunk that cannot be read is garbage and never passed on", arguments: unreadableChoices)
  func unreadable(_ choices: String) {
    let whole = "One and then two or three"
    var hop = HopRun()
    for word in ["One", " and", " th"] { hop.say(word) }
    hop.breakOff()
    for word in [" then", " two", " or"] { hop.say(word) }
    hop.send(#"{"id":"e","choices":\#(choices)}"#)
    #expect(isGarbage(hop), "\(hop.received.content)")
    #expect(hop.asked.count == 3)
    let prefix = hop.asked.last?.resume?.prefix ?? []
    hop.say(String(decoding: whole.utf8.dropFirst(prefix.count), as: UTF8.self))
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.received.content == whole)
  }

  @Test("a chunk of more than 1,024 members is garbage of the host that resumes")
  func memberOfChunk() {
    var hop = HopRun()
    for word in ["One", " and", " th"] { hop.say(word) }
    hop.breakOff()
    hop.send(
      #"{"id":"e",\#(Self.members(1_100)),"choices":[{"index":0,"delta":{"content":" x"}}]}"#)
    #expect(isGarbage(hop))
  }

  // MARK: - Names

  @Test("the name of a call has 256 bytes at most, in however many pieces it comes")
  func longName() {
    for pieces in [1, 10, 300, 10_000] {
      var hop = HopRun()
      let piece = String(repeating: "n", count: max(300 / pieces, 1))
      for _ in 0..<pieces where hop.asked.count == 1 {
        hop.say(delta: Self.calls(Self.call("0", piece, "")))
      }
      #expect(isGarbage(hop), "\(pieces)")
      #expect(hop.received.names.values.allSatisfy { $0.utf8.count <= 256 })
    }
  }

  @Test("a name that comes again in pieces is joined by bytes, within a character too")
  func nameInPieces() {
    var hop = HopRun()
    hop.say(delta: Self.calls(Self.call("0", "cafe\u{301}", #"{"q": 1, "r": "#)))
    hop.breakOff()
    for piece in ["ca", "", "fe", "\u{301}"] {
      hop.say(delta: Self.calls(Self.call("0", piece, "")))
    }
    hop.say(delta: Self.calls(Self.call("0", nil, #"{"q": 1, "r": 2}"#)))
    hop.say(delta: "{}", finish: "tool_calls")
    hop.end()
    #expect(hop.failure == nil)
    #expect(hop.received.arguments == [0: #"{"q": 1, "r": 2}"#])
  }

  @Test("a name of a megabyte from the host that resumes is not repeated in the failure")
  func nameInFailure() throws {
    var hop = HopRun()
    hop.say(delta: Self.calls(Self.call("0", "look", #"{"q": 1, "r": "#)))
    hop.breakOff()
    hop.say(delta: Self.calls(Self.call("0", String(repeating: "e", count: 1 << 19), "")))
    let failure = try #require(hop.run.attempts.last?.failure)
    #expect([.garbage, .badJoint, .tooLarge].contains(failure.kind))
    #expect(failure.message.utf8.count < 1_000)
  }

  @Test("a finish_reason of a megabyte is garbage")
  func longReason() {
    var hop = HopRun()
    hop.say("One")
    hop.say(" two", finish: String(repeating: "s", count: 1 << 19))
    #expect(isGarbage(hop))
  }

  @Test(
    "long id, model, fingerprint and object of a host are cut before the next host's chunks")
  func identity() throws {
    let long = String(repeating: "é", count: 200_000)
    var hop = HopRun()
    for word in ["One", " two", " thr"] {
      hop.send(
        #"{"id":"\#(long)","object":"\#(long)","created":1,"model":"\#(long)","system_fingerprint":{"a":"\#(long)"},"choices":[{"index":0,"delta":{"content":"\#(word)"}}]}"#
      )
      // Refusing the host for these members is acceptable too.
      if hop.asked.count > 1 { return }
    }
    hop.breakOff()
    let before = hop.chunks.count
    for word in [" three", " four", " five"] { hop.say(word) }
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.received.content == "One two three four five")
    for chunk in hop.chunks.dropFirst(before) { #expect(chunk.data.count < 2_000) }
    let last = try #require(hop.objects.last)
    let id = try #require(last["id"] as? String)
    #expect(id.utf8.count <= 256 && id.allSatisfy { $0 == "é" })
    #expect(last["system_fingerprint"] == nil)
  }

  // MARK: - Amplification

  @Test("a long member and a long word in one chunk are sent once, the word in one piece")
  func longMember() {
    let junk = String(repeating: "j", count: 100_000)
    let word = String(repeating: "w", count: 500)
    var hop = HopRun()
    hop.send(
      #"{"id":"c","junk":"\#(junk)","choices":[{"index":0,"extra":"\#(junk)","delta":{"role":"assistant","content":"\#(word)","more":"\#(junk)"}}]}"#
    )
    for _ in 0..<200 { hop.say("w") }
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.received.content == word + String(repeating: "w", count: 200))
    #expect(hop.chunks.reduce(0) { $0 + $1.data.count } < 400_000)
    #expect(hop.received.finish == "stop")
  }

  // MARK: - Memory

  @Test("empty events after a letter have a bound, and the next host answers")
  func emptyEvents() {
    var hop = HopRun()
    hop.say("a")
    var sent = 0
    while hop.asked.count == 1, sent < 100_000 {
      hop.send("{}")
      sent += 1
    }
    #expect(isGarbage(hop) && sent < 100_000)
    for word in ["One", " two"] { hop.say(word) }
    hop.say("", finish: "stop")
    hop.end()
    #expect(hop.received.content == "One two")
  }

  // MARK: - Texts

  private static func text(_ start: String, _ unit: String, _ count: Int) -> String {
    start + String(repeating: unit, count: count)
  }

  private static let textsToCut: [String] = [
    text("a", "\u{301}", 3_000),
    text("", " ", 3_000) + "abc",
    text("abc", "\n", 3_000) + "def",
    text("", "[", 3_000),
    text("", #"{"a":"#, 500),
    text("", "\u{0}", 500),
    text("", "\\", 3_001),
    text("", "`", 3_000),
    text("", "|", 3_000),
    text("", "😀", 800),
    text("[", "1", 3_000),
    text("[", "0,", 1_500),
    text(#"{"a":""#, #"\ud83d\ude00"#, 300),
    text(#"{"a":""#, #"\ud83d"#, 300),
    text(#"{"a":""#, #"\\"#, 1_000),
    text("", "Sure, here is: ", 200),
    text("", "漢", 1_000),
    text("", "ab ", 1_000),
  ]

  private static let argumentsToCut: [String] = [
    text(#"{"x":""#, "x", 300),
    text(#"{"x":""#, #"\ud800"#, 100),
    text(#"{"x":""#, #"\ud83d\ude00"#, 60),
    text(#"{"x":""#, #"\""#, 200),
    text("", "[", 10_000),
    text("", "7", 300),
    text("", " ", 3_000),
    text("not JSON at all, ", "y", 300),
    text(#"{"x":""#, "\u{301}", 300),
  ]

  @Test(
    "texts that are hard to cut break off anywhere, and the answer is never wrong",
    arguments: textsToCut)
  func hardTexts(_ text: String) {
    let bytes = Array(text.utf8)
    for cut in [1, 2, 3, 64, 65, 66, 127, 130, bytes.count / 2, bytes.count]
    where cut <= bytes.count {
      var hop = HopRun(stream: true, hosts: 4)
      let head = String(
        decoding: bytes[..<cut].dropLast(UTF8Tail.length(bytes[..<cut])), as: UTF8.self)
      for piece in pieces(head, of: 40) { hop.say(piece) }
      hop.breakOff()
      let prefix = hop.asked.last?.resume?.prefix ?? []
      let rest = String(decoding: bytes.dropFirst(prefix.count), as: UTF8.self)
      let asked = hop.asked.count
      for piece in pieces(rest, of: 33) where hop.asked.count == asked { hop.say(piece) }
      if hop.asked.count == asked {
        hop.say("", finish: "stop")
        hop.end()
      }
      // The text is complete, or it ends early because a host was refused. It is never wrong.
      #expect(isBeginning(hop.received.content, of: text), "\(cut)")
    }
  }

  @Test("arguments that are hard to cut break off anywhere", arguments: argumentsToCut)
  func hardArguments(_ text: String) {
    for cut in [1, 6, 64, 70, 71, 72, 73, 74, 75, 140, text.utf8.count] where cut <= text.utf8.count
    {
      var hop = HopRun()
      let bytes = Array(text.utf8)
      let head = String(
        decoding: bytes[..<cut].dropLast(UTF8Tail.length(bytes[..<cut])), as: UTF8.self)
      hop.say(delta: Self.calls(Self.call("0", "keep", "")))
      for piece in pieces(head, of: 50) { hop.say(delta: Self.calls(Self.call("0", nil, piece))) }
      hop.breakOff()
      hop.say(delta: Self.calls(Self.call("0", "keep", text)))
      hop.say(delta: "{}", finish: "tool_calls")
      hop.end()
      #expect(isBeginning(hop.received.arguments[0] ?? "", of: text), "\(cut)")
    }
  }

  @Test("escapes that are cut between chunks pass unchanged")
  func lonelyHalves() {
    var hop = HopRun()
    hop.send(#"{"choices":[{"index":0,"delta":{"content":"One \ud83d"}}]}"#)
    hop.send(#"{"choices":[{"index":0,"delta":{"content":"\ude00 two"}}]}"#)
    hop.say("", finish: "stop")
    hop.end()
    let data = hop.chunks.map { String(decoding: $0.data, as: UTF8.self) }.joined()
    #expect(data.contains(#"\ud83d"#) && data.contains(#"\ude00"#))
  }

  // MARK: - Stop sequences

  @Test(
    "more or longer stop sequences than are looked for: the host stops at them, and nothing is resumed"
  )
  func unwatchedStops() throws {
    let many = (0..<17).map { #""stop\#($0)""# }.joined(separator: ",")
    let long = String(repeating: "s", count: 257)
    for stop in ["[\(many)]", #""\#(long)""#, #"["a","\#(long)"]"#] {
      var hop = HopRun(#","stop":\#(stop)"#)
      for word in ["One", " two"] { hop.say(word) }
      // Nothing is held back.
      #expect(hop.received.content == "One two")
      hop.breakOff()
      let failure = try #require(hop.failure)
      #expect(failure.message.contains("stop sequences"))
      var whole = HopRun(#","stop":\#(stop)"#)
      for word in ["One", " two"] { whole.say(word) }
      whole.say("", finish: "stop")
      whole.end()
      #expect(whole.received.content == "One two" && whole.received.finish == "stop")
    }
  }

  @Test("sixteen stop sequences of 256 bytes are looked for")
  func watchedStops() {
    let stops = "ABCDEFGHIJKLMNOP".map { Self.text("", "=", 255) + String($0) }
    var hop = HopRun(#","stop":[\#(stops.map { #""\#($0)""# }.joined(separator: ","))]"#)
    hop.say("One ")
    for _ in 0..<20 { hop.say("==========") }
    hop.breakOff()
    hop.say(" ")
    for _ in 0..<30 { hop.say("==========") }
    hop.say("P two", finish: "stop")
    #expect(!hop.received.content.contains("P"))
    #expect(hop.summary?.finishReason == "stop")
  }

  /// Compares without white space, whose amount may differ at a joint.
  private func isBeginning(_ received: String, of text: String) -> Bool {
    text.utf8.filter { $0 > 0x20 }.starts(with: received.utf8.filter { $0 > 0x20 })
  }

  private func pieces(_ text: String, of length: Int) -> [String] {
    var pieces: [String] = []
    var piece = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      piece.append(scalar)
      if piece.count == length {
        pieces.append(String(piece))
        piece = String.UnicodeScalarView()
      }
    }
    return piece.isEmpty ? pieces : pieces + [String(piece)]
  }
}

/// Counts trailing bytes that begin an incomplete character.
private enum UTF8Tail {
  static func length(_ bytes: ArraySlice<UInt8>) -> Int {
    for count in 0..<min(4, bytes.count)
    where String(validating: bytes.dropLast(count), as: UTF8.self) != nil {
      return count
    }
    return 0
  }
}
