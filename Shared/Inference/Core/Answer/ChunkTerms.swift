import ClusterModel
import Limits
import Text

/// Facts of the request and of earlier chunks that are needed to read a chunk.
struct ChunkTerms: Sendable {
  /// Number of choices that the request asks for.
  let choices: Int
  /// The endpoint is `/v1/completions`, whose choices hold their text in `text`.
  private let isPlain: Bool
  /// A choice had a `delta`. A later `message` repeats the text of the deltas.
  private var hasDelta = false
  /// Message of the last object, if the object is a remark of the host and not a chunk. `nil` means
  /// that the object is a chunk or that its message was taken.
  var words: String?
  /// How the host numbers the chunks of a request's only choice.
  private var numbering = Numbering.none

  private enum Numbering: Sendable {
    case none
    case once(Int)
    case constant(Int)
    case counting(Int)
    /// A `finish_reason` arrived with this number.
    case ended(Int)
  }

  /// Member that holds the text of a choice.
  enum Source {
    case delta(JSONValue)
    case text(JSONValue)
    case nothing
  }

  init(choices: Int, endpoint: InferenceEndpoint = .chatCompletions) {
    self.choices = choices
    isPlain = endpoint == .completions
  }

  /// Chooses the member to read. Some hosts repeat the text in several members of a choice.
  mutating func choose(delta: JSONValue?, message: JSONValue?, text: JSONValue?) -> Source {
    if isPlain, let text { return .text(text) }
    if let delta {
      hasDelta = true
      return .delta(delta)
    }
    if let message, !hasDelta { return .delta(message) }
    return text.map { .text($0) } ?? .nothing
  }

  /// Checks the indices of a request's only choice. Some hosts count its chunks in the index, or
  /// number the choice from 1. Without the check, two choices would be merged into one text.
  ///
  /// - Throws: `garbage` if the indices are those of several choices.
  mutating func check(
    index: Int, _ gain: ChoiceSteps.Gain
  ) throws(AttemptFailure) {
    if gain.adds { numbering = try following(index) }
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
    throw .garbage("several choices, although one was requested")
  }
}

/// An element of a `content` array.
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
