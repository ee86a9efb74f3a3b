import ClusterModel
import Foundation
import InferenceCore
import Limits
import Testing

/// Streams that violate the standard. The client gets the same answer as from the host directly, or
/// the attempt fails.
@Suite("Odd streams of hosts")
struct OddStreamTests {
  private static let begin = wireChunk(#"{"role":"assistant","content":""}"#)
  private static let end = wireChunk("{}", #""stop""#)

  @Test(
    "events without a chunk are skipped, before the first chunk and among them",
    arguments: [
      "data:\n\n", "data: \n\n", "data\n\n", "data: null\n\n", "data: 7\n\n", "data: true\n\n",
      "data: []\n\n", "data: [1,2]\n\n", "data: \"text\"\n\n", "data: ping\n\n",
      "data: {\"message\":\"loading\"}\n\n",
      "data: keep-alive\n\n", "event: ping\ndata: {\"type\":\"ping\"}\n\n", ": ping\n\n",
      "event: heartbeat\ndata:\n\n", "retry: 3000\n\n", "id: 7\n\n",
    ])
  func skipped(_ odd: String) {
    var wire = WireRun()
    wire.send(odd)
    wire.events([Self.begin])
    wire.send(odd)
    wire.events([wireWord("One")])
    wire.send(odd + odd)
    wire.events([wireWord(" two."), Self.end])
    wire.send(odd)
    wire.events(["[DONE]"])
    wire.end()
    #expect(wire.isComplete && wire.text == "One two." && wire.chunks.count == 4)
    #expect(wire.run.attempts.map(\.outcome) == [.answered])
  }

  @Test("skipped events are counted, and an endless row of them ends the attempt")
  func counted() {
    var reader = UpstreamReader(HostileStream.reading(), status: 200)
    #expect(reader.append(Array("data: null\n\ndata:\n\n".utf8)).isEmpty)
    #expect(reader.oddEvents == 2 && reader.signs == 2)
    #expect(reader.append(Array(": ping\n\n".utf8)).isEmpty && reader.signs == 3)
    let endless = HostileReading(
      HostileStream.events(Array(repeating: "null", count: Limits.emptyChunks.value + 1)),
      HostileStream.reading())
    #expect(endless.failure?.message.contains(Limits.emptyChunks.name) == true)
    let patient = HostileReading(
      HostileStream.events(Array(repeating: "", count: 5_000)), HostileStream.reading())
    #expect(patient.failure == nil)
  }

  @Test(
    "the end of a stream is recognised with white space and quotes around it",
    arguments: ["[DONE] ", " [DONE]", "[done]", "\"[DONE]\"", "[DONE]\t"])
  func done(_ data: String) {
    var wire = WireRun()
    wire.events([wireWord("One two"), data])
    #expect(wire.isComplete && wire.text == "One two")
  }

  @Test("the last event may lack the empty line after it", arguments: ["", "\n"])
  func unfinishedLast(_ ending: String) {
    var wire = WireRun()
    wire.events([wireWord("One two")])
    wire.send("data: \(Self.end)\(ending)")
    wire.end()
    #expect(wire.isComplete && wire.finish == "stop")
    var done = WireRun()
    done.events([wireWord("One two")])
    done.send("data: [DONE]\(ending)")
    done.end()
    #expect(done.isComplete)
    var cut = WireRun(hosts: 2)
    cut.events([wireWord("One two")])
    cut.send("data: {\"choices\":[{\"delta\":{\"cont")
    cut.end()
    #expect(cut.run.attempts.first?.failure?.kind == .cut && cut.asked.count == 2)
  }

  @Test(
    "a byte that is not UTF-8 becomes U+FFFD and the answer continues",
    arguments: [[0xFF], [0xE2, 0x82], [0xC3], [0xED, 0xA0, 0x80]] as [[UInt8]])
  func invalidBytes(_ bad: [UInt8]) throws {
    for stream in [true, false] {
      var wire = WireRun(stream: stream)
      wire.events([wireWord("One")])
      let parts = wireWord(" #two.").split(separator: "#")
      wire.send(
        Array("data: \(parts[0])".utf8) + bad + Array("\(parts[1])\n\n".utf8))
      wire.events([Self.end, "[DONE]"])
      #expect(wire.isComplete)
      let text = stream ? wire.text : wire.message?["content"] as? String ?? ""
      #expect(text.hasPrefix("One \u{FFFD}") && text.hasSuffix("two."))
    }
    // An unstreamed body has the same invalid bytes.
    let body = Array(#"{"choices":[{"message":{"content":"One "#.utf8) + bad + Array(#""}}]}"#.utf8)
    var whole = UpstreamReader(endpoint: .chatCompletions, streams: false, status: 200)
    _ = whole.append(body)
    guard case .body(_, let facts)? = whole.end().first else {
      Issue.record("no body")
      return
    }
    #expect(facts.text.hasPrefix("One \u{FFFD}"))
  }

  @Test("another host is asked if much of an event is not UTF-8")
  func otherEncoding() {
    var wire = WireRun(hosts: 2)
    wire.events([wireWord("One")])
    let parts = wireWord(" #two.").split(separator: "#")
    let bad = [UInt8](repeating: 0xE9, count: 40)
    wire.send(Array("data: \(parts[0])".utf8) + bad + Array("\(parts[1])\n\n".utf8))
    let failure = wire.run.attempts.first?.failure
    #expect(failure?.kind == .garbage)
    #expect(failure?.message.contains(Limits.invalidBytes.name) == true)
    #expect(wire.asked.count == 2)
  }

  @Test("a body in place of a stream may be padded, pretty-printed and begin with an order mark")
  func paddedBody() {
    let body = """
      {
        "id": "c",
        "choices": [
          {"message": {"role": "assistant", "content": "One two"}, "finish_reason": "stop"}
        ]
      }
      """
    for padded in ["\n\n  \(body)\n\n", "\u{FEFF}\(body)", body.replacing("\n", with: "\r\n")] {
      for cut in [0, 1, 3, 40] {
        var wire = WireRun()
        let bytes = Array(padded.utf8)
        wire.send(Array(bytes[..<cut]))
        wire.send(Array(bytes[cut...]))
        wire.end()
        #expect(wire.isComplete && wire.text == "One two", "\(wire.failure?.message ?? "")")
      }
    }
  }

  @Test("an event may be spread over several data lines")
  func severalLines() {
    var wire = WireRun()
    wire.send(
      "data: {\"choices\": [\ndata: {\"delta\":\ndata: {\"content\": \"One two\"}}]\ndata: }\n\n")
    wire.events([Self.end, "[DONE]"])
    #expect(wire.isComplete && wire.text == "One two")
  }

  @Test("a host that streams although it was asked for a body is read")
  func streamForBody() {
    var reader = UpstreamReader(endpoint: .chatCompletions, streams: false, status: 200)
    let items = reader.append(Array("data: \(wireWord("One"))\n\ndata: [DONE]\n\n".utf8))
    #expect(items.count == 2 && items.last == .done)
  }

  @Test("usage without choices is the client's only if it asked", arguments: [true, false])
  func usage(_ wanted: Bool) {
    let counts = #""usage":{"prompt_tokens":1,"completion_tokens":2}"#
    let given = [
      "{\(counts)}", #"{"choices":[],\#(counts)}"#, #"{"choices":null,\#(counts)}"#,
      #"{"usage":{"total_tokens":3}}"#,
    ]
    for usage in given {
      var wire = WireRun(wanted ? #","stream_options":{"include_usage":true}"# : "")
      wire.events([wireWord("One two"), Self.end, usage, "[DONE]"])
      #expect(wire.isComplete)
      #expect(wire.chunks.count == (wanted ? 3 : 2), "\(usage)")
    }
  }

  // MARK: - Host error messages

  @Test(
    "the host's own words are the cause, whatever they stand in",
    arguments: [
      (
        "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
        "502 Bad Gateway"
      ),
      (
        "<!DOCTYPE html><html><body><H1>Service\n Unavailable</H1><p>x</p></body></html>",
        "Service Unavailable"
      ),
      ("Internal Server Error", "Internal Server Error"),
      (#"{"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#, "login fail"),
      (#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, "field required"),
      (#"[{"error":{"code":400,"message":"no such model"}}]"#, "no such model"),
      (#"{"object":"error","message":"out of memory","code":500}"#, "out of memory"),
      (#"{"code":"50000","msg":"busy, try later"}"#, "busy, try later"),
      (#"{"errors":[{"message":"quota"}]}"#, "quota"),
      (#"{"error":{"message":"","detail":"inner"}}"#, "inner"),
      (#"{"error":"plain"}"#, "plain"),
      ("event: error\ndata: {\"error\":{\"message\":\"in an event\"}}\n\n", "in an event"),
      ("data: {\"error\":{\"message\":\"in an event\"}}", "in an event"),
    ])
  func words(_ body: String, _ words: String) {
    for status in [200, 500] {
      for streams in [true, false] {
        for piece in [body.utf8.count, 5] {
          var reader = UpstreamReader(
            endpoint: .chatCompletions, streams: streams, status: status)
          var items: [UpstreamItem] = []
          let bytes = Array(body.utf8)
          for start in stride(from: 0, to: bytes.count, by: piece) {
            items += reader.append(bytes[start..<min(start + piece, bytes.count)])
          }
          items += reader.end()
          guard items.count == 1, case .broken(let failure) = items[0] else {
            Issue.record("\(body): \(told(items))")
            continue
          }
          #expect(failure.message.contains(words), "\(status) \(streams): \(failure.message)")
          #expect(!failure.message.contains("<"))
        }
      }
    }
  }

  @Test(
    "an error between the chunks is the cause",
    arguments: [
      "{\"error\":{\"message\":\"out of memory\"}}\n\n",
      "error: {\"message\":\"out of memory\"}\n\n",
      "event: error\ndata: out of memory\n\n",
      "data: [{\"error\":{\"message\":\"out of memory\"}}]\n\n",
      "data: {\"base_resp\":{\"status_code\":1000,\"status_msg\":\"out of memory\"}}\n\n",
      "data: {\"object\":\"error\",\"message\":\"out of memory\"}\n\n",
      "data: {\"detail\":\"out of memory\"}\n\n", "data: Error: out of memory\n\n",
    ])
  func errorBetween(_ error: String) {
    var wire = WireRun(hosts: 1)
    wire.events([wireWord("One"), wireWord(" two")])
    wire.send(error)
    wire.end()
    #expect(wire.run.attempts.first?.failure?.message.contains("out of memory") == true)
  }

  @Test(
    "a line that is no event is the cause of an end without the answer's", arguments: [true, false])
  func strayLine(_ isLost: Bool) {
    var wire = WireRun()
    wire.events([wireWord("One")])
    wire.send("upstream connect error or disconnect\n")
    if isLost { wire.breakOff() } else { wire.end() }
    #expect(wire.run.attempts.first?.failure?.message.contains("upstream connect error") == true)
    var whole = WireRun()
    whole.send("hello\n")
    whole.events([wireWord("One"), Self.end])
    whole.end()
    #expect(whole.isComplete && whole.text == "One")
  }

  @Test(
    "empty errors and a successful base_resp in an answer are no errors",
    arguments: [
      #","error":null"#, #","error":"""#, #","error":{}"#, #","error":false"#,
      #","base_resp":{"status_code":0,"status_msg":""}"#, #","message":"""#, #","detail":null"#,
    ])
  func noErrors(_ more: String) {
    var wire = WireRun()
    wire.events([
      wireChunk(#"{"content":"One two"}"#, "null", more), wireChunk("{}", #""stop""#, more),
      "[DONE]",
    ])
    #expect(wire.isComplete && wire.text == "One two")
  }

  @Test("a stray line costs what its bytes pay for")
  func strayWork() {
    for line in ["x\n", "{\"a\":\n", "\(String(repeating: "y", count: 500))\n"] {
      func work(_ count: Int) -> Int {
        HostileReading(
          Array(String(repeating: line, count: count).utf8), HostileStream.reading(), slice: 512
        ).work
      }
      #expect(Double(work(20_000)) <= 2.2 * Double(work(10_000)))
    }
  }
}
