/// An answer in the OpenAI dialect.
struct FaultyHostOpenAI: FaultyHostVoice {
  private let lines: FaultyHostLines
  private let isChat: Bool

  init(_ lines: FaultyHostLines) { self.init(lines, isChat: true) }

  init(_ lines: FaultyHostLines, isChat: Bool) {
    self.lines = lines
    self.isChat = isChat
  }

  let streamType = "text/event-stream"
  var garbage: [UInt8] { Array("data: <html>garbage\n\n".utf8) }

  func opening() -> [UInt8] {
    isChat ? chunk(delta: #"{"role":"assistant","content":""}"#, finish: nil) : []
  }

  func event(_ piece: FaultyHostPiece) -> [UInt8] {
    guard isChat else { return completionChunk(piece.counted, finish: nil) }
    switch piece {
    case .text(let text): return chunk(delta: #"{"content":\#(quoted(text))}"#, finish: nil)
    case .reasoning(let text):
      return chunk(delta: #"{"reasoning_content":\#(quoted(text))}"#, finish: nil)
    case .call(let index, let id, let name):
      return chunk(
        delta: #"{"tool_calls":[{"index":\#(index),"id":\#(quoted(id)),"type":"function","#
          + #""function":{"name":\#(quoted(name)),"arguments":""}}]}"#, finish: nil)
    case .arguments(let index, let text):
      return chunk(
        delta: #"{"tool_calls":[{"index":\#(index),"function":{"arguments":\#(quoted(text))}}]}"#,
        finish: nil)
    }
  }

  func closing() -> [UInt8] {
    var bytes =
      isChat
      ? chunk(delta: "{}", finish: finishReason) : completionChunk("", finish: finishReason)
    if lines.includeUsage {
      bytes += event(envelope(object, #""choices":[],"usage":\#(usage)"#))
    }
    return bytes + Array("data: [DONE]\n\n".utf8)
  }

  var body: [UInt8] {
    let choice =
      isChat
      ? #"{"index":0,"message":\#(message),"# : #"{"index":0,"text":\#(quoted(lines.text)),"#
    let name = isChat ? "chat.completion" : "text_completion"
    return Array(
      envelope(
        name, #""choices":[\#(choice)"finish_reason":"\#(finishReason)"}],"usage":\#(usage)"#
      ).utf8)
  }

  private var message: String {
    var result = #"{"role":"assistant","content":"#
    let calls = lines.calls
    result += calls.isEmpty || !lines.text.isEmpty ? quoted(lines.text) : "null"
    if !lines.reasoning.isEmpty { result += #","reasoning_content":\#(quoted(lines.reasoning))"# }
    if !calls.isEmpty {
      let all = calls.map {
        #"{"id":\#(quoted($0.id)),"type":"function","function":{"name":\#(quoted($0.name)),"#
          + #""arguments":\#(quoted($0.arguments))}}"#
      }
      result += #","tool_calls":[\#(all.joined(separator: ","))]"#
    }
    return result + "}"
  }

  func errorEvent(_ message: String) -> [UInt8] {
    Array("data: ".utf8) + Self.error(message, status: 500) + [0x0A, 0x0A]
  }

  static func error(_ message: String, status: Int) -> [UInt8] {
    let type = status < 500 ? "invalid_request_error" : "server_error"
    return Array(
      #"{"error":{"message":\#(quoted(message)),"type":"\#(type)","param":null,"code":null}}"#.utf8)
  }

  // MARK: - Other answers

  static func embeddings(model: String, _ vectors: [String]) -> [UInt8] {
    let data = vectors.enumerated().map {
      #"{"object":"embedding","index":\#($0),"embedding":\#($1)}"#
    }
    return Array(
      (#"{"object":"list","data":[\#(data.joined(separator: ","))],"#
        + #""model":\#(quoted(model)),"usage":{"prompt_tokens":7,"total_tokens":7}}"#).utf8)
  }

  static func models(_ models: [String], contextTokens: Int?) -> [UInt8] {
    let context = contextTokens.map { #","max_model_len":\#($0)"# } ?? ""
    let list = models.map {
      #"{"id":\#(quoted($0)),"object":"model","created":1,"owned_by":"faulty"\#(context)}"#
    }
    return Array(#"{"object":"list","data":[\#(list.joined(separator: ","))]}"#.utf8)
  }

  // MARK: - Parts

  private var finishReason: String {
    lines.isCut ? "length" : lines.calls.isEmpty ? "stop" : "tool_calls"
  }

  private var object: String { isChat ? "chat.completion.chunk" : "text_completion" }

  private var usage: String {
    let prompt = FaultyHostLines.promptTokens
    let details = lines.cachedTokens.map {
      #","prompt_tokens_details":{"cached_tokens":\#($0)}"#
    }
    return #"{"prompt_tokens":\#(prompt),"completion_tokens":\#(lines.tokenCount),"#
      + #""total_tokens":\#(prompt + lines.tokenCount)\#(details ?? "")}"#
  }

  private func chunk(delta: String, finish: String?) -> [UInt8] {
    event(
      envelope(
        object,
        #""choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(finishJSON(finish))}]"#))
  }

  private func completionChunk(_ text: String, finish: String?) -> [UInt8] {
    event(
      envelope(
        object,
        #""choices":[{"index":0,"text":\#(quoted(text)),"finish_reason":\#(finishJSON(finish))}]"#))
  }

  private func finishJSON(_ finish: String?) -> String { finish.map { "\"\($0)\"" } ?? "null" }

  private func envelope(_ object: String, _ rest: String) -> String {
    let id = "\(isChat ? "chatcmpl" : "cmpl")-\(lines.number)"
    return #"{"id":"\#(id)","object":"\#(object)","created":\#(FaultyHostLines.created),"#
      + #""model":\#(quoted(lines.model)),\#(rest)}"#
  }

  private func event(_ json: String) -> [UInt8] { Array("data: \(json)\n\n".utf8) }
}
