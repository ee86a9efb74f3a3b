public import ClusterModel
import Text

/// A task's output so far, normalised as it arrives: without the model's control tokens, and
/// without its reasoning unless the client asked for it.
public struct TaskOutput: Sendable {
  private var normaliser: Normaliser
  /// The whole output, including the prefix that another agent wrote.
  public private(set) var text = ""
  /// The end of the prefix, which the normaliser holds back. `text` already has it, so it is
  /// removed when the normaliser emits it.
  private var repeated: [UInt8] = []

  public init(for order: TaskOrder) {
    let fence = Fence(seed: order.task.seed)
    let isFenced =
      !order.inputs.isEmpty || !order.documents.isEmpty || fence.isUsed(in: order.task.instruction)
    normaliser = Normaliser(
      keepsReasoning: order.writesAnswer && Self.wantsReasoning(order.conversation),
      removing: isFenced ? fence : nil)
    guard order.writesAnswer, !order.prefix.isEmpty else { return }
    let bytes = Array(order.prefix.utf8)
    let normalised = normaliser.append(bytes)
    if bytes.starts(with: normalised) { repeated = Array(bytes[normalised.count...]) }
    text = order.prefix
  }

  /// Whether the client set `include_reasoning`, a parameter of OpenRouter and vLLM.
  private static func wantsReasoning(_ conversation: Conversation) -> Bool {
    guard let parameter = conversation.parameters.first(where: { $0.name == "include_reasoning" }),
      let document = try? JSONDocument(validating: parameter.json)
    else { return false }
    return document.boolean(document.root) == true
  }

  /// - Parameters:
  ///   - text: new text of the answer.
  ///   - deltaJSON: the whole `delta` if it holds more than text.
  /// - Returns: the delta to pass on. `nil` means that all of it is held back or removed.
  public mutating func take(_ text: String, deltaJSON: [UInt8]? = nil) -> TaskDelta? {
    let clean = unrepeated(normaliser.append(text))
    self.text += clean
    guard let deltaJSON else { return clean.isEmpty ? nil : TaskDelta(text: clean) }
    guard clean != text, let scanner = try? JSONObjectScanner(deltaJSON) else {
      return TaskDelta(text: clean, deltaJSON: deltaJSON)
    }
    return TaskDelta(
      text: clean,
      deltaJSON: scanner.edited(replacing: [(name: "content", json: JSON.quoted(clean))]))
  }

  /// Ends the answer, and returns the text that was held back.
  public mutating func finish() -> TaskDelta? {
    let rest = unrepeated(String(decoding: normaliser.finish(), as: UTF8.self))
    text += rest
    return rest.isEmpty ? nil : TaskDelta(text: rest)
  }

  /// Appends text of the agent itself on new lines.
  public mutating func append(_ tail: String) -> TaskDelta {
    let added = text.isEmpty ? tail : "\n\n" + tail
    text += added
    return TaskDelta(text: added)
  }

  private mutating func unrepeated(_ clean: String) -> String {
    guard !repeated.isEmpty, !clean.isEmpty else { return clean }
    let bytes = Array(clean.utf8)
    var common = zip(bytes, repeated).prefix { $0 == $1 }.count
    while common < bytes.count, common > 0, bytes[common] & 0b1100_0000 == 0b1000_0000 {
      common -= 1
    }
    repeated = common == bytes.count ? Array(repeated[common...]) : []
    return String(decoding: bytes[common...], as: UTF8.self)
  }
}
