public import ClusterModel
import Text

/// An answer that must contain a tool call. Its deltas are held until the answer has ended, so that
/// the client never receives one that lacks the call.
public struct HeldAnswer: Equatable, Sendable {
  /// The deltas to send. Text that comes in several deltas is one delta.
  public private(set) var deltas: [TaskDelta] = []
  public private(set) var text = ""
  public var finishReason = ""
  private(set) var calls = ToolCalls()

  public init() {}

  /// Bytes are limited by the caller.
  public mutating func take(_ delta: TaskDelta) {
    text += delta.text
    guard let json = delta.deltaJSON else {
      if let last = deltas.last, last.deltaJSON == nil {
        deltas[deltas.count - 1].text += delta.text
      } else {
        deltas.append(delta)
      }
      return
    }
    calls.take(json)
    deltas.append(delta)
  }

  /// Replaces the answer by calls that were read from its text.
  mutating func replace(with calls: [ToolCall], id: String, isOlder: Bool) {
    deltas = []
    text = ""
    finishReason = isOlder ? "function_call" : "tool_calls"
    func function(_ call: ToolCall) -> JSON {
      ["name": .string(call.name), "arguments": .string(call.arguments)]
    }
    let delta: JSON
    if isOlder, let first = calls.first {
      delta = ["function_call": function(first)]
    } else {
      delta = [
        "tool_calls": .array(
          calls.enumerated().map { index, call in
            [
              "index": .integer(index), "id": .string("\(id)_\(index)"), "type": "function",
              "function": function(call),
            ]
          })
      ]
    }
    take(TaskDelta(text: "", deltaJSON: delta.encoded))
  }
}
