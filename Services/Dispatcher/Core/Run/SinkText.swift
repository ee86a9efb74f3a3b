import ClusterModel
import Text

/// Text of the answer that was emitted for the client.
///
/// The sink's agent streams the text, or the dispatcher computes it. If the agent is lost, the next
/// agent resumes after this text. A client that streams keeps this text; a client that receives the
/// answer in one piece may get another text.
struct SinkText: Equatable, Sendable {
  private var received: WrittenText
  /// Bytes of the text that the latest agent resumes.
  private var prefixBytes = 0
  /// Whether the latest attempt at the answer was given text to resume.
  var resumesText: Bool { prefixBytes > 0 }

  /// - Parameter prefix: text that the client received from an earlier dispatcher.
  init(prefix: String = "") { received = WrittenText(prefix) }

  var text: String { received.text }

  /// Whether the client has parts that `text` does not hold, such as tool calls.
  var hasStructure: Bool { received.hasStructure }

  /// Whether the client has nothing of the answer.
  var isEmpty: Bool { text.isEmpty && !hasStructure }

  /// Records a delta that the client receives.
  /// - Parameter room: maximum bytes to keep of the delta's text.
  mutating func append(_ delta: TaskDelta, room: Int) { received.append(delta, room: room) }

  /// Returns the text from which the next agent resumes.
  mutating func resume() -> String {
    prefixBytes = text.utf8.count
    return text
  }

  /// Forgets the text, because the client has none of it or accepts a replacement.
  mutating func discard() { self = SinkText() }

  /// Extends the text to `answer`.
  /// - Returns: the part that the client lacks, in pieces of at most `pieceBytes` that end on whole
  ///   characters. `nil` means that `answer` does not begin with the client's text, which is then
  ///   unchanged.
  mutating func extend(to answer: String, pieceBytes: Int) -> [String]? {
    let bytes = Array(answer.utf8)
    guard bytes.starts(with: text.utf8) else { return nil }
    // A Unicode scalar has at most four bytes.
    let pieceBytes = max(4, pieceBytes)
    var rest = bytes[text.utf8.count...]
    var pieces: [String] = []
    while !rest.isEmpty {
      let most = rest.prefix(pieceBytes)
      let cut = most.count < rest.count ? UTF8Bytes.incompleteTailLength(of: most) : 0
      let piece = cut < most.count ? most.dropLast(cut) : most
      rest = rest[piece.endIndex...]
      pieces.append(String(decoding: piece, as: UTF8.self))
    }
    received = WrittenText(answer, hasStructure: hasStructure)
    return pieces
  }

  /// Completes the text with the output that the sink's agent reports at its end.
  /// An agent that resumed a prefix may report the whole answer or only its own part.
  /// - Returns: the complete answer, and the pieces that the agent did not stream.
  mutating func complete(
    with output: String, pieceBytes: Int
  ) -> (answer: String, rest: [String]) {
    // The streamed output contains more than text, so its text cannot be compared with `output`.
    if hasStructure { return (output, []) }
    if let rest = extend(to: output, pieceBytes: pieceBytes) { return (output, rest) }
    guard prefixBytes > 0 else { return (output, []) }
    guard text.utf8.count == prefixBytes else { return (text, []) }
    let answer = text + output
    return (answer, extend(to: answer, pieceBytes: pieceBytes) ?? [])
  }
}

/// Output text of an agent as it arrives, up to a limit.
struct WrittenText: Equatable, Sendable {
  private(set) var text: String
  /// Whether the output has parts that `text` does not hold, such as tool calls. Such an output
  /// cannot be resumed.
  private(set) var hasStructure: Bool

  init(_ text: String = "", hasStructure: Bool = false) {
    self.text = text
    self.hasStructure = hasStructure
  }

  /// - Parameter room: maximum bytes to keep of the delta's text.
  mutating func append(_ delta: TaskDelta, room: Int) {
    text += delta.text.cut(toBytes: room)
    if delta.deltaJSON != nil || delta.text.utf8.count > room { hasStructure = true }
  }
}
