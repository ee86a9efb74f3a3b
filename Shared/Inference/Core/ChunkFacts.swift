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
  public var finishReason: String?
  public var usage: Usage?

  public init(
    text: String = "", deltaJSON: [UInt8]? = nil, hasOther: Bool = false,
    finishReason: String? = nil, usage: Usage? = nil
  ) {
    self.text = text
    self.deltaJSON = deltaJSON
    self.hasOther = hasOther
    self.finishReason = finishReason
    self.usage = usage
  }

  /// Whether an answer has begun with it: it says something, or ends properly without a word.
  public var isValidToken: Bool {
    hasOther || finishReason != nil || text.contains { !$0.isWhitespace }
  }

  /// Reads a chunk or a body of `/v1/chat/completions` or `/v1/completions`.
  ///
  /// - Throws: `AttemptFailure`: `garbage`, or `errorEvent` with the host's words.
  public init(parsing bytes: [UInt8]) throws(AttemptFailure) {
    self.init()
    let document: JSONDocument
    do {
      document = try JSONDocument(validating: bytes)
    } catch {
      throw AttemptFailure(.garbage, "it sent what is not JSON: \(error)")
    }
    guard document.root.kind == .object else {
      throw AttemptFailure(.garbage, "it sent JSON that is not an object")
    }
    var hostError: JSONValue?
    document.forEachMember(of: document.root) { member in
      switch member.name {
      case "choices":
        var isFirst = true
        document.forEachElement(of: member.value) {
          read(choice: $0, isFirst: isFirst, in: document)
          isFirst = false
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
  }

  private mutating func read(choice: JSONValue, isFirst: Bool, in document: JSONDocument) {
    document.forEachMember(of: choice) { member in
      switch member.name {
      case "delta", "message": read(delta: member.value, isFirst: isFirst, in: document)
      case "text":
        if let gained = document.string(member.value) {
          if isFirst { text += gained } else if !gained.isEmpty { hasOther = true }
        }
      case "finish_reason": finishReason = document.string(member.value) ?? finishReason
      default: break
      }
      return true
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
    guard value.kind == .object else { return nil }
    func tokens(_ name: String) -> Int? {
      document.value(name, in: value).flatMap(document.integer).flatMap { $0 >= 0 ? $0 : nil }
    }
    guard let prompt = tokens("prompt_tokens") else { return nil }
    self.init(promptTokens: prompt, completionTokens: tokens("completion_tokens") ?? 0)
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
