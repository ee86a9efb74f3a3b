import ClusterModel
import Limits
import Text

/// Facts that are needed to read a chunk. They come from the request and from earlier chunks.
struct ChunkTerms: Sendable {
  /// Number of choices that the request asks for.
  let choices: Int
  /// Whether the endpoint is `/v1/completions`. Its choices hold their text in `text`.
  private let isPlain: Bool
  /// Whether a choice had a `delta`. A later `message` repeats the text of the deltas.
  private var hasDelta = false
  /// Message of the last object, if the object is not a chunk but a remark of the host. `nil` means
  /// that the last object is a chunk, or that its message was already taken.
  var words: String?
  /// How the host numbers the chunks of a request's only choice.
  private var numbering = Numbering.none

  private enum Numbering: Sendable {
    case none
    case once(Int)
    case constant(Int)
    case counting(Int)
    /// A `finish_reason` arrived in a chunk with this number.
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

  /// Chooses the member to read, because some hosts repeat the text in several members of a choice.
  mutating func choose(delta: JSONValue?, message: JSONValue?, text: JSONValue?) -> Source {
    if isPlain, let text { return .text(text) }
    if let delta {
      hasDelta = true
      return .delta(delta)
    }
    if let message, !hasDelta { return .delta(message) }
    return text.map { .text($0) } ?? .nothing
  }

  /// Checks the indices of a request's only choice.
  ///
  /// Some hosts number the chunks in the choice's index, or number the choice from 1. These hosts
  /// are accepted. If a host sends several choices, they must not be merged into one text.
  ///
  /// - Throws: `garbage` if the indices can only mean several choices.
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
