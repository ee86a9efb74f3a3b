import ClusterModel
import InferenceCore
import Testing

@Suite("Requests to Ollama's API and its answers")
struct OllamaAdapterTests {
  @Test("a question has its options in Ollama's places, and unknown members unchanged")
  func plain() throws {
    let request = try said(
      #"{"model":"x","stream":false,"messages":[{"role":"developer","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"Hi"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],"max_tokens":9,"temperature":0.50,"seed":1,"stop":["a","b"],"options":{"num_ctx":8, "seed":2},"keep_alive":"5m","new":[1, 2],"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object"}}}}"#,
      to: .ollama)
    #expect(request.path == "/api/chat")
    #expect(
      bodyText(request)
        == #"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi","images":["AAAA"]}],"stream":true,"options":{"num_ctx":8,"num_predict":9,"temperature":0.50,"seed":1,"stop":["a","b"]},"format":{"type":"object"},"keep_alive":"5m","new":[1, 2]}"#
    )
  }

  @Test("tool calls have objects for arguments, and their answers name the tool")
  func tools() throws {
    let request = try said(
      #"{"messages":[{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"auto"}"#,
      to: .ollama)
    #expect(
      bodyText(request)
        == #"{"model":"m","messages":[{"role":"assistant","content":"","tool_calls":[{"id":"a","function":{"name":"f","arguments":{"x": 1}}}]},{"role":"tool","content":"1","tool_name":"f","tool_call_id":"a"}],"stream":true,"tools":[{"type":"function","function":{"name":"f"}}]}"#
    )
  }

  @Test("goes on with a trailing assistant message")
  func resume() throws {
    let request = try said(
      #"{"messages":[{"role":"user","content":"q"}],"max_tokens":9}"#, to: .ollama, from: "Once")
    #expect(
      bodyText(request)
        == #"{"model":"m","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"Once"}],"stream":true,"options":{"num_predict":4}}"#
    )
    #expect(request.resumed == .trailingAssistant)
  }

  @Test("requests that it cannot serve are refused; prompts go to its OpenAI-compatible API")
  func refusals() throws {
    #expect(refusal(#"{"messages":[],"n":2}"#, .ollama)?.kind == .untranslatable)
    #expect(
      refusal(#"{"messages":[],"tool_choice":"required"}"#, .ollama)?.kind == .untranslatable)
    #expect(
      refusal(
        #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]}"#,
        .ollama)?.kind == .untranslatable)
    #expect(refusal(#"{"input":[[1,2]]}"#, .ollama, .embeddings)?.kind == .untranslatable)
    let prompt = try said(#"{"prompt":"x"}"#, to: .ollama, endpoint: .completions)
    #expect(prompt.path == "/v1/completions")
    #expect(prompt.reading.dialect == .openai)
  }

  @Test("a model is loaded by asking with no message")
  func load() {
    let request = OllamaAdapter.load("m", keepAlive: 0)
    #expect(bodyText(request) == #"{"model":"m","messages":[],"keep_alive":0}"#)
  }

  private static let reading = UpstreamReading(
    dialect: .ollama, endpoint: .chatCompletions, streams: true, id: "x", model: "m", created: 7)

  @Test("counts that no text has are no reason to end the process")
  func absurdCounts() throws {
    let line =
      #"{"message":{"role":"assistant","content":"x"},"done":true,"#
      + #""prompt_eval_count":\#(Int.max),"eval_count":\#(Int.max)}"#
    let usage = told(read(line + "\n", Self.reading)).first { $0.contains("usage") }
    #expect(try #require(usage).contains(#""total_tokens":200000000"#))
  }

  @Test("lines become chunks, the counts usage")
  func text() {
    let items = read(
      #"{"model":"l","created_at":"2023-08-04T08:52:19.385406455-07:00","message":{"role":"assistant","content":"","thinking":"Hm"},"done":false}"#
        + "\n"
        + #"{"model":"l","created_at":"2023-08-04T08:52:19.4Z","message":{"role":"assistant","content":"Thé","images":null},"done":false}"#
        + "\r\n\n"
        + #"{"model":"l","created_at":"2023-08-04T19:22:45.499127Z","message":{"role":"assistant","content":""},"done_reason":"length","done":true,"total_duration":4883583458,"prompt_eval_count":26,"eval_count":282}"#,
      Self.reading)
    #expect(
      told(items) == [
        #"[{"index":0,"delta":{"role":"assistant","reasoning_content":"Hm"},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{"content":"Thé"},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{},"finish_reason":"length"}]"#,
        #"[],"usage":{"prompt_tokens":26,"completion_tokens":282,"total_tokens":308}"#, "done",
        "end",
      ])
  }

  @Test("tool calls are whole, and end the answer as such")
  func toolCalls() {
    let items = read(
      #"{"model":"l","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"city":"Paris"}}}]},"done":false}"#
        + "\n"
        + #"{"model":"l","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}"#
        + "\n", Self.reading)
    #expect(
      told(items) == [
        #"[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,"id":"call_0_x","type":"function","function":{"name":"f","arguments":"{\"city\":\"Paris\"}"}}]},"finish_reason":null}]"#,
        #"[{"index":0,"delta":{},"finish_reason":"tool_calls"}]"#, "done", "end",
      ])
  }

  @Test("an error line, garbage and an endless line are distinguished")
  func broken() {
    #expect(told(read("{\"error\":\"no memory\"}\n", Self.reading)) == ["error_event: no memory"])
    #expect(told(read("<html>\n", Self.reading)).first?.hasPrefix("garbage") == true)
    var limits = UpstreamLimits()
    limits.eventBytes = 10
    var reader = UpstreamReader(Self.reading, status: 200, limits: limits)
    #expect(told(reader.append(Array("{\"aaaaaaaaa".utf8))).first?.hasPrefix("too_large") == true)
  }

  @Test(
    "arguments that a server writes as text are not quoted twice",
    arguments: [
      (#""{\"city\":\"Paris\"}""#, #"{\"city\":\"Paris\"}"#), (#"{"city":1}"#, #"{\"city\":1}"#),
      (#""""#, "{}"), ("null", "{}"),
    ])
  func textArguments(given: String, expected: String) throws {
    let line =
      #"{"model":"l","message":{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":\#(given)}}]},"done":false}"#
    let items = read(
      line + "\n",
      UpstreamReading(dialect: .ollama, endpoint: .chatCompletions, streams: true, id: "x"))
    #expect(told(items).first?.contains(#""arguments":"\#(expected)""#) == true, "\(told(items))")
  }

  @Test("embeddings come as OpenAI gives them, as numbers and as base64", arguments: [false, true])
  func embeddings(_ base64: Bool) throws {
    let format = base64 ? "base64" : "float"
    let request = try said(
      #"{"model":"x","input":["a","b"],"encoding_format":"\#(format)","dimensions":2,"user":"u"}"#,
      to: .ollama, endpoint: .embeddings)
    #expect(request.path == "/api/embed")
    #expect(bodyText(request) == #"{"model":"m","input":["a","b"],"dimensions":2}"#)
    var reader = UpstreamReader(request.reading, status: 200)
    let answer = #"{"model":"e","embeddings":[[1,-0.5],[0.25, 2]],"prompt_eval_count":8}"#
    #expect(reader.append(Array(answer.utf8)).isEmpty)
    guard case .body(let body, _)? = reader.end().first else {
      Issue.record("no body")
      return
    }
    let vectors = base64 ? [#""AACAPwAAAL8=""#, #""AACAPgAAAEA=""#] : ["[1,-0.5]", "[0.25, 2]"]
    #expect(
      String(decoding: body, as: UTF8.self)
        == #"{"object":"list","data":[{"object":"embedding","index":0,"embedding":\#(vectors[0])},{"object":"embedding","index":1,"embedding":\#(vectors[1])}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#
    )
  }
}
