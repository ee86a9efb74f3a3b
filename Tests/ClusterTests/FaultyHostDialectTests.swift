import AsyncHTTPClient
import ClusterModel
import ClusterTesting
import NIOCore
import NIOHTTP1
import Testing

/// Checks the bytes of the Anthropic and Ollama dialects against their public documentation.
@Suite("The faulty host's dialects")
struct FaultyHostDialectTests {
  private func ask(
    _ path: String, _ json: String? = nil, headers: [(String, String)] = []
  ) async throws -> (status: Int, text: String) {
    let host = try await FaultyHost.started(.init(models: ["m"], answer: .text("Hi there")))
    var request = HTTPClientRequest(url: host.url + path)
    request.headers = HTTPHeaders(headers)
    if let json {
      request.method = .POST
      request.body = .bytes(ByteBuffer(string: json))
    }
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
    let body = try await response.body.collect(upTo: 1 << 20)
    try await host.stop()
    return (Int(response.status.code), String(buffer: body))
  }

  @Test("there are hostile rows for every dialect", arguments: HostDialect.allCases)
  func hostileRows(dialect: HostDialect) {
    #expect(HostileRow.all.contains { $0.dialect == dialect })
  }

  @Test("a stream of messages has named events in their order")
  func anthropicStream() async throws {
    let heard = try await ask(
      "/v1/messages",
      #"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}"#
    )
    #expect(
      heard.text == """
        event: message_start
        data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",\
        "content":[],"model":"m","stop_reason":null,"stop_sequence":null,\
        "usage":{"input_tokens":7,"output_tokens":1}}}

        event: ping
        data: {"type":"ping"}

        event: content_block_start
        data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

        event: content_block_delta
        data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

        event: content_block_delta
        data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" there"}}

        event: content_block_stop
        data: {"type":"content_block_stop","index":0}

        event: message_delta
        data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},\
        "usage":{"output_tokens":2}}

        event: message_stop
        data: {"type":"message_stop"}


        """)
  }

  @Test("a message comes whole, is cut at its limit, and is refused as documented")
  func anthropicWhole() async throws {
    let question = #""messages":[{"role":"user","content":"hi"}]}"#
    #expect(
      try await ask("/v1/messages", #"{"model":"m","max_tokens":1,"# + question).text
        == #"{"id":"msg_1","type":"message","role":"assistant","model":"m","#
        + #""content":[{"type":"text","text":"Hi"}],"stop_reason":"max_tokens","#
        + #""stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":1}}"#)
    let refusals: [(String, Int, String)] = [
      (#"{"model":"m","# + question, 400, "invalid_request_error"),
      (#"{"model":"x","max_tokens":1,"# + question, 404, "not_found_error"),
      (
        #"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"hi"},"#
          + #"{"role":"assistant","content":"Hi "}]}"#, 400, "trailing whitespace"
      ),
      (
        #"{"model":"m","max_tokens":1,"messages":[{"role":"system","content":"hi"}]}"#, 400,
        "invalid_request_error"
      ),
    ]
    for (body, status, word) in refusals {
      let heard = try await ask("/v1/messages", body)
      #expect(heard.status == status && heard.text.contains(word), "\(heard)")
      #expect(heard.text.hasPrefix(#"{"type":"error","error":{"type":"#))
    }
    let models = try await ask("/v1/models", headers: [("anthropic-version", "2023-06-01")])
    #expect(models.text.contains(#""type":"model","id":"m""#))
  }

  @Test("a chat of Ollama is a line per token and a last one with counts")
  func ollamaStream() async throws {
    let heard = try await ask(
      "/api/chat", #"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#)
    let head = #"{"model":"m","created_at":"2023-11-14T22:13:20.000000Z","#
    #expect(
      heard.text
        == head + #""message":{"role":"assistant","content":"Hi"},"done":false}"# + "\n" + head
        + #""message":{"role":"assistant","content":" there"},"done":false}"# + "\n" + head
        + #""message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"#
        + #""total_duration":4000000,"load_duration":1000000,"prompt_eval_count":7,"#
        + #""prompt_eval_duration":1000000,"eval_count":2,"eval_duration":2000000}"# + "\n")
    let cut = try await ask(
      "/api/chat",
      #"{"model":"m","stream":false,"options":{"num_predict":1},"messages":[{"role":"user","content":"hi"}]}"#
    )
    #expect(cut.text.contains(#""content":"Hi"}"#) && cut.text.contains(#""done_reason":"length""#))
  }

  @Test("Ollama reports its models and version, embeds, loads, unloads, and refuses another model")
  func ollamaOthers() async throws {
    #expect(try await ask("/api/tags").text.contains(#""name":"m","model":"m""#))
    #expect(try await ask("/api/version").text.hasPrefix(#"{"version":""#))
    let embedded = try await ask("/api/embed", #"{"model":"m","input":["a","b"]}"#)
    #expect(embedded.text.contains(#""embeddings":[[0.25,-0.5,1],[0.25,-0.5,1]]"#))
    let loaded = try await ask("/api/chat", #"{"model":"m","messages":[]}"#)
    #expect(loaded.text.contains(#""done_reason":"load""#))
    let unloaded = try await ask("/api/chat", #"{"model":"m","keep_alive":0}"#)
    #expect(unloaded.text.contains(#""done_reason":"unload""#))
    let unknown = try await ask("/api/chat", #"{"model":"x","messages":[]}"#)
    #expect(unknown.status == 404 && unknown.text == #"{"error":"model 'x' not found"}"#)
  }
}
