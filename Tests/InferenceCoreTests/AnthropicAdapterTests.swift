import ClusterModel
import InferenceCore
import Testing

@Suite("Requests to Anthropic's API and its answers")
struct AnthropicAdapterTests {
  @Test("a plain question, with what the API demands")
  func plain() throws {
    let request = try said(
      #"{"model":"x","stream":true,"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],"temperature":1.5,"top_p":0.90,"stop":"END","user":"u","seed":1,"tutti":{}}"#,
      to: .anthropic, model: "claude-x", secret: "key")
    #expect(request.path == "/v1/messages")
    #expect(
      bodyText(request)
        == #"{"model":"claude-x","max_tokens":64000,"system":[{"type":"text","text":"Be brief."}],"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"temperature":1,"stop_sequences":["END"],"metadata":{"user_id":"u"},"stream":true,"top_p":0.90}"#
    )
    #expect(request.headers.contains(.init("x-api-key", "key")))
    #expect(request.headers.contains(.init("anthropic-version", "2023-06-01")))
    #expect(!request.headers.contains { $0.name == "authorization" })
  }

  @Test("tools, their calls and their answers, each in its place")
  func tools() throws {
    let request = try said(
      #"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}},{"id":"b","type":"function","function":{"name":"g","arguments":""}}]},{"role":"tool","tool_call_id":"a","content":"1"},{"role":"tool","tool_call_id":"b","content":"2"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,"max_completion_tokens":7}"#,
      to: .anthropic)
    #expect(
      bodyText(request)
        == #"{"model":"m","max_tokens":7,"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"x": 1}},{"type":"tool_use","id":"b","name":"g","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"text","text":"1"}]},{"type":"tool_result","tool_use_id":"b","content":[{"type":"text","text":"2"}]}]}],"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"f","disable_parallel_tool_use":true},"stream":true}"#
    )
  }

  @Test("images, as data and as URLs; a schema for the answer")
  func images() throws {
    let request = try said(
      #"{"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}],"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}}"#,
      to: .anthropic)
    #expect(
      bodyText(request)
        == #"{"model":"m","max_tokens":64000,"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}},{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}},"stream":true}"#
    )
  }

  @Test(
    "a member that the dialect lacks is refused by name",
    arguments: [
      (#""n":2"#, "cannot give several choices (n = 2)"),
      (#""logprobs":true"#, "cannot give logprobs"),
      (
        #""response_format":{"type":"json_object"}"#,
        "cannot promise response_format \"json_object\""
      ),
      (#""response_format":{"type":"new"}"#, "cannot promise response_format \"new\""),
      (#""frequency_penalty":0.5"#, "cannot take a frequency_penalty"),
      (#""logit_bias":{"1":2}"#, "cannot take a logit_bias"),
      (#""stop":["\n"]"#, "cannot stop at white space alone"),
    ])
  func untranslatable(_ member: String, _ reason: String) {
    let body = #"{"messages":[{"role":"user","content":"q"}],\#(member)}"#
    #expect(refusal(body, .anthropic) == AdapterRefusal(.untranslatable, reason))
    let request = InferenceRequest(
      endpoint: .chatCompletions, model: "m", body: Array(body.utf8), stream: true,
      trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3)))
    #expect(UpstreamRequest.refusal(of: request, by: .anthropic) == reason)
    #expect(UpstreamRequest.refusal(of: request, by: .openai) == nil)
  }

  @Test("only chat; and what is wrong in itself is the request's fault")
  func others() {
    #expect(refusal(#"{"input":"x"}"#, .anthropic, .embeddings)?.kind == .untranslatable)
    #expect(refusal(#"{"prompt":"x"}"#, .anthropic, .completions)?.kind == .untranslatable)
    #expect(refusal(#"{"messages":7}"#, .anthropic)?.kind == .invalid)
    #expect(refusal(#"{"messages":[],"n":"x"}"#, .anthropic)?.kind == .invalid)
  }

  @Test("older models take a prefix, newer ones an instruction")
  func resume() throws {
    let body = #"{"messages":[{"role":"user","content":"q"}],"max_tokens":9}"#
    let old = try said(body, to: .anthropic, model: "claude-3-5-haiku-latest", from: "Once")
    #expect(old.resumed == .trailingAssistant)
    #expect(
      bodyText(old)
        == #"{"model":"claude-3-5-haiku-latest","max_tokens":4,"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":[{"type":"text","text":"Once"}]}],"stream":true}"#
    )
    let new = try said(body, to: .anthropic, model: "claude-opus-4-6", from: "Once")
    #expect(new.resumed == .instruct)
    #expect(bodyText(new).contains("<<<Once>>>"))
  }

  // MARK: - Reading

  private static let reading = UpstreamReading(
    dialect: .anthropic, endpoint: .chatCompletions, streams: true, id: "x", model: "m",
    created: 7)

  private func events(_ events: [String]) -> String {
    events.map { "event: \($0.split(separator: "\"")[3])\ndata: \($0)\n\n" }.joined()
  }

  @Test("counts that no text has are no reason to end the process")
  func absurdCounts() throws {
    let items = read(
      events([
        #"{"type":"message_start","message":{"id":"a","model":"c","usage":{"input_tokens":\#(Int.max),"cache_read_input_tokens":\#(Int.max),"output_tokens":1}}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#,
        #"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":\#(Int.max)}}"#,
        #"{"type":"message_stop"}"#,
      ]), Self.reading)
    let usage = told(items).first { $0.contains("usage") }
    #expect(try #require(usage).contains(#""total_tokens":300000000"#))
  }

  @Test("a text answer becomes chunks")
  func text() {
    let items = read(
      events([
        #"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude-y","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
        #"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        #"{"type":"ping"}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé\n"}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"!"}}"#,
        #"{"type":"content_block_stop","index":0}"#,
        #"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#,
        #"{"type":"message_stop"}"#,
      ]), Self.reading)
    #expect(
      told(items) == [
        #"[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"content":"Hé\n"},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"content":"!"},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{},"finish_reason":"stop"}]"#,
        #"[],"usage":{"prompt_tokens":30,"completion_tokens":15,"total_tokens":45,"prompt_tokens_details":{"cached_tokens":5}}"#,
        "done", "end",
      ])
    guard case .chunk(let first)? = items?.first else { return }
    #expect(
      String(decoding: first.data, as: UTF8.self).hasPrefix(
        #"{"id":"msg_1","object":"chat.completion.chunk","created":7,"model":"claude-y","choices""#)
    )
  }

  @Test("thinking and tool calls come through, arguments piece by piece")
  func toolUse() {
    let items = read(
      events([
        #"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}"#,
        #"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}}"#,
        #"{"type":"content_block_stop","index":0}"#,
        #"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"x\":"}}"#,
        #"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" 1}"}}"#,
        #"{"type":"content_block_stop","index":1}"#,
        #"{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_2","name":"g","input":{}}}"#,
        #"{"type":"content_block_stop","index":2}"#,
        #"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":3,"output_tokens":4}}"#,
      ]), Self.reading)
    #expect(
      told(items) == [
        #"[{"index":0,"delta":{"reasoning_content":"Hm"},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"thinking_blocks":[{"type":"thinking","thinking":"Hm","signature":"s"}]},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"toolu_1","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":" 1}"}}]},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"toolu_2","type":"function","function":{"name":"g","arguments":""}}]},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{},"finish_reason":"tool_calls"}]"#,
        #"[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0}}"#,
        "end",
      ])
  }

  @Test("an error in mid-stream and an overload keep their words")
  func errors() {
    #expect(
      told(
        read(
          events([
            #"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            #"{"type":"ping"}"#,
          ]), Self.reading)) == ["busy: Overloaded"])
    var reader = UpstreamReader(Self.reading, status: 529)
    #expect(
      reader.append(
        Array(#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#.utf8)
      ).isEmpty)
    #expect(told(reader.end()) == ["busy: it answered 529 (overloaded_error): Overloaded"])
  }
}

@Suite("Cost of a broken answer of Anthropic's API")
struct AnthropicPromptTests {
  @Test("the prompt's tokens are known from its first event, and not passed on before the end")
  func prompt() throws {
    let event =
      #"{"type":"message_start","message":{"id":"a","model":"c","usage":{"input_tokens":12,"#
      + #""cache_read_input_tokens":30,"output_tokens":1}}}"#
    let items = read(
      "event: message_start\ndata: \(event)\n\n",
      UpstreamReading(dialect: .anthropic, endpoint: .chatCompletions, streams: true))
    guard case .chunk(let chunk)? = items?.first else {
      Issue.record("no chunk: \(told(items))")
      return
    }
    #expect(
      chunk.facts.usage == Usage(promptTokens: 42, cachedTokens: 30, completionTokens: 0))
    #expect(
      !chunk.facts.isOnlyUsage && !String(decoding: chunk.data, as: UTF8.self).contains("usage"))
  }
}
