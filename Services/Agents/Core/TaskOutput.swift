public import ClusterModel
import Text

/// What a task has written so far, normalised as it comes: without the control tokens of its model
/// and without its reasoning, unless the client asked for that.
public struct TaskOutput: Sendable {
  private var normaliser: Normaliser
  /// All of it.
  public private(set) var text = ""

  public init(for order: TaskOrder) {
    normaliser = Normaliser(keepsReasoning: order.isSink && Self.wantsReasoning(order.conversation))
  }

  /// `include_reasoning`, as OpenRouter and vLLM name it.
  private static func wantsReasoning(_ conversation: Conversation) -> Bool {
    guard let asked = conversation.parameters.first(where: { $0.name == "include_reasoning" }),
      let document = try? JSONDocument(validating: asked.json)
    else { return false }
    return document.boolean(document.root) == true
  }

  /// - Parameters:
  ///   - text: what the answer gains.
  ///   - deltaJSON: the whole `delta` when it holds more than text.
  /// - Returns: what to pass on; nil when all of it is held back or left out.
  public mutating func take(_ text: String, deltaJSON: [UInt8]? = nil) -> TaskDelta? {
    let clean = normaliser.append(text)
    self.text += clean
    guard let deltaJSON else { return clean.isEmpty ? nil : TaskDelta(text: clean) }
    guard clean != text, let scanner = try? JSONObjectScanner(deltaJSON) else {
      return TaskDelta(text: clean, deltaJSON: deltaJSON)
    }
    return TaskDelta(
      text: clean,
      deltaJSON: scanner.edited(replacing: [(name: "content", json: JSON.quoted(clean))]))
  }

  /// What was held back, when the answer has ended.
  public mutating func finish() -> TaskDelta? {
    let rest = String(decoding: normaliser.finish(), as: UTF8.self)
    text += rest
    return rest.isEmpty ? nil : TaskDelta(text: rest)
  }
}
