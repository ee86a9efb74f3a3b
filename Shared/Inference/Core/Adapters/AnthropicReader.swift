import ClusterModel
import Text

/// Anthropic's events, one by one, as chunks.
struct AnthropicReader: Sendable {
  private var writer: ChunkWriter
  /// Which of our tool calls a content block is, and whether its arguments have begun.
  private var calls: [Int: (index: Int, hasArguments: Bool)] = [:]
  private var nextCall = 0
  private var input = 0
  private var cached = 0
  private var output = 0
  private var hasUsage = false
  private var hasToldUsage = false

  init(_ reading: UpstreamReading) { writer = ChunkWriter(reading) }

  mutating func read(_ data: [UInt8]) throws(AttemptFailure) -> [UpstreamItem] {
    let document = try ChunkFacts.document(data)
    func value(_ name: String, _ object: JSONValue?) -> JSONValue? {
      object.flatMap { document.value(name, in: $0) }
    }
    func text(_ name: String, _ object: JSONValue?) -> String? {
      value(name, object).flatMap(document.string)
    }
    let root = document.root
    let block = value("index", root).flatMap(document.integer) ?? 0
    switch text("type", root) {
    case "message_start":
      let message = value("message", root)
      writer.id = text("id", message) ?? writer.id
      writer.model = text("model", message) ?? writer.model
      readUsage(value("usage", message), document)
      return [opening(try writer.delta([("role", "assistant"), ("content", "")]))]
    case "content_block_start":
      let content = value("content_block", root)
      switch text("type", content) {
      case "text": return try say("content", text("text", content))
      case "thinking": return try say("reasoning_content", text("thinking", content))
      case "tool_use":
        // Arguments that come at once rather than in pieces; usually an empty object for "not yet".
        let given = value("input", content).map { Array(document.slice($0)) } ?? []
        let whole = given.count > 2 ? String(decoding: given, as: UTF8.self) : ""
        calls[block] = (nextCall, !whole.isEmpty)
        nextCall += 1
        return [
          try call(
            block, id: text("id", content), name: text("name", content) ?? "", arguments: whole)
        ]
      default: return []  // what only Anthropic's own tools make
      }
    case "content_block_delta":
      let delta = value("delta", root)
      switch text("type", delta) {
      case "text_delta": return try say("content", text("text", delta))
      case "thinking_delta": return try say("reasoning_content", text("thinking", delta))
      case "input_json_delta":
        guard let piece = text("partial_json", delta), !piece.isEmpty, calls[block] != nil else {
          return []
        }
        calls[block]?.hasArguments = true
        return [try call(block, arguments: piece)]
      default: return []  // signatures and citations
      }
    case "content_block_stop":
      guard calls[block]?.hasArguments == false else { return [] }
      calls[block]?.hasArguments = true
      return [try call(block, arguments: "{}")]
    case "message_delta":
      readUsage(value("usage", root), document)
      guard let reason = text("stop_reason", value("delta", root)) else { return [] }
      return [try writer.delta([], finishReason: Self.finishReason(reason))]
    case "message_stop": return try usage() + [.done]
    case "error":
      let error = value("error", root)
      let isBusy = ["overloaded_error", "rate_limit_error"].contains(text("type", error) ?? "")
      throw AttemptFailure(
        isBusy ? .busy : .errorEvent, UpstreamWords.message(of: error ?? root, in: document))
    default: return []  // `ping`, and events of later versions
    }
  }

  /// The stream ended without saying so; what it cost is told all the same.
  mutating func end() throws(AttemptFailure) -> [UpstreamItem] { try usage() }

  private mutating func usage() throws(AttemptFailure) -> [UpstreamItem] {
    guard hasUsage, !hasToldUsage else { return [] }
    hasToldUsage = true
    return [try writer.usage(prompt: input, completion: output, cached: cached)]
  }

  /// The prompt's tokens are told at once; should the answer break off, nobody tells them again.
  private func opening(_ item: UpstreamItem) -> UpstreamItem {
    guard hasUsage, case .chunk(var chunk) = item else { return item }
    chunk.facts.usage = Usage(promptTokens: input, completionTokens: 0)
    return .chunk(chunk)
  }

  private func say(_ name: String, _ text: String?) throws(AttemptFailure) -> [UpstreamItem] {
    guard let text, !text.isEmpty else { return [] }
    return [try writer.delta([(name, .string(text))])]
  }

  private func call(
    _ block: Int, id: String? = nil, name: String? = nil, arguments: String
  ) throws(AttemptFailure) -> UpstreamItem {
    var function: [(String, JSON)] = []
    if let name { function.append(("name", .string(name))) }
    function.append(("arguments", .string(arguments)))
    var call: [(String, JSON)] = [("index", .integer(calls[block]?.index ?? 0))]
    if let id { call += [("id", .string(id)), ("type", "function")] }
    call.append(("function", .object(function)))
    return try writer.delta([("tool_calls", [.object(call)])])
  }

  private mutating func readUsage(_ usage: JSONValue?, _ document: JSONDocument) {
    guard let usage, usage.kind == .object else { return }
    func tokens(_ name: String) -> Int? { document.tokens(name, in: usage) }
    hasUsage = true
    if let fresh = tokens("input_tokens") {
      cached = tokens("cache_read_input_tokens") ?? 0
      // What is read from or written to the cache is not counted among the input tokens.
      input = fresh + cached + (tokens("cache_creation_input_tokens") ?? 0)
    }
    output = tokens("output_tokens") ?? output
  }

  static func finishReason(_ reason: String) -> String {
    switch reason {
    case "max_tokens", "model_context_window_exceeded": "length"
    case "tool_use": "tool_calls"
    case "refusal": "content_filter"
    default: "stop"  // end_turn, stop_sequence, pause_turn
    }
  }
}
