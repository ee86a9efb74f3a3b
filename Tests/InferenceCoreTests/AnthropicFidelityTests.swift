import ClusterModel
import InferenceCore
import Testing

/// Checks that the adapter translates all content of requests and answers, or refuses the request.
@Suite("Nothing is lost on the way to Anthropic's API and back")
struct AnthropicFidelityTests {
  private static let hello = #"{"role":"user","content":"q"}"#

  private func body(_ messages: String, _ members: String = "") throws -> String {
    bodyText(try said(#"{"messages":[\#(messages)],"max_tokens":9\#(members)}"#, to: .anthropic))
  }

  @Test(
    "marks for the cache arrive wherever they stand",
    arguments: [
      (
        #"{"role":"system","content":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]}"#,
        #""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]"#
      ),
      (
        #"{"role":"system","content":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}"#,
        #""system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#
      ),
      (
        #"{"role":"user","content":[{"type":"text","text":"u","cache_control":{"type":"ephemeral"}},{"type":"text","text":"v"}]}"#,
        #"[{"type":"text","text":"u","cache_control":{"type":"ephemeral"}},{"type":"text","text":"v"}]"#
      ),
      (
        #"{"role":"user","content":"u","cache_control":{"type":"ephemeral"}}"#,
        #"[{"type":"text","text":"u","cache_control":{"type":"ephemeral"}}]"#
      ),
      (
        #"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"auto"},"cache_control":{"type":"ephemeral"}}]}"#,
        #"{"type":"image","source":{"type":"url","url":"https://x/y.png"},"cache_control":{"type":"ephemeral"}}"#
      ),
      (
        #"{"role":"tool","tool_call_id":"a","name":"f","content":"1","cache_control":{"type":"ephemeral"}}"#,
        #"{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"}],"cache_control":{"type":"ephemeral"}}"#
      ),
      (
        #"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","cache_control":{"type":"ephemeral"},"function":{"name":"f","arguments":"{}"}}]}"#,
        #"{"type":"tool_use","id":"a","name":"f","input":{},"cache_control":{"type":"ephemeral"}}"#
      ),
    ])
  func cache(message: String, expected: String) throws {
    let body = try body(message + "," + Self.hello)
    // The adapter merges the following question into the content of a user message.
    #expect(
      body.contains(expected)
        || body.contains(expected.dropLast() + #",{"type":"text","text":"q"}]"#),
      "\(body)")
  }

  @Test("marks and other members of a tool arrive, next to the function or within it")
  func tools() throws {
    let inside = try body(
      Self.hello,
      #","tools":[{"type":"function","function":{"name":"f","cache_control":{"type":"ephemeral"}}}]"#
    )
    let beside = try body(
      Self.hello,
      #","tools":[{"type":"function","cache_control":{"type":"ephemeral"},"function":{"name":"f"}}]"#
    )
    #expect(inside == beside && inside.contains(#""cache_control":{"type":"ephemeral"}}]"#))
    #expect(
      try body(
        Self.hello,
        #","tools":[{"type":"function","function":{"name":"f","input_examples":[{"a":1}]}}]"#
      ).contains(#""input_examples":[{"a":1}]"#))
  }

  @Test("signed thoughts of an earlier answer come before its text and calls, byte for byte")
  func thoughts() throws {
    let blocks =
      #"{"type":"thinking","thinking":"Hm, \u00e9","signature":"s=="},{"type":"redacted_thinking","data":"x"}"#
    let body = try body(
      Self.hello
        + #",{"role":"assistant","content":"a","reasoning_content":"Hm, é","thinking_blocks":[\#(blocks)],"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}"#
    )
    #expect(
      body.contains(
        #""content":[\#(blocks),{"type":"text","text":"a"},{"type":"tool_use""#), "\(body)")
    let part = try self.body(
      Self.hello + #",{"role":"assistant","content":[\#(blocks),{"type":"text","text":"a"}]},"#
        + Self.hello)
    #expect(part.contains(#""content":[\#(blocks),{"type":"text","text":"a"}]"#), "\(part)")
  }

  @Test("parts of the API's own kind pass as they are; a refusal is text")
  func ownParts() throws {
    let document =
      #"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"d"},"citations":{"enabled":true}}"#
    #expect(
      try body(#"{"role":"user","content":[\#(document),{"type":"text","text":"q"}]}"#)
        .contains(document))
    #expect(
      try body(Self.hello + #",{"role":"assistant","content":null,"refusal":"No."},"# + Self.hello)
        .contains(#"{"role":"assistant","content":[{"type":"text","text":"No."}]}"#))
  }

  @Test("members without an effect are no reason to refuse")
  func empty() throws {
    let message =
      #"{"role":"assistant","content":"a","refusal":null,"annotations":[],"audio":null,"function_call":null,"name":"","reasoning_content":""}"#
    #expect(
      try body("\(Self.hello),\(message),\(Self.hello)").contains(#"[{"type":"text","text":"a"}]"#))
  }

  @Test(
    "other members that the dialect lacks are refused by name",
    arguments: [
      (#"{"role":"user","content":"q","name":"Ann"}"#, "name"),
      (#"{"role":"user","content":"q","strange":1}"#, "strange"),
      (#"{"role":"assistant","content":"a","reasoning_content":"Hm"}"#, "reasoning_content"),
      (#"{"role":"assistant","content":"a","audio":{"id":"x"}}"#, "audio"),
      (
        #"{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x","detail":"low"}}]}"#,
        "detail"
      ),
      (#"{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}"#, "input_audio"),
      (
        #"{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}"#,
        "system"
      ),
    ])
  func refused(message: String, word: String) {
    let reason = refusal(#"{"messages":[\#(Self.hello),\#(message)]}"#, .anthropic)
    #expect(reason?.kind == .untranslatable && reason?.reason.contains(word) == true, "\(message)")
  }

  @Test("a tool whose parameters are no object, and a choice without tools, are the client's fault")
  func wrong() {
    for members in [
      #""tools":[{"type":"function","function":{"name":"f","parameters":"x"}}]"#,
      #""tool_choice":"required""#,
    ] {
      #expect(refusal(#"{"messages":[\#(Self.hello)],\#(members)}"#, .anthropic)?.kind == .invalid)
    }
  }

  @Test("effort, the user's id and a schema's description are translated")
  func parameters() throws {
    #expect(
      try body(Self.hello, #","reasoning_effort":"low""#)
        .contains(#""output_config":{"effort":"low"}"#))
    #expect(!(try body(Self.hello, #","reasoning_effort":"none""#).contains("effort")))
    #expect(
      try body(Self.hello, #","metadata":{"user_id":"u"}"#).contains(#""metadata":{"user_id":"u"}"#)
    )
    #expect(
      try body(
        Self.hello,
        #","response_format":{"type":"json_schema","json_schema":{"name":"n","description":"d","schema":{"type":"object"}}}"#
      ).contains(#""schema":{"description":"d","type":"object"}"#))
  }

  @Test(
    "without a limit an answer may be as long as the model allows",
    arguments: [
      ("claude-3-haiku-20240307", 4_096), ("claude-3-5-sonnet-latest", 8_192),
      ("anthropic.claude-3-5-haiku-20241022-v1:0", 8_192), ("claude-opus-4-1-20250805", 32_000),
      ("claude-sonnet-4-5", 64_000), ("claude-next-9", 64_000), ("other", 64_000),
    ])
  func limit(model: ModelID, tokens: Int) throws {
    let request = try said(#"{"messages":[\#(Self.hello)]}"#, to: .anthropic, model: model)
    #expect(bodyText(request).contains(#""max_tokens":\#(tokens),"#))
  }

  @Test("the limit that a host's own list names is the one that is asked for")
  func listedLimit() throws {
    func request(_ offer: ModelOffer) throws -> String {
      let host = Host(id: "h", url: "http://h", dialect: .anthropic, models: [offer])
      return bodyText(
        try UpstreamRequest(
          InferenceRequest(
            endpoint: .chatCompletions, model: "m",
            body: Array(#"{"messages":[\#(Self.hello)]}"#.utf8), stream: true,
            trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3))),
          to: Candidate(host: host, model: "m")))
    }
    #expect(
      try request(ModelOffer(id: "m", facts: #""max_tokens":777"#)).contains(#""max_tokens":777,"#))
    #expect(
      try request(ModelOffer(id: "m", contextTokens: 5_000)).contains(#""max_tokens":4978,"#))
  }

  // MARK: - Answers

  private func chunks(_ events: [String]) -> [String] {
    let stream = events.map { "event: x\ndata: \($0)\n\n" }.joined()
    return told(
      read(
        stream,
        UpstreamReading(dialect: .anthropic, endpoint: .chatCompletions, streams: true, id: "x")))
  }

  @Test("a thought's signature, hidden thoughts, citations and a stop sequence come through")
  func answer() {
    let told = chunks([
      #"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"A","signature":""}}"#,
      #"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"\"b"}}"#,
      #"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s1"}}"#,
      #"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s2"}}"#,
      #"{"type":"content_block_stop","index":0}"#,
      #"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"zz"}}"#,
      #"{"type":"content_block_stop","index":1}"#,
      #"{"type":"content_block_start","index":2,"content_block":{"type":"text","text":""}}"#,
      #"{"type":"content_block_delta","index":2,"delta":{"type":"citations_delta","citation":{"type":"char_location","cited_text":"c"}}}"#,
      #"{"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END"},"usage":{"input_tokens":1,"cache_read_input_tokens":2,"cache_creation_input_tokens":3,"output_tokens":4}}"#,
      #"{"type":"message_stop"}"#,
    ])
    func has(_ text: String) -> Bool { told.contains { $0.contains(text) } }
    #expect(has(#""thinking_blocks":[{"type":"thinking","thinking":"A\"b","signature":"s1s2"}]"#))
    #expect(has(#""thinking_blocks":[{"type":"redacted_thinking","data":"zz"}]"#))
    #expect(has(#""citations":[{"type":"char_location","cited_text":"c"}]"#))
    #expect(has(#""finish_reason":"stop","stop_reason":"END""#))
    #expect(has(#""cache_creation_input_tokens":3,"cache_read_input_tokens":2"#), "\(told)")
  }

  @Test("a body that was asked for whole has every thinking block, in order")
  func whole() throws {
    var assembler = BodyAssembler(endpoint: .chatCompletions)
    let stream = [
      #"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"A"}}"#,
      #"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}"#,
      #"{"type":"content_block_stop","index":0}"#,
      #"{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"z"}}"#,
      #"{"type":"content_block_stop","index":1}"#,
      #"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"x"}}"#,
      #"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#,
    ].map { "data: \($0)\n\n" }.joined()
    var reader = UpstreamReader(
      UpstreamReading(dialect: .anthropic, endpoint: .chatCompletions, streams: true, id: "x"),
      status: 200)
    for case .chunk(let chunk) in reader.append(Array(stream.utf8)) { try assembler.take(chunk) }
    let body = String(decoding: try assembler.body(), as: UTF8.self)
    #expect(
      body.contains(
        #""thinking_blocks":[{"type":"thinking","thinking":"A","signature":"s"},{"type":"redacted_thinking","data":"z"}]"#
      ), "\(body)")
  }
}

@Suite("Location of a host's API")
struct PlaceTests {
  @Test(
    "paths follow the base URL with or without /v1",
    arguments: [
      (InferenceEndpoint.chatCompletions, false, "/v1/chat/completions"),
      (.chatCompletions, true, "/chat/completions"), (.embeddings, true, "/embeddings"),
      (.completions, true, "/completions"),
    ])
  func path(endpoint: InferenceEndpoint, omitsV1: Bool, path: String) throws {
    let request = try UpstreamRequest(
      InferenceRequest(
        endpoint: endpoint, model: "m", body: Array(#"{"model":"m"}"#.utf8), stream: true,
        trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3))),
      to: Candidate(host: Host(id: "h", url: "http://h/v4", omitsV1: omitsV1), model: "m"))
    #expect(request.path == path)
  }
}
