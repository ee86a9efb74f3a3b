import Foundation

/// An answer in Ollama's API: one JSON object per line, the last with `done` and counts.
struct FaultyHostOllama: FaultyHostVoice {
  private let lines: FaultyHostLines
  /// The tool call in progress; Ollama sends a call only when it is complete.
  private var call: FaultyHostReply.ToolCall?

  init(_ lines: FaultyHostLines) { self.lines = lines }

  let streamType = "application/x-ndjson"
  var garbage: [UInt8] { Array("<html>garbage\n".utf8) }

  func opening() -> [UInt8] { [] }

  mutating func event(_ piece: FaultyHostPiece) -> [UInt8] {
    switch piece {
    case .text(let text): return finishCall() + line(message(text))
    case .reasoning(let text): return line(message("", #","thinking":\#(quoted(text))"#))
    case .call(_, let id, let name):
      let before = finishCall()
      call = .init(id: id, name: name, arguments: "")
      return before
    case .arguments(_, let text):
      call?.arguments += text
      return []
    }
  }

  mutating func closing() -> [UInt8] { finishCall() + line(message(""), end) }

  private mutating func finishCall() -> [UInt8] {
    guard let whole = call else { return [] }
    call = nil
    return line(message("", #","tool_calls":[\#(Self.json(whole))]"#))
  }

  private static func json(_ call: FaultyHostReply.ToolCall) -> String {
    let arguments = call.arguments.isEmpty ? "{}" : call.arguments
    return #"{"function":{"name":\#(quoted(call.name)),"arguments":\#(arguments)}}"#
  }

  private func message(_ text: String, _ more: String = "") -> String {
    #"{"role":"assistant","content":\#(quoted(text))\#(more)}"#
  }

  private func line(_ message: String, _ end: String? = nil) -> [UInt8] {
    Array((object(message, end) + "\n").utf8)
  }

  private func object(_ message: String, _ end: String?) -> String {
    #"{"model":\#(quoted(lines.model)),"created_at":"\#(Self.created)","message":\#(message),"#
      + (end ?? #""done":false"#) + "}"
  }

  /// Members of the last object; durations are in nanoseconds.
  private var end: String {
    #""done_reason":"\#(lines.isCut ? "length" : "stop")","done":true,"total_duration":4000000,"#
      + #""load_duration":1000000,"prompt_eval_count":\#(FaultyHostLines.promptTokens),"#
      + #""prompt_eval_duration":1000000,"eval_count":\#(lines.tokenCount),"eval_duration":2000000"#
  }

  var body: [UInt8] {
    var more = ""
    if !lines.reasoning.isEmpty { more += #","thinking":\#(quoted(lines.reasoning))"# }
    if !lines.calls.isEmpty {
      more += #","tool_calls":[\#(lines.calls.map(Self.json).joined(separator: ","))]"#
    }
    return Array(object(message(lines.text, more), end).utf8)
  }

  func errorEvent(_ message: String) -> [UInt8] { Self.error(message, status: 500) + [0x0A] }

  static func error(_ message: String, status: Int) -> [UInt8] {
    Array(#"{"error":\#(quoted(message))}"#.utf8)
  }

  // MARK: - Other answers

  private static let created = "2023-11-14T22:13:20.000000Z"

  /// Response to a chat without messages: loads the model, or unloads it if `keep_alive` is 0.
  static func loaded(model: String, body: [UInt8]) -> [UInt8] {
    let object = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
    let keepAlive = object?["keep_alive"]
    let isUnload = keepAlive as? Int == 0 || ["0", "0s", "0m"].contains(keepAlive as? String)
    return Array(
      (#"{"model":\#(quoted(model)),"created_at":"\#(created)","#
        + #""message":{"role":"assistant","content":""},"#
        + #""done_reason":"\#(isUnload ? "unload" : "load")","done":true}"#).utf8)
  }

  static let version = Array(#"{"version":"0.12.6"}"#.utf8)

  static func tags(_ models: [String]) -> [UInt8] {
    let list = models.map {
      #"{"name":\#(quoted($0)),"model":\#(quoted($0)),"modified_at":"\#(created)","#
        + #""size":1000000,"digest":"\#(String(repeating: "0", count: 64))","#
        + #""details":{"parent_model":"","format":"gguf","family":"llama","families":["llama"],"#
        + #""parameter_size":"1B","quantization_level":"Q4_K_M"}}"#
    }
    return Array(#"{"models":[\#(list.joined(separator: ","))]}"#.utf8)
  }

  static func embeddings(model: String, _ vectors: [String]) -> [UInt8] {
    let list = vectors.joined(separator: ",")
    return Array(
      (#"{"model":\#(quoted(model)),"embeddings":[\#(list)],"total_duration":2000000,"#
        + #""load_duration":1000000,"prompt_eval_count":\#(FaultyHostLines.promptTokens)}"#).utf8)
  }
}
