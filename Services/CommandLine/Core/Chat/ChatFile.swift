public import ClusterModel

/// The file of a conversation.
public enum ChatFile {
  /// The contents of the file with this name: JSON if the name ends in `.json`, otherwise Markdown.
  public static func contents(of history: ChatHistory, name: String) -> [UInt8] {
    name.lowercased().hasSuffix(".json") ? json(history) : Array(markdown(history).utf8)
  }

  /// An object with the member `messages`, as in a request.
  private static func json(_ history: ChatHistory) -> [UInt8] {
    let messages = history.messages.map { message in
      RecordValue.object(["role": .text(message.role), "content": .text(message.content)])
    }
    return RecordValue.object(["messages": .list(messages)]).encoded + [0x0A]
  }

  private static func markdown(_ history: ChatHistory) -> String {
    var parts = history.system.isEmpty ? [] : ["## Instructions\n\n\(history.system)"]
    for turn in history.turns {
      parts.append("## Question\n\n\(turn.question)")
      parts.append("## Answer\(turn.isCut ? " (cut)" : "")\n\n\(turn.answer)")
    }
    return parts.joined(separator: "\n\n") + "\n"
  }

  /// Reads a conversation from JSON: an object with the member `messages`, or the list alone.
  ///
  /// - Parameter name: name of the file, for messages.
  public static func history(
    json bytes: [UInt8], name: String
  ) throws(ProcessFailure) -> ChatHistory {
    func mistake(_ text: String) -> ProcessFailure { ProcessFailure(.usage, "\(name): \(text)") }
    guard let value = RecordValue(json: bytes) else { throw mistake("is not JSON") }
    guard case .list(let elements) = value["messages"] ?? value else {
      throw mistake("has no list of messages, as /save FILE.json writes it")
    }
    var history = ChatHistory()
    var question: String?
    for (index, element) in elements.enumerated() {
      guard let role = element["role"]?.text, let content = element["content"]?.text else {
        throw mistake("message \(index + 1) has no text, or no role")
      }
      switch role {
      case "system" where index == 0, "developer" where index == 0: history.system = content
      case "user" where question == nil: question = content
      case "assistant":
        guard let asked = question else {
          throw mistake("message \(index + 1) is an answer without a question")
        }
        history.append(.init(question: asked, answer: content))
        question = nil
      default:
        throw mistake(
          "message \(index + 1) has the role \(role.cut(toBytes: 40)), which cannot come there")
      }
    }
    guard question == nil else { throw mistake("the last question has no answer") }
    return history
  }
}
