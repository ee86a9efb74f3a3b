/// An answer in Anthropic's messages API: numbered content blocks and named events.
struct FaultyHostAnthropic: FaultyHostVoice {
  private enum Block: Hashable { case thinking, text, call(Int) }

  private let lines: FaultyHostLines
  private var block: Block?
  private var blocks = 0

  init(_ lines: FaultyHostLines) { self.lines = lines }

  let streamType = "text/event-stream; charset=utf-8"
  var garbage: [UInt8] { Array("event: content_block_delta\ndata: <html>garbage\n\n".utf8) }

  func opening() -> [UInt8] {
    event(
      "message_start",
      #""message":{"id":"\#(id)","type":"message","role":"assistant","content":[],"#
        + #""model":\#(quoted(lines.model)),"stop_reason":null,"stop_sequence":null,"#
        + #""usage":{\#(inputTokens),"output_tokens":1}}"#)
      + event("ping", nil)
  }

  mutating func event(_ piece: FaultyHostPiece) -> [UInt8] {
    switch piece {
    case .text(let text):
      return turn(to: .text, #"{"type":"text","text":""}"#)
        + delta(#"{"type":"text_delta","text":\#(quoted(text))}"#)
    case .reasoning(let text):
      return turn(to: .thinking, #"{"type":"thinking","thinking":"","signature":""}"#)
        + delta(#"{"type":"thinking_delta","thinking":\#(quoted(text))}"#)
    case .call(let index, let id, let name):
      return turn(
        to: .call(index),
        #"{"type":"tool_use","id":\#(quoted(id)),"name":\#(quoted(name)),"input":{}}"#)
        + delta(#"{"type":"input_json_delta","partial_json":""}"#)
    case .arguments(_, let text):
      return delta(#"{"type":"input_json_delta","partial_json":\#(quoted(text))}"#)
    }
  }

  mutating func closing() -> [UInt8] {
    stopBlock()
      + event(
        "message_delta",
        #""delta":{"stop_reason":"\#(stopReason)","stop_sequence":null},"#
          + #""usage":{"output_tokens":\#(lines.tokenCount)}"#)
      + event("message_stop", nil)
  }

  private mutating func turn(to next: Block, _ start: String) -> [UInt8] {
    guard block != next else { return [] }
    let stop = stopBlock()
    block = next
    blocks += 1
    return stop
      + event("content_block_start", #""index":\#(blocks - 1),"content_block":\#(start)"#)
  }

  private mutating func stopBlock() -> [UInt8] {
    guard let ending = block else { return [] }
    block = nil
    let signature =
      ending == .thinking ? delta(#"{"type":"signature_delta","signature":"c2lnbmVk"}"#) : []
    return signature + event("content_block_stop", #""index":\#(blocks - 1)"#)
  }

  private func delta(_ json: String) -> [UInt8] {
    event("content_block_delta", #""index":\#(blocks - 1),"delta":\#(json)"#)
  }

  private func event(_ type: String, _ rest: String?) -> [UInt8] {
    let tail = rest.map { ",\($0)" } ?? ""
    return Array("event: \(type)\ndata: {\"type\":\"\(type)\"\(tail)}\n\n".utf8)
  }

  var body: [UInt8] {
    var content: [String] = []
    if !lines.reasoning.isEmpty {
      content.append(
        #"{"type":"thinking","thinking":\#(quoted(lines.reasoning)),"signature":"c2lnbmVk"}"#)
    }
    if !lines.text.isEmpty { content.append(#"{"type":"text","text":\#(quoted(lines.text))}"#) }
    content += lines.calls.map {
      #"{"type":"tool_use","id":\#(quoted($0.id)),"name":\#(quoted($0.name)),"#
        + #""input":\#($0.arguments.isEmpty ? "{}" : $0.arguments)}"#
    }
    return Array(
      (#"{"id":"\#(id)","type":"message","role":"assistant","model":\#(quoted(lines.model)),"#
        + #""content":[\#(content.joined(separator: ","))],"stop_reason":"\#(stopReason)","#
        + #""stop_sequence":null,"usage":{\#(inputTokens),"#
        + #""output_tokens":\#(lines.tokenCount)}}"#).utf8)
  }

  func errorEvent(_ message: String) -> [UInt8] {
    Array("event: error\ndata: ".utf8) + Self.error(message, status: 529) + [0x0A, 0x0A]
  }

  static func error(_ message: String, status: Int) -> [UInt8] {
    let type =
      switch status {
      case 401: "authentication_error"
      case 403: "permission_error"
      case 404: "not_found_error"
      case 413: "request_too_large"
      case 429: "rate_limit_error"
      case 529, 503: "overloaded_error"
      case 500...: "api_error"
      default: "invalid_request_error"
      }
    return Array(
      #"{"type":"error","error":{"type":"\#(type)","message":\#(quoted(message))}}"#.utf8)
  }

  static func models(_ models: [String]) -> [UInt8] {
    let list = models.map {
      #"{"type":"model","id":\#(quoted($0)),"display_name":\#(quoted($0)),"#
        + #""created_at":"2025-01-01T00:00:00Z"}"#
    }
    func id(_ model: String?) -> String { model.map { quoted($0) } ?? "null" }
    return Array(
      (#"{"data":[\#(list.joined(separator: ","))],"has_more":false,"#
        + #""first_id":\#(id(models.first)),"last_id":\#(id(models.last))}"#).utf8)
  }

  private var id: String { "msg_\(lines.number)" }

  /// Members of `usage` about the prompt. `input_tokens` excludes cached tokens.
  private var inputTokens: String {
    let prompt = FaultyHostLines.promptTokens
    guard let cached = lines.cachedTokens else { return #""input_tokens":\#(prompt)"# }
    return #""input_tokens":\#(max(0, prompt - cached)),"cache_read_input_tokens":\#(cached)"#
  }

  private var stopReason: String {
    lines.isCut ? "max_tokens" : lines.calls.isEmpty ? "end_turn" : "tool_use"
  }
}
