import ClusterModel
import Foundation
import InferenceCore
import Testing

private func items(_ stream: [UInt8], _ reading: UpstreamReading) -> [UpstreamItem] {
  var reader = UpstreamReader(reading, status: 200)
  return reader.append(stream) + reader.end()
}

private func assembled(_ stream: String, _ endpoint: InferenceEndpoint) throws -> Any {
  var assembler = BodyAssembler(endpoint: endpoint)
  let reading = UpstreamReading(endpoint: endpoint, streams: true)
  for item in items(Array(stream.utf8), reading) {
    switch item {
    case .chunk(let chunk): try assembler.take(chunk)
    case .done, .end: break
    case .body, .broken: Issue.record("\(item)")
    }
  }
  return try JSONSerialization.jsonObject(with: Data(assembler.body()))
}

private func chunks(_ deltas: [String]) -> String {
  deltas.map {
    #"data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":\#($0),"finish_reason":null}]}"#
      + "\n\n"
  }.joined()
}

private func message(_ deltas: [String]) throws -> NSDictionary {
  let body = try #require(try assembled(chunks(deltas), .chatCompletions) as? [String: Any])
  #expect(body["object"] as? String == "chat.completion")
  let choice = try #require((body["choices"] as? [[String: Any]])?.first)
  return try #require(choice["message"] as? NSDictionary)
}

private func json(_ text: String) throws -> NSDictionary {
  try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary)
}

@Suite("A body made of a stream's chunks")
struct BodyAssemblerTests {
  /// Removes the members that differ between two runs of the same request.
  private static func steady(_ body: Any) throws -> NSDictionary {
    var body = try #require(body as? [String: Any])
    for name in ["id", "created"] { #expect(body.removeValue(forKey: name) != nil) }
    // Timing values differ between runs; the set of their names does not.
    body["timings"] = (body["timings"] as? [String: Any])?.keys.sorted()
    return body as NSDictionary
  }

  @Test(
    "is what llama.cpp gives when it is asked for no stream, field by field",
    arguments: [
      ("chat", InferenceEndpoint.chatCompletions), ("logprobs", .chatCompletions),
      ("two", .chatCompletions), ("completion", .completions),
    ])
  func recorded(_ name: String, _ endpoint: InferenceEndpoint) throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Recordings")
    let stream = try String(contentsOf: folder.appending(path: "\(name).sse"), encoding: .utf8)
    let body = try Data(contentsOf: folder.appending(path: "\(name).json"))
    #expect(
      try Self.steady(assembled(stream, endpoint))
        == Self.steady(JSONSerialization.jsonObject(with: body)))
  }

  @Test("tool calls grow by their index, interleaved, repeated and without one")
  func toolCalls() throws {
    let expected = try json(
      #"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]}"#
    )
    #expect(
      try message([
        #"{"role":"assistant","content":null}"#,
        #"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
        #"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{"}}]}"#,
        #"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}},{"index":1,"function":{"arguments":"}"}}]}"#,
        #"{"tool_calls":[{"index":0,"id":"","function":{"name":null,"arguments":":1}"}}]}"#,
      ]) == expected)
    #expect(
      try message([
        #"{"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}]}"#,
        #"{"tool_calls":[{"function":{"arguments":":1}"}}]}"#,
        #"{"tool_calls":[{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]}"#,
      ]) == expected)
  }

  @Test("unknown members are kept: texts are joined, other values are replaced by the last one")
  func unknownFields() throws {
    #expect(
      try message([
        #"{"role":"assistant","content":"a","reasoning_content":"hm","score":1,"extra":{"a":1},"refs":[1]}"#,
        #"{"role":"assistant","content":"b","reasoning_content":" so","score":2.50,"extra":{"b":2},"refs":[2]}"#,
        #"{"content":null,"score":null}"#,
      ])
        == json(
          #"{"role":"assistant","content":"ab","reasoning_content":"hm so","score":2.5,"extra":{"b":2},"refs":[1,2]}"#
        ))
  }

  @Test("halves of a character that came in two chunks meet again")
  func surrogates() throws {
    let told = try message([#"{"content":"\ud83d"}"#, #"{"content":"\ude00"}"#])
    #expect(told["content"] as? String == "😀")
  }

  @Test("the identity is the first chunk's, what is counted the last one's")
  func topLevel() throws {
    let body = try assembled(
      #"data: {"id":"a","created":1,"model":"m","object":"chat.completion.chunk","usage":null,"choices":[{"index":0,"delta":{"content":"x"}}]}"#
        + "\n\n"
        + #"data: {"id":"a","created":2,"model":"m","service_tier":"default","choices":[{"index":0,"delta":{},"finish_reason":"stop","stop_reason":7}]}"#
        + "\n\n"
        + #"data: {"id":"a","created":3,"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2},"timings":{"x":1}}"#
        + "\n\ndata: [DONE]\n\n", .chatCompletions)
    #expect(
      body as? NSDictionary
        == (try json(
          #"{"id":"a","created":1,"model":"m","object":"chat.completion","usage":{"prompt_tokens":1,"completion_tokens":2},"service_tier":"default","timings":{"x":1},"choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop","stop_reason":7}]}"#
        )))
  }

  @Test("many small chunks are joined in place")
  func long() throws {
    var assembler = BodyAssembler(endpoint: .chatCompletions)
    let data = Array(#"{"choices":[{"index":0,"delta":{"content":"0123456789"}}]}"#.utf8)
    let chunk = InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
    for _ in 0..<20_000 { try assembler.take(chunk) }
    #expect(try assembler.body().count > 200_000)
  }

  @Test("has a limit, and is nothing without a choice")
  func limits() throws {
    var assembler = BodyAssembler(endpoint: .chatCompletions, limit: 100)
    #expect(throws: AttemptFailure.self) { try assembler.body() }
    let data = Array(#"{"choices":[{"delta":{"content":"0123456789"}}]}"#.utf8)
    let chunk = InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
    try assembler.take(chunk)
    try assembler.take(chunk)
    #expect(throws: AttemptFailure(.tooLarge, "its answer is larger than 100 bytes")) {
      try assembler.take(chunk)
    }
  }

  @Test("calls that all have the index 0 are distinguished by their ids")
  func equalNumbers() throws {
    func call(_ id: String, _ name: String, _ arguments: String) -> String {
      #"{"tool_calls":[{"index":0,"id":"\#(id)","type":"function","function":{"name":"\#(name)","arguments":"\#(arguments)"}}]}"#
    }
    let more = #"{"tool_calls":[{"index":0,"function":{"arguments":"2}"}}]}"#
    // The second call repeats its id in each piece, the third sends it only in the first.
    let said = try message([
      call("a", "look", "{}"), call("b", "look", "{"), call("b", "", "}"),
      call("c", "send", #"{\"n\":"#), more,
    ])
    let calls = try #require(said["tool_calls"] as? [NSDictionary])
    func wanted(_ id: String, _ name: String, _ arguments: String) throws -> NSDictionary {
      try json(
        #"{"id":"\#(id)","type":"function","function":{"name":"\#(name)","arguments":"\#(arguments)"}}"#
      )
    }
    #expect(
      try calls == [
        wanted("a", "look", "{}"), wanted("b", "look", "{}"), wanted("c", "send", #"{\"n\":2}"#),
      ])
  }
}
