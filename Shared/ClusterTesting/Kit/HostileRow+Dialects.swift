import ClusterModel

private typealias Chunks = HostileChunks

extension HostileRow {
  private static func line(_ message: String, model: String = "m", more: String = "") -> [UInt8] {
    Array(
      (#"{"model":"\#(model)","created_at":"2023-11-14T22:13:20Z","message":\#(message),"#
        + #""done":false\#(more)}"# + "\n").utf8)
  }

  private static func lastLine(_ counts: String) -> [UInt8] {
    Array(
      (#"{"model":"m","message":{"role":"assistant","content":""},"done":true,"#
        + #""done_reason":"stop",\#(counts)}"# + "\n").utf8)
  }

  private static let ollamaEnd = lastLine(#""prompt_eval_count":7,"eval_count":2"#)

  private static func content(_ text: String) -> String {
    #"{"role":"assistant","content":"\#(text)"}"#
  }

  private static func of(_ dialect: HostDialect, _ row: HostileRow) -> HostileRow {
    var row = row
    row.dialect = dialect
    return row
  }

  static let ollama: [HostileRow] = [
    stream("ollama-honest", "nothing: 20,000 words, to compare with") {
      [.each(20_000) { line(content("word\($0) ")) }, .bytes(ollamaEnd)]
    },
    stream("ollama-model-name", "a model name of 1 MB, then 1,000 lines without one") {
      [
        .bytes(line(content("a "), model: Chunks.letters(1_000_000))),
        .each(1_000) { Array(#"{"message":{"content":"w\#($0) "}}\#n"#.utf8) }, .bytes(ollamaEnd),
      ]
    },
    embeddings("ollama-empty-vectors", "21 MB of empty vectors") {
      [
        .bytes(Array(#"{"model":"m","embeddings":[[]"#.utf8)),
        .times(7_000_000, Array(",[]".utf8)), .bytes(Array("]}".utf8)),
      ]
    },
    embeddings("ollama-numbers", "a vector of 2,000,000 numbers that no number holds") {
      [
        .bytes(Array(#"{"model":"m","embeddings":[[0"#.utf8)),
        .times(2_000_000, Array(",1e999".utf8)), .bytes(Array("]]}".utf8)),
      ]
    },
    stream("ollama-tool-calls", "60 lines of 1,000 tool calls each") {
      let call = #"{"function":{"name":"f","arguments":{}}}"#
      let calls = Array(repeating: call, count: 1_000).joined(separator: ",")
      return [
        .times(60, line(#"{"role":"assistant","content":"","tool_calls":[\#(calls)]}"#)),
        .bytes(ollamaEnd),
      ]
    },
    stream("ollama-arguments", "a tool call with arguments nested 400,000 deep") {
      [
        .bytes(
          line(
            #"{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":"#
              + Chunks.letters(400_000, "[") + "}}]}")),
        .bytes(ollamaEnd),
      ]
    },
    stream("ollama-counts", "token counts that are the largest, negative or no integer") {
      [
        .bytes(line(content("a"))),
        .bytes(lastLine(#""prompt_eval_count":\#(Int.max),"eval_count":\#(Int.max)"#)),
        .bytes(lastLine(#""prompt_eval_count":-1,"eval_count":1e999"#)),
      ]
    },
    stream("ollama-empty-lines", "8,000,000 empty lines") {
      [.times(8, Array(Chunks.letters(1 << 20, "\n").utf8)), .bytes(ollamaEnd)]
    },
    stream("ollama-done", "20,000 last lines") {
      [.bytes(line(content("a"))), .times(20_000, ollamaEnd)]
    },
    stream("ollama-errors", "an error of 1 MB") {
      [
        .bytes(line(content("a"))),
        .bytes(Array(#"{"error":"\#(String(repeating: #"e\n"#, count: 300_000))"}\#n"#.utf8)),
      ]
    },
  ].map { of(.ollama, $0) }

  private static func event(_ type: String, _ rest: String) -> [UInt8] {
    Array("event: \(type)\ndata: {\"type\":\"\(type)\",\(rest)}\n\n".utf8)
  }

  private static func started(id: String = "msg_1", usage: String = "7") -> [UInt8] {
    event(
      "message_start",
      #""message":{"id":"\#(id)","type":"message","role":"assistant","content":[],"#
        + #""model":"\#(id)","usage":{"input_tokens":\#(usage),"#
        + #""cache_read_input_tokens":\#(usage),"cache_creation_input_tokens":\#(usage),"#
        + #""output_tokens":\#(usage)}}"#)
  }

  private static func words(_ text: String, index: String = "0") -> [UInt8] {
    event(
      "content_block_delta",
      #""index":\#(index),"delta":{"type":"text_delta","text":"\#(text)"}"#)
  }

  private static let anthropicEnd =
    event("message_delta", #""delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}"#)
    + event("message_stop", #""x":0"#)

  private static func tool(_ index: String) -> [UInt8] {
    event(
      "content_block_start",
      #""index":\#(index),"content_block":{"type":"tool_use","id":"t\#(index)","name":"f","input":{}}"#
    )
  }

  static let anthropic: [HostileRow] = [
    stream("anthropic-honest", "nothing: 20,000 words, to compare with") {
      [.bytes(started()), .each(20_000) { words("word\($0) ") }, .bytes(anthropicEnd)]
    },
    stream("anthropic-blocks", "30,000 tool blocks") {
      [.bytes(started()), .each(30_000) { tool("\($0)") }, .bytes(anthropicEnd)]
    },
    stream("anthropic-index", "blocks with the largest and smallest indices") {
      [
        .bytes(started() + tool("\(Int.max)") + tool("\(Int.min)") + tool("1e999")),
        .bytes(words("a", index: "\(Int.max)") + anthropicEnd),
      ]
    },
    stream("anthropic-usage", "token counts whose sum no integer holds") {
      [.bytes(started(usage: "\(Int.max)") + words("a") + anthropicEnd)]
    },
    stream("anthropic-identity", "an id and a model of 400 KB, then 2,000 words") {
      [
        .bytes(started(id: Chunks.letters(400_000))), .each(2_000) { words("word\($0) ") },
        .bytes(anthropicEnd),
      ]
    },
    stream("anthropic-pings", "300,000 pings") {
      [.bytes(started()), .times(300_000, event("ping", #""x":0"#)), .bytes(anthropicEnd)]
    },
    stream("anthropic-json", "the arguments of a tool in 100,000 pieces") {
      [
        .bytes(started() + tool("0")),
        .times(
          100_000,
          event(
            "content_block_delta",
            #""index":0,"delta":{"type":"input_json_delta","partial_json":"[["}"#)),
        .bytes(anthropicEnd),
      ]
    },
  ].map { of(.anthropic, $0) }

  // MARK: - Registry probes

  private static func probe(
    _ name: String, _ harm: String, _ dialect: HostDialect, _ target: Target,
    _ first: @escaping @Sendable () -> [HostileScript.Part]
  ) -> HostileRow {
    var row = of(dialect, body(name, harm, first))
    row.target = target
    return row
  }

  static let probes: [HostileRow] = [
    probe("version-marks", "a version of one letter with 900,000 marks", .ollama, .version) {
      [
        .bytes(Array(#"{"version":"a"#.utf8)), .times(900_000, Array("\u{301}".utf8)),
        .bytes(Array(#""}"#.utf8)),
      ]
    },
    probe("models-many", "30,000 models", .openai, .listing) {
      [
        .bytes(Array(#"{"object":"list","data":[{"id":"m","object":"model"}"#.utf8)),
        .each(30_000) { Array(#",{"id":"model-\#($0)","object":"model"}"#.utf8) },
        .bytes(Array("]}".utf8)),
      ]
    },
    probe("model-id-long", "a model id of 1.9 MB", .openai, .listing) {
      [
        .bytes(
          Array(
            #"{"object":"list","data":[{"id":"\#(Chunks.letters(1_900_000))","object":"model"}]}"#
              .utf8))
      ]
    },
    probe("model-id-marks", "a model id of one letter with 900,000 marks", .openai, .listing) {
      [
        .bytes(Array(#"{"object":"list","data":[{"object":"model","id":"a"#.utf8)),
        .times(900_000, Array("\u{301}".utf8)), .bytes(Array(#""}]}"#.utf8)),
      ]
    },
    probe("models-endless", "a list of models of 64 MB", .openai, .listing) {
      [
        .bytes(Array(#"{"object":"list","data":[{"id":"m","object":"model"}"#.utf8)),
        .times(2_000_000, Array(#",{"id":"a","object":"model"}"#.utf8)),
      ]
    },
    probe("models-nested", "a list of models nested 400,000 deep", .openai, .listing) {
      [
        .bytes(Array(#"{"object":"list","data":"#.utf8)),
        .times(4, Array(Chunks.letters(100_000, "[").utf8)),
      ]
    },
    probe("context-overflow", "models with the largest context", .openai, .listing) {
      [
        .bytes(
          Array(
            (#"{"object":"list","data":[{"id":"m","object":"model","owned_by":"vllm","#
              + #""max_model_len":\#(Int.max)}]}"#).utf8))
      ]
    },
    probe("tags-many", "tags of 60,000 models", .ollama, .listing) {
      [
        .bytes(Array(#"{"models":[{"name":"m"}"#.utf8)),
        .each(60_000) { Array(#",{"name":"model-\#($0)"}"#.utf8) }, .bytes(Array("]}".utf8)),
      ]
    },
  ]
}
