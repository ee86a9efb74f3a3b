import ClusterModel
import InferenceCore
import Testing

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

@Suite("Parsing of a host's bytes")
struct UpstreamReaderTests {
  private func facts(_ json: String) throws(AttemptFailure) -> ChunkFacts {
    try ChunkFacts(parsing: bytes(json))
  }

  @Test("text, reasoning, tool calls, finish reason and usage are distinguished")
  func chunkFacts() throws {
    let role = try facts(#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#)
    #expect(!role.isValidToken)
    let blank = try facts(#"{"choices":[{"delta":{"content":"\n "}}]}"#)
    #expect(!blank.isValidToken)
    let text = try facts(#"{"choices":[{"delta":{"content":"hé"},"finish_reason":null}]}"#)
    #expect(text.text == "hé" && text.isValidToken && !text.hasOther)
    let tool = try facts(#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#)
    #expect(tool.hasOther && tool.isValidToken)
    #expect(tool.deltaJSON == bytes(#"{"tool_calls":[{"index":0}]}"#))
    let reasoning = try facts(#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#)
    #expect(reasoning.hasOther)
    let last = try facts(#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#)
    #expect(last.finishReason == "length" && last.isValidToken)
    let usage = try facts(#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#)
    #expect(usage.usage == Usage(promptTokens: 3, completionTokens: 4))
    let absurd = try facts(
      #"{"choices":[],"usage":{"prompt_tokens":-1,"completion_tokens":4}}"#)
    #expect(absurd.usage == nil)
    let legacy = try facts(#"{"choices":[{"text":"x","finish_reason":"stop"}]}"#)
    #expect(legacy.text == "x" && legacy.finishReason == "stop")
  }

  @Test("an error in place of a chunk has the host's message")
  func errorEvent() {
    for (json, words) in [
      (#"{"error":{"message":"out of memory","code":500}}"#, "out of memory"),
      (#"{"error":"oops"}"#, "oops"),
    ] {
      let refusal = UpstreamRefusal(status: 502, body: bytes(json))
      #expect(throws: AttemptFailure(.errorEvent, words, refusal: refusal)) { try facts(json) }
    }
  }

  @Test("chunks come out the same wherever the network cut the stream")
  func everyCut() {
    let stream = bytes(
      "data: {\"choices\":[{\"delta\":{\"content\":\"é😀\"}}]}\r\n\r\n: hello\n\n"
        + "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
    func read(_ pieces: [ArraySlice<UInt8>]) -> [UpstreamItem] {
      var reader = UpstreamReader(endpoint: .chatCompletions, streams: true, status: 200)
      return pieces.flatMap { reader.append($0) } + reader.end()
    }
    let whole = read([stream[...]])
    #expect(whole.count == 4)
    for cut in 0...stream.count {
      #expect(read([stream[..<cut], stream[cut...]]) == whole, "cut at \(cut)")
    }
  }

  @Test(
    "an error status keeps the host's body as the cause",
    arguments: [
      (500, AttemptFailure.Kind.status), (429, .busy), (503, .busy), (400, .rejected),
      (422, .rejected), (404, .status), (401, .status),
    ])
  func errorStatus(_ status: Int, _ kind: AttemptFailure.Kind) {
    var reader = UpstreamReader(
      endpoint: .chatCompletions, streams: true, status: status, retryAfter: .seconds(3))
    #expect(reader.append(bytes(#"{"error":{"mess"#)).isEmpty)
    #expect(reader.append(bytes(#"age":"because"}}"#)).isEmpty)
    let expected = AttemptFailure(
      kind, "it answered \(status): because", status: status, retryAfter: .seconds(3),
      refusal: UpstreamRefusal(status: status, body: bytes(#"{"error":{"message":"because"}}"#)))
    #expect(reader.end() == [.broken(expected)])
  }

  @Test(
    "a context that is too small is distinguished from a wrong request",
    arguments: [
      #"{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
      #"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","param":null,"code":400}"#,
      #"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9000,"n_ctx":4096}}"#,
      #"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 208310 tokens > 200000 maximum"}}"#,
    ], [400, 413])
  func contextTooSmall(_ body: String, _ status: Int) {
    func kind(_ status: Int, _ body: String) -> AttemptFailure.Kind? {
      var reader = UpstreamReader(endpoint: .chatCompletions, streams: true, status: status)
      _ = reader.append(bytes(body))
      guard case .broken(let failure) = reader.end().last else { return nil }
      return failure.kind
    }
    #expect(kind(status, body) == .contextTooSmall)
    #expect(kind(500, body) == .status && kind(429, body) == .busy)
    #expect(kind(status, #"{"error":{"message":"no such tool"}}"#) == .rejected)
  }

  @Test("events, bodies and error bodies larger than their limits are refused, not stored")
  func limits() {
    var limits = UpstreamLimits()
    limits.eventBytes = 100
    limits.bodyBytes = 100
    limits.errorBytes = 100
    func breaks(streams: Bool, status: Int) -> AttemptFailure.Kind? {
      var reader = UpstreamReader(
        endpoint: .chatCompletions, streams: streams, status: status, limits: limits)
      for _ in 0..<20 {
        for case .broken(let failure) in reader.append(bytes("xxxxxxxxxx")) {
          #expect(reader.append([1]).isEmpty)
          return failure.kind
        }
      }
      return nil
    }
    #expect(breaks(streams: true, status: 200) == .tooLarge)
    #expect(breaks(streams: false, status: 200) == .tooLarge)
    #expect(breaks(streams: false, status: 500) == .status)
  }

  @Test(
    "a body that is not an answer is refused",
    arguments: [
      "", "<html>", "[]", "{}", #"{"choices":[]}"#, #"{"error":{"message":"x"}}"#,
    ])
  func badBody(_ body: String) {
    var reader = UpstreamReader(endpoint: .chatCompletions, streams: false, status: 200)
    _ = reader.append(bytes(body))
    let items = reader.end()
    guard items.count == 1, case .broken = items[0] else {
      Issue.record("accepted \(body)")
      return
    }
  }
}

@Suite("Answers to a request that always streams")
struct AlwaysStreamedTests {
  private static let usage =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n"

  @Test("usage that only we asked for is marked", arguments: [true, false])
  func unasked(_ wanted: Bool) {
    var reader = UpstreamReader(
      UpstreamReading(endpoint: .chatCompletions, streams: true, wantsUsage: wanted), status: 200)
    guard case .chunk(let chunk)? = reader.append(bytes(Self.usage)).first else {
      Issue.record("no chunk")
      return
    }
    #expect(chunk.facts.isUnasked == !wanted)
    #expect(chunk.facts.usage == Usage(promptTokens: 1, completionTokens: 2))
  }

  @Test("a host that cannot stream gives one chunk, without the echo of the prompt")
  func wholeAnswer() throws {
    let reading = UpstreamReading(
      endpoint: .chatCompletions, streams: true, prefix: bytes("Once"))
    let items = read(
      #"{"id":"a","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Once \"upon","tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
      reading)
    guard case .chunk(let chunk)? = items?.first else {
      Issue.record("\(told(items))")
      return
    }
    #expect(
      String(decoding: chunk.data, as: UTF8.self)
        == #"{"id":"a","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":" \"upon","tool_calls":[{"index":0,"id":"t","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#
    )
    #expect(items?.suffix(2) == [.done, .end])
    #expect(told(read("{\"error\":{\"message\":\"x\"}}", reading)) == ["error_event: x"])
  }

  @Test("of several choices the one numbered 0 is the first, and ends are counted")
  func severalChoices() throws {
    let other = try ChunkFacts(
      parsing: bytes(#"{"choices":[{"index":1,"delta":{"content":"x"},"finish_reason":"stop"}]}"#))
    #expect(other.text.isEmpty && other.hasOther)
    #expect(other.finishReason == nil && other.finishedChoices == 1 && other.isValidToken)
  }
}
