import Foundation

/// How an answer is cut into tokens.
public enum FaultyHostTokens: Hashable, Sendable {
  /// Words, each with the white space before it.
  case words
  /// Pieces of that many characters.
  case characters(Int)

  func split(_ text: String) -> [String] {
    switch self {
    case .words:
      var tokens: [String] = []
      var token = ""
      var hasWord = false
      for character in text {
        if character.isWhitespace, hasWord {
          tokens.append(token)
          token = ""
          hasWord = false
        }
        hasWord = hasWord || !character.isWhitespace
        token.append(character)
      }
      return token.isEmpty ? tokens : tokens + [token]
    case .characters(let count):
      var rest = text[...]
      var tokens: [String] = []
      while !rest.isEmpty {
        tokens.append(String(rest.prefix(max(count, 1))))
        rest = rest.dropFirst(max(count, 1))
      }
      return tokens
    }
  }
}

/// The members of a request that change how it is answered.
struct AskedOptions: Decodable {
  struct StreamOptions: Decodable {
    var includeUsage: Bool?

    enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
  }
  var model: String?
  var stream: Bool?
  var maxTokens: Int?
  var maxCompletionTokens: Int?
  var streamOptions: StreamOptions?

  enum CodingKeys: String, CodingKey {
    case model, stream
    case maxTokens = "max_tokens"
    case maxCompletionTokens = "max_completion_tokens"
    case streamOptions = "stream_options"
  }
}

/// The bytes of one answer in the OpenAI dialect.
struct FaultyHostAnswer {
  let isChat: Bool
  let model: String
  let number: Int
  let tokens: [String]
  let finishReason: String
  let includeUsage: Bool

  /// The same in every answer: a test compares bytes.
  static let created = 1_700_000_000
  static let promptTokens = 7

  var text: String { tokens.joined() }
  var done: [UInt8] { Array("data: [DONE]\n\n".utf8) }
  var opening: [UInt8] {
    isChat ? chunk(delta: #"{"role":"assistant","content":""}"#, finish: nil) : []
  }

  func token(_ index: Int, halfCharacter: Bool) -> [UInt8] {
    var bytes = contentChunk(tokens[index])
    if halfCharacter, let end = bytes.lastIndex(of: UInt8(ascii: "}")),
      let quote = bytes[..<end].firstRange(of: Array(#""},"#.utf8))?.lowerBound
        ?? bytes[..<end].firstRange(of: Array(#"","#.utf8))?.lowerBound
    {
      bytes.insert(contentsOf: [0xF0, 0x9F], at: quote)
    }
    return bytes
  }

  var closing: [UInt8] {
    var bytes =
      isChat
      ? chunk(delta: "{}", finish: finishReason) : completionChunk("", finish: finishReason)
    if includeUsage {
      bytes += event(envelope(object, #""choices":[],"usage":\#(usage)"#))
    }
    return bytes
  }

  var body: [UInt8] {
    let choice =
      isChat
      ? #"{"index":0,"message":{"role":"assistant","content":\#(quoted(text))},"#
      : #"{"index":0,"text":\#(quoted(text)),"#
    let name = isChat ? "chat.completion" : "text_completion"
    return Array(
      envelope(
        name, #""choices":[\#(choice)"finish_reason":"\#(finishReason)"}],"usage":\#(usage)"#
      ).utf8)
  }

  var embeddings: [UInt8] {
    Array(
      (#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.25,-0.5,1]}],"#
        + #""model":\#(quoted(model)),"usage":{"prompt_tokens":7,"total_tokens":7}}"#).utf8)
  }

  static func error(_ message: String, status: Int) -> [UInt8] {
    let type = status < 500 ? "invalid_request_error" : "server_error"
    return Array(
      #"{"error":{"message":\#(quoted(message)),"type":"\#(type)","param":null,"code":null}}"#.utf8)
  }

  private var object: String { isChat ? "chat.completion.chunk" : "text_completion" }

  private var usage: String {
    #"{"prompt_tokens":\#(Self.promptTokens),"completion_tokens":\#(tokens.count),"#
      + #""total_tokens":\#(Self.promptTokens + tokens.count)}"#
  }

  private func contentChunk(_ text: String) -> [UInt8] {
    isChat
      ? chunk(delta: #"{"content":\#(quoted(text))}"#, finish: nil)
      : completionChunk(text, finish: nil)
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
    let prefix = isChat ? "chatcmpl" : "cmpl"
    return #"{"id":"\#(prefix)-\#(number)","object":"\#(object)","created":\#(Self.created),"#
      + #""model":\#(quoted(model)),\#(rest)}"#
  }

  private func event(_ json: String) -> [UInt8] { Array("data: \(json)\n\n".utf8) }

  private func quoted(_ text: String) -> String { Self.quoted(text) }

  static func quoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy {
      $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
    }
    if isPlain { return "\"\(text)\"" }
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        result += String(format: "\\u%04x", scalar.value)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
