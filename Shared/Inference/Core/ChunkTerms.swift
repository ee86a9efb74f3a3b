import Limits
import Text

/// Facts of the request and of earlier chunks that the reading of a chunk depends on.
struct ChunkTerms: Sendable {
  /// How many the request asks for.
  let choices: Int
  /// A choice of `/v1/completions`, whose text is its `text`.
  private let isPlain: Bool
  /// A choice had a `delta`. A `message` after it repeats what the deltas said.
  private var hasDelta = false
  /// The words of the last object that has no choice; `nil` means that it has none.
  var words: String?
  /// The numbers that a host gives an only choice.
  private var numbering = Numbering.none

  private enum Numbering: Sendable {
    case none
    case once(Int)
    case constant(Int)
    case counting(Int)
    /// A reason for the end came with this number.
    case ended(Int)
  }

  /// Where the text of a choice is.
  enum Source {
    case delta(JSONValue)
    case text(JSONValue)
    case nothing
  }

  init(choices: Int, endpoint: InferenceEndpoint = .chatCompletions) {
    self.choices = choices
    isPlain = endpoint == .completions
  }

  /// Some hosts say the same in several members of a choice: one of them is read.
  mutating func choose(delta: JSONValue?, message: JSONValue?, text: JSONValue?) -> Source {
    if isPlain, let text { return .text(text) }
    if let delta {
      hasDelta = true
      return .delta(delta)
    }
    if let message, !hasDelta { return .delta(message) }
    return text.map { .text($0) } ?? .nothing
  }

  /// Some hosts number the chunks of an only choice, or number it from 1. Two choices in turn would
  /// become one text.
  ///
  /// - Throws: `garbage` if the numbers are those of several choices.
  mutating func check(
    index: Int, _ gain: ChoiceSteps.Gain
  ) throws(AttemptFailure) {
    if gain.says { numbering = try following(index) }
    if gain.ends, case .once = numbering { numbering = .ended(index) }
  }

  private func following(_ index: Int) throws(AttemptFailure) -> Numbering {
    switch numbering {
    case .none: return .once(index)
    case .once(let last):
      if index == last { return .constant(index) }
      if index > last { return .counting(index) }
    case .constant(let last), .ended(let last):
      if index == last { return numbering }
    case .counting(let last):
      if index > last { return .counting(index) }
    }
    throw .garbage("several choices where one was asked for")
  }
}

/// One element of a content that is an array.
enum ContentPart {
  case text(String)
  case reasoning
  case other

  init(_ part: JSONValue, _ json: inout HostJSON) throws(AttemptFailure) {
    guard part.kind == .object else {
      self = json.document.string(part).map { .text($0) } ?? .other
      return
    }
    let values = try json.values(["type", "text"], in: part)
    switch values[0].flatMap(json.document.string) ?? "text" {
    case "thinking", "reasoning", "redacted_thinking": self = .reasoning
    case "text", "output_text":
      self = values[1].flatMap(json.document.string).map { .text($0) } ?? .other
    default: self = .other
    }
  }
}
