public import ClusterModel
import Text

/// What a chunk of a stream, or a whole body, says, as far as the cluster needs to know.
public struct ChunkFacts: Hashable, Sendable {
  /// Text that the first choice gains.
  public var text: String
  /// The first choice's whole `delta`, byte for byte, when it holds more than text.
  public var deltaJSON: [UInt8]?
  /// Some choice gains more than text: tool calls, reasoning, a refusal.
  public var hasOther: Bool
  /// Of the first choice.
  public var finishReason: String?
  /// How many choices end with it.
  public var finishedChoices: Int
  public var usage: Usage?
  /// It has usage and no choice: the last chunk before the end, when it was asked for.
  public var isOnlyUsage: Bool
  /// It is only usage, and the client did not ask for it: it counts, and is not passed on.
  public var isUnasked = false

  public init(
    text: String = "", deltaJSON: [UInt8]? = nil, hasOther: Bool = false,
    finishReason: String? = nil, usage: Usage? = nil, isOnlyUsage: Bool = false
  ) {
    self.text = text
    self.deltaJSON = deltaJSON
    self.hasOther = hasOther
    self.finishReason = finishReason
    finishedChoices = finishReason == nil ? 0 : 1
    self.usage = usage
    self.isOnlyUsage = isOnlyUsage
  }

  /// Whether an answer has begun with it: it says something, or ends properly without a word.
  public var isValidToken: Bool {
    hasOther || finishedChoices > 0 || text.contains { !$0.isWhitespace }
  }

  /// Reads a chunk or a body of `/v1/chat/completions` or `/v1/completions`.
  ///
  /// - Throws: `AttemptFailure`: `garbage`, or `errorEvent` with the host's words.
  public init(parsing bytes: [UInt8]) throws(AttemptFailure) {
    self.init()
    let document = try Self.document(bytes)
    var hostError: JSONValue?
    var choices: Int?
    document.forEachMember(of: document.root) { member in
      switch member.name {
      case "choices":
        choices = choices ?? 0
        document.forEachElement(of: member.value) {
          read(choice: $0, position: choices ?? 0, in: document)
          choices = (choices ?? 0) + 1
          return true
        }
      case "usage": usage = Usage(member.value, in: document)
      case "error" where member.value.kind != .null: hostError = member.value
      default: break
      }
      return true
    }
    if let hostError {
      throw AttemptFailure(.errorEvent, UpstreamWords.message(of: hostError, in: document))
    }
    isOnlyUsage = choices == 0 && usage != nil
  }

  /// What a host sent as JSON; its root is an object.
  static func document(_ bytes: [UInt8]) throws(AttemptFailure) -> JSONDocument {
    let document: JSONDocument
    do {
      document = try JSONDocument(validating: bytes)
    } catch {
      throw AttemptFailure(.garbage, "it sent what is not JSON: \(error)")
    }
    guard document.root.kind == .object else {
      throw AttemptFailure(.garbage, "it sent JSON that is not an object")
    }
    return document
  }

  private mutating func read(choice: JSONValue, position: Int, in document: JSONDocument) {
    var index = position
    var delta: JSONValue?
    var gained: String?
    var reason: String?
    document.forEachMember(of: choice) { member in
      switch member.name {
      case "index": index = document.integer(member.value) ?? index
      case "delta", "message": delta = member.value
      case "text": gained = document.string(member.value)
      case "finish_reason": reason = document.string(member.value)
      default: break
      }
      return true
    }
    // Several choices come interleaved, each in chunks of its own.
    let isFirst = index == 0
    if let delta { read(delta: delta, isFirst: isFirst, in: document) }
    if let gained {
      if isFirst { text += gained } else if !gained.isEmpty { hasOther = true }
    }
    if let reason {
      finishedChoices += 1
      if isFirst { finishReason = reason }
    }
  }

  private mutating func read(delta: JSONValue, isFirst: Bool, in document: JSONDocument) {
    var hasMore = false
    document.forEachMember(of: delta) { member in
      switch (member.name, member.value.kind) {
      case ("content", .string):
        let gained = document.string(member.value) ?? ""
        if isFirst { text += gained } else if !gained.isEmpty { hasMore = true }
      case ("role", _), (_, .null): break
      case (_, .string): hasMore = hasMore || member.value.range.count > 2
      case (_, .array), (_, .object): hasMore = hasMore || member.value.range.count > 2
      default: break
      }
      return true
    }
    guard hasMore else { return }
    hasOther = true
    if isFirst { deltaJSON = Array(document.slice(delta)) }
  }
}

extension Usage {
  /// The `usage` object of a host; nil if it is none.
  init?(_ value: JSONValue, in document: JSONDocument) {
    guard value.kind == .object, let prompt = document.tokens("prompt_tokens", in: value) else {
      return nil
    }
    self.init(
      promptTokens: prompt,
      completionTokens: document.tokens("completion_tokens", in: value) ?? 0)
  }
}

extension JSONDocument {
  /// A host's count of tokens; nil: it says none.
  func tokens(_ name: String, in object: JSONValue) -> Int? {
    value(name, in: object).flatMap(integer).flatMap { $0 >= 0 ? Usage.bounded($0) : nil }
  }
}

/// What a host says when something went wrong.
public enum UpstreamWords {
  /// A sentence is enough; a page of HTML is not a cause.
  static let longest = 500

  /// The message in an error body, whatever its shape.
  public static func message(ofBody bytes: [UInt8]) -> String {
    guard let document = try? JSONDocument(validating: bytes) else {
      return clipped(String(decoding: bytes.prefix(longest), as: UTF8.self))
    }
    for name in ["error", "detail", "message"] {
      if let value = document.value(name, in: document.root) {
        return message(of: value, in: document)
      }
    }
    return clipped(String(decoding: bytes.prefix(longest), as: UTF8.self))
  }

  /// The kind of error that a body names, for example `overloaded_error`.
  static func type(ofBody bytes: [UInt8]) -> String? {
    guard let document = try? JSONDocument(validating: bytes),
      let error = document.value("error", in: document.root),
      let type = document.value("type", in: error), let text = document.string(type),
      (1...64).contains(text.utf8.count), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else { return nil }
    return text
  }

  /// What the servers there are say of a prompt that is longer than their context: OpenAI
  /// (`context_length_exceeded`), vLLM ("maximum context length is"), llama.cpp
  /// (`exceed_context_size_error`), LM Studio ("context length of only"), Anthropic ("prompt is too
  /// long"), Gemini ("input token count").
  private static let contextWords = [
    "context length", "context_length", "context size", "context_size", "context window",
    "prompt is too long", "input token count",
  ]

  /// Whether an error body says that the request does not fit the host's context.
  static func speaksOfContext(_ body: [UInt8]) -> Bool {
    let text = String(decoding: body.prefix(4 * longest), as: UTF8.self).lowercased()
    return contextWords.contains { text.contains($0) }
  }

  static func message(of value: JSONValue, in document: JSONDocument) -> String {
    if let text = document.string(value) { return clipped(text) }
    if let inner = document.value("message", in: value), let text = document.string(inner) {
      return clipped(text)
    }
    return clipped(String(decoding: document.slice(value).prefix(longest), as: UTF8.self))
  }

  private static func clipped(_ text: String) -> String {
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
    return line.count <= longest ? line : line.prefix(longest) + "…"
  }
}
