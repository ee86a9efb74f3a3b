import ClusterModel
import Foundation

/// A request as a faulty host received it.
public struct FaultyHostRequest: Hashable, Sendable {
  public var method: String
  public var path: String
  /// Values by lower-case name. If a name occurs several times, its last value counts.
  public var headers: [String: String]
  public var body: [UInt8]
}

/// How an OpenAI-compatible backend treats a trailing assistant message.
public enum FaultyHostPrefill: String, Codable, CaseIterable, Hashable, Sendable {
  /// llama.cpp: the backend continues the message.
  case trailing
  /// vLLM: the backend continues the message only if `continue_final_message` is true and
  /// `add_generation_prompt` is false.
  case flag
  /// A cloud API: the backend treats the message as an ordinary one and starts a new answer.
  case none
}

/// A request in a form common to all dialects.
public struct FaultyHostQuestion: Sendable {
  public struct Message: Hashable, Sendable {
    public var role: String
    public var text: String
  }

  /// Where the answer begins.
  public enum Start: Hashable, Sendable {
    case anew
    /// Directly after this text, which the request gives as the beginning of the answer.
    case after(String)
  }

  public let request: FaultyHostRequest
  let dialect: HostDialect
  let purpose: FaultyHostPurpose
  public let model: String?
  public let messages: [Message]
  public let stream: Bool
  let maxTokens: Int?
  let includeUsage: Bool
  let hasTools: Bool
  public let start: Start
  /// An error in the request, with its HTTP status; `nil` means a valid request.
  let complaint: (status: Int, message: String)?

  init(
    _ request: FaultyHostRequest, dialect: HostDialect, purpose: FaultyHostPurpose,
    prefill: FaultyHostPrefill
  ) {
    let object = try? JSONSerialization.jsonObject(with: Data(request.body))
    let body = object as? [String: Any] ?? [:]
    func integer(_ name: String, in object: [String: Any]?) -> Int? { object?[name] as? Int }
    self.request = request
    self.dialect = dialect
    self.purpose = purpose
    model = body["model"] as? String
    messages = (body["messages"] as? [[String: Any]] ?? []).map {
      Message(role: $0["role"] as? String ?? "", text: Self.text(of: $0["content"]))
    }
    stream = body["stream"] as? Bool ?? dialect.streamsByDefault
    let options = body["options"] as? [String: Any]
    maxTokens =
      integer("max_completion_tokens", in: body) ?? integer("max_tokens", in: body)
      ?? integer("num_predict", in: options).flatMap { $0 < 0 ? nil : $0 }
    let streamOptions = body["stream_options"] as? [String: Any]
    includeUsage = streamOptions?["include_usage"] as? Bool ?? false
    hasTools = !(body["tools"] as? [Any] ?? []).isEmpty

    let goesOn = body["continue_final_message"] as? Bool ?? false
    let last = messages.last.flatMap { $0.role == "assistant" && !$0.text.isEmpty ? $0.text : nil }
    let continues = dialect.continues(prefill, isFlagged: goesOn)
    start = last.flatMap { continues ? .after($0) : nil } ?? .anew
    complaint = Self.complaint(
      dialect, body, last: last,
      hasBothFlags: prefill == .flag && goesOn
        && body["add_generation_prompt"] as? Bool ?? true)
  }

  /// The string, or the joined text of its parts.
  private static func text(of content: Any?) -> String {
    if let text = content as? String { return text }
    let parts = content as? [[String: Any]] ?? []
    return parts.compactMap { $0["text"] as? String }.joined()
  }

  private static func complaint(
    _ dialect: HostDialect, _ body: [String: Any], last: String?, hasBothFlags: Bool
  ) -> (status: Int, message: String)? {
    switch dialect {
    case .openai:
      return hasBothFlags
        ? (
          400,
          "Cannot set both `continue_final_message` and `add_generation_prompt` to True."
        ) : nil
    case .anthropic:
      if body["max_tokens"] as? Int == nil { return (400, "max_tokens: Field required") }
      guard let messages = body["messages"] as? [[String: Any]], !messages.isEmpty else {
        return (400, "messages: at least one message is required")
      }
      if messages.contains(where: { !["user", "assistant"].contains($0["role"] as? String) }) {
        return (400, "messages: Unexpected role. The Messages API has a top-level `system`.")
      }
      if let last, last.last?.isWhitespace == true {
        return (400, "messages: final assistant content cannot end with trailing whitespace")
      }
      return nil
    case .ollama: return body["model"] is String ? nil : (400, "model is required")
    }
  }
}
