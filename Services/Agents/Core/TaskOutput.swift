public import ClusterModel
import Text

/// What a task has written so far, normalised as it comes: without the control tokens of its model
/// and without its reasoning, unless the client asked for that.
public struct TaskOutput: Sendable {
  private var normaliser: Normaliser
  /// All of it, the prefix that another agent wrote included.
  public private(set) var text = ""
  /// Of the prefix, what the normaliser held back: it will come again, and is there already.
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
    let said = normaliser.append(bytes)
    if bytes.starts(with: said) { repeated = Array(bytes[said.count...]) }
    text = order.prefix
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

  /// What was held back, when the answer has ended.
  public mutating func finish() -> TaskDelta? {
    let rest = unrepeated(String(decoding: normaliser.finish(), as: UTF8.self))
    text += rest
    return rest.isEmpty ? nil : TaskDelta(text: rest)
  }

  /// Adds what the agent itself has to say, on lines of its own.
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
