import ClusterModel
import Limits
import Text

/// Converts Anthropic's events into chunks, one event at a time.
struct AnthropicReader: Sendable {
  private var writer: ChunkWriter
  /// Tool calls by content block. `index` is the call's index in the chunks for the client.
  /// `hasArguments` means that some of the call's arguments have arrived.
  private var calls: [Int: (index: Int, hasArguments: Bool)] = [:]
  private var nextCall = 0
  /// The open thinking block. Its signature covers the whole block.
  private var thought: (block: Int, text: String, signature: String)?
  private var input = 0
  private var cached = 0
  private var writtenToCache = 0
  private var output = 0
  private var hasUsage = false
  private var hasReportedUsage = false

  init(_ reading: UpstreamReading) { writer = ChunkWriter(reading) }

  mutating func read(
    _ data: [UInt8], _ allowance: inout Allowance
  ) throws(AttemptFailure) -> [UpstreamItem] {
    var json = try HostJSON(data, allowance)
    defer { allowance = json.allowance }
    let root = try json.values(
      ["type", "index", "message", "content_block", "delta", "usage", "error"], in: json.root)
    let block = try json.index(root[1], below: .max, "a content block") ?? 0
    switch root[0].flatMap(json.document.string) {
    case "message_start": return [try start(root[2], &json)]
    case "content_block_start": return try begin(block, root[3], &json)
    case "content_block_delta": return try grow(block, root[4], &json)
    case "content_block_stop":
      if let thought, thought.block == block { return try sign(&json) }
      guard calls[block]?.hasArguments == false else { return [] }
      calls[block]?.hasArguments = true
      return [try call(block, arguments: "{}", &json)]
    case "message_delta":
      try readUsage(root[5], &json)
      let delta = try json.values(["stop_reason", "stop_sequence"], in: root[4])
      guard let reason = delta[0].flatMap(json.document.string) else { return [] }
      let stop = try json.name(delta[1], "a stop sequence")
      return [
        try writer.delta(
          [], finishReason: Self.finishReason(reason), stopReason: stop.map { .string($0) },
          &json.allowance)
      ]
    case "message_stop": return try usage(&json.allowance) + [.done]
    case "error":
      let type = try json.values(["type"], in: root[6])[0].flatMap(json.document.string)
      let isBusy = ["overloaded_error", "rate_limit_error"].contains(type ?? "")
      let words = UpstreamWords.message(of: root[6] ?? json.root, in: json.document)
      throw isBusy ? AttemptFailure(.busy, words) : .errorEvent(words, in: json.document.bytes)
    default: return []  // `ping`, and events of later versions of the API
    }
  }

  private mutating func start(
    _ message: JSONValue?, _ json: inout HostJSON
  ) throws(AttemptFailure) -> UpstreamItem {
    let message = try json.values(["id", "model", "usage"], in: message)
    writer.begin(
      id: try json.name(message[0], "an id"), model: try json.name(message[1], "a model"))
    try readUsage(message[2], &json)
    return opening(try writer.delta([("role", "assistant"), ("content", "")], &json.allowance))
  }

  private mutating func begin(
    _ block: Int, _ value: JSONValue?, _ json: inout HostJSON
  ) throws(AttemptFailure) -> [UpstreamItem] {
    let content = try json.values(
      ["type", "text", "thinking", "input", "id", "name"], in: value)
    switch content[0].flatMap(json.document.string) {
    case "text": return try emit("content", content[1], &json)
    case "thinking":
      release(&json)
      thought = (block, "", "")
      return try think(content[2], &json)
    case "redacted_thinking":
      // Only the host can read a redacted block. The host requires the block in the client's next
      // request.
      guard let value else { return [] }
      return [try thinkingBlock(.raw(Array(json.document.slice(value))), &json)]
    case "tool_use":
      guard nextCall < Limits.toolCalls.value else {
        throw AttemptFailure(overdrawn: Limits.toolCalls)
      }
      // Some hosts send the whole arguments in `input`. Usually `input` is an empty object, which
      // means that the arguments follow in pieces.
      let given = content[3].map { json.document.slice($0) } ?? []
      let whole = given.count > 2 ? String(decoding: given, as: UTF8.self) : ""
      calls[block] = (nextCall, !whole.isEmpty)
      nextCall += 1
      return [
        try call(
          block, id: json.name(content[4], "the id of a tool call", limit: Limits.callIDBytes),
          name: json.name(content[5], "the name of a tool") ?? "", arguments: whole, &json)
      ]
    default: return []  // blocks of Anthropic's own tools
    }
  }

  private mutating func grow(
    _ block: Int, _ delta: JSONValue?, _ json: inout HostJSON
  ) throws(AttemptFailure) -> [UpstreamItem] {
    let delta = try json.values(
      ["type", "text", "thinking", "partial_json", "signature", "citation"], in: delta)
    switch delta[0].flatMap(json.document.string) {
    case "text_delta": return try emit("content", delta[1], &json)
    case "thinking_delta": return try think(delta[2], &json)
    case "signature_delta":
      let piece = delta[4].flatMap(json.document.string) ?? ""
      try json.allowance.charge(buffer: piece.utf8.count)
      thought?.signature += piece
      return []
    case "citations_delta":
      guard let citation = delta[5], citation.kind != .null else { return [] }
      return [
        try writer.delta(
          [("citations", [.raw(Array(json.document.slice(citation)))])], &json.allowance)
      ]
    case "input_json_delta":
      guard let piece = delta[3].flatMap(json.document.string), !piece.isEmpty,
        calls[block] != nil
      else { return [] }
      calls[block]?.hasArguments = true
      return [try call(block, arguments: piece, &json)]
    default: return []  // deltas of later versions of the API
    }
  }

  /// Reports the usage if the stream ended without `message_stop`.
  mutating func end(
    _ allowance: inout Allowance
  ) throws(AttemptFailure) -> [UpstreamItem] { try usage(&allowance) }

  private mutating func usage(
    _ allowance: inout Allowance
  ) throws(AttemptFailure) -> [UpstreamItem] {
    guard hasUsage, !hasReportedUsage else { return [] }
    hasReportedUsage = true
    return [
      try writer.usage(
        prompt: input, completion: output, cached: cached, written: writtenToCache, &allowance)
    ]
  }

  /// Attaches the prompt tokens to the first chunk. A stream that is cut short does not report them
  /// again.
  private func opening(_ item: UpstreamItem) -> UpstreamItem {
    guard hasUsage, case .chunk(var chunk) = item else { return item }
    chunk.facts.usage = Usage(promptTokens: input, cachedTokens: cached, completionTokens: 0)
    return .chunk(chunk)
  }

  private mutating func emit(
    _ name: String, _ value: JSONValue?, _ json: inout HostJSON
  ) throws(AttemptFailure) -> [UpstreamItem] {
    guard let text = value.flatMap(json.document.string), !text.isEmpty else { return [] }
    return [try writer.delta([(name, .string(text))], &json.allowance)]
  }

  // MARK: - Thinking

  /// Forwards thinking text as it arrives, and keeps it for the signed block.
  private mutating func think(
    _ value: JSONValue?, _ json: inout HostJSON
  ) throws(AttemptFailure) -> [UpstreamItem] {
    if let text = value.flatMap(json.document.string), thought != nil {
      try json.allowance.charge(buffer: text.utf8.count)
      thought?.text += text
      guard thought?.text.utf8.count ?? 0 <= Limits.continuableBytes.value else {
        throw AttemptFailure(overdrawn: Limits.continuableBytes)
      }
    }
    return try emit("reasoning_content", value, &json)
  }

  /// The complete thinking block with its signature. The host requires the block in the client's
  /// next request.
  private mutating func sign(_ json: inout HostJSON) throws(AttemptFailure) -> [UpstreamItem] {
    defer { release(&json) }
    guard let thought, !thought.signature.isEmpty else { return [] }
    return [
      try thinkingBlock(
        [
          "type": "thinking", "thinking": .string(thought.text),
          "signature": .string(thought.signature),
        ], &json)
    ]
  }

  private mutating func release(_ json: inout HostJSON) {
    guard let thought else { return }
    json.allowance.release(thought.text.utf8.count + thought.signature.utf8.count)
    self.thought = nil
  }

  private mutating func thinkingBlock(
    _ block: JSON, _ json: inout HostJSON
  ) throws(AttemptFailure) -> UpstreamItem {
    try writer.delta([("thinking_blocks", [block])], &json.allowance)
  }

  private mutating func call(
    _ block: Int, id: String? = nil, name: String? = nil, arguments: String,
    _ json: inout HostJSON
  ) throws(AttemptFailure) -> UpstreamItem {
    var function: [(String, JSON)] = []
    if let name { function.append(("name", .string(name))) }
    function.append(("arguments", .string(arguments)))
    var call: [(String, JSON)] = [("index", .integer(calls[block]?.index ?? 0))]
    if let id { call += [("id", .string(id)), ("type", "function")] }
    call.append(("function", .object(function)))
    return try writer.delta([("tool_calls", [.object(call)])], &json.allowance)
  }

  private mutating func readUsage(
    _ usage: JSONValue?, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard let usage, usage.kind == .object else { return }
    let tokens = try json.values(
      [
        "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens",
      ], in: usage
    ).map { $0.flatMap(json.document.tokens) }
    hasUsage = true
    if let fresh = tokens[0] {
      cached = tokens[1] ?? 0
      // `input_tokens` excludes tokens that were read from the cache or written to it.
      writtenToCache = tokens[2] ?? 0
      input = fresh.addingCapped(cached).addingCapped(writtenToCache)
    }
    output = tokens[3] ?? output
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
