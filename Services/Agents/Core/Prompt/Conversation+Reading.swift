public import ClusterModel
public import Text

extension Conversation {
  /// Whether the client wants a fixed form of answer (JSON or a tool call). If so, no text may be
  /// added to the answer.
  public var isStructured: Bool {
    parameters.contains { parameter in
      switch parameter.name {
      case "tools", "functions": return parameter.json.count > 2
      case "response_format":
        guard let document = try? JSONDocument(validating: parameter.json),
          let type = document.value("type", in: document.root)
        else { return false }
        return document.string(type) != "text"
      default: return false
      }
    }
  }
}

extension TaskOrder {
  /// The tool call that the client requires of the answer. `nil` means none, or that another task
  /// writes the answer. The gateway has refused contracts that no answer can meet.
  public var toolContract: ToolContract? {
    guard writesAnswer else { return nil }
    return try? ToolContract.of { name in
      conversation.parameters.first { $0.name == name }?.json
    }
  }
}

/// The client's last question.
public enum LastQuestion {
  /// - Returns: the text of the last user message. Empty if there is none.
  public static func text(of conversation: Conversation) -> String {
    guard let document = try? JSONDocument(validating: conversation.messagesJSON) else { return "" }
    let messages = document.elements(of: document.root)
    for message in messages.reversed() {
      guard let role = document.value("role", in: message), document.string(role) == "user",
        let content = document.value("content", in: message)
      else { continue }
      if let text = document.string(content) { return text }
      return document.elements(of: content).compactMap { part in
        document.value("text", in: part).flatMap(document.string)
      }.joined(separator: "\n")
    }
    return ""
  }
}
