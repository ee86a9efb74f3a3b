/// A faulty host's answer to one question.
public struct FaultyHostReply: Hashable, Sendable {
  public struct ToolCall: Hashable, Sendable {
    public var id: String
    public var name: String
    /// The arguments as JSON.
    public var arguments: String

    public init(id: String, name: String, arguments: String) {
      self.id = id
      self.name = name
      self.arguments = arguments
    }
  }

  var reasoning: String
  public var text: String
  public var toolCalls: [ToolCall]

  public init(_ text: String = "", reasoning: String = "", toolCalls: [ToolCall] = []) {
    self.text = text
    self.reasoning = reasoning
    self.toolCalls = toolCalls
  }

  func pieces(_ tokens: FaultyHostTokens) -> [FaultyHostPiece] {
    var pieces = tokens.split(reasoning).map { FaultyHostPiece.reasoning($0) }
    pieces += tokens.split(text).map { .text($0) }
    for (index, call) in toolCalls.enumerated() {
      pieces.append(.call(index, id: call.id, name: call.name))
      pieces += tokens.split(call.arguments).map { .arguments(index, $0) }
    }
    return pieces
  }
}

/// The part of an answer that one stream event carries.
enum FaultyHostPiece: Hashable, Sendable {
  case reasoning(String)
  case text(String)
  case call(Int, id: String, name: String)
  case arguments(Int, String)

  /// The text that fault offsets count: content and tool arguments.
  var counted: String {
    switch self {
    case .text(let text), .arguments(_, let text): text
    case .reasoning, .call: ""
    }
  }

  private func with(_ text: Substring) -> FaultyHostPiece {
    switch self {
    case .arguments(let index, _): .arguments(index, String(text))
    default: .text(String(text))
    }
  }

  /// Position at which an answer breaks off.
  struct Break: Hashable, Sendable {
    /// Number of pieces that are sent completely.
    var index: Int
    /// The character that contains the offset, and the number of its bytes before the offset.
    var character: FaultyHostPiece?
    var bytes = 0
  }

  /// Splits the piece that contains the byte, so that the answer can break exactly before that
  /// byte.
  static func broken(
    _ pieces: [FaultyHostPiece], atByte offset: Int
  ) -> (pieces: [FaultyHostPiece], at: Break) {
    var left = offset
    for (index, piece) in pieces.enumerated() {
      let text = piece.counted
      guard text.utf8.count > left else {
        left -= text.utf8.count
        continue
      }
      // Split between code points, not grapheme clusters, because a tokenizer also splits grapheme
      // clusters.
      let scalars = text.unicodeScalars
      var end = scalars.startIndex
      while left > 0, UTF8.width(scalars[end]) <= left {
        left -= UTF8.width(scalars[end])
        end = scalars.index(after: end)
      }
      var result = pieces
      var replacement: [FaultyHostPiece] = []
      if end > scalars.startIndex { replacement.append(piece.with(text[..<end])) }
      replacement.append(piece.with(text[end...]))
      result.replaceSubrange(index...index, with: replacement)
      var at = Break(index: index + replacement.count - 1)
      if left > 0 {
        at.character = piece.with(text[end..<scalars.index(after: end)])
        at.bytes = left
      }
      return (result, at)
    }
    return (pieces, Break(index: pieces.count))
  }
}

/// Fixed answers, and how the host resumes them after another host broke off.
public struct FaultyHostCorpus: Sendable {
  /// A request to resume an answer that another host began.
  public struct Resumption: Sendable {
    /// The complete answer.
    let reply: FaultyHostReply
    /// Text that the client already has.
    public let prefix: String
    /// Whether a message asks the host to continue; otherwise the prefix is prefilled.
    public let isInstructed: Bool
    let question: FaultyHostQuestion
  }

  /// Answers by a marker in a user message, or by model id.
  var replies: [String: FaultyHostReply]
  var otherwise: FaultyHostReply
  public var resume: @Sendable (Resumption) -> FaultyHostReply

  public init(
    _ replies: [String: FaultyHostReply], otherwise: FaultyHostReply = FaultyHostReply("I see."),
    resume: @escaping @Sendable (Resumption) -> FaultyHostReply = FaultyHostCorpus.oracle
  ) {
    self.replies = replies
    self.otherwise = otherwise
    self.resume = resume
  }

  /// Continues with exactly the rest of the answer; starts over if the prefix does not match.
  public static let oracle: @Sendable (Resumption) -> FaultyHostReply = { resumption in
    let whole = Array(resumption.reply.text.utf8)
    let prefix = Array(resumption.prefix.utf8)
    guard whole.starts(with: prefix) else { return resumption.reply }
    var reply = resumption.reply
    reply.reasoning = ""
    reply.text = String(decoding: whole[prefix.count...], as: UTF8.self)
    return reply
  }

  func reply(to question: FaultyHostQuestion) -> FaultyHostReply {
    let messages = question.messages
    let asked = messages.last { $0.role == "user" && marker(in: $0.text) != nil }
    let key = asked.flatMap { marker(in: $0.text) } ?? question.model ?? ""
    let reply = replies[key] ?? otherwise
    if case .after(let prefix) = question.start {
      return resume(
        Resumption(reply: reply, prefix: prefix, isInstructed: false, question: question))
    }
    // A request to continue has the question, the partial answer, and a message that asks to
    // continue.
    guard messages.count >= 3, let last = messages.last, last.role == "user", last != asked,
      messages[messages.count - 2].role == "assistant",
      !messages[messages.count - 2].text.isEmpty
    else { return reply }
    return resume(
      Resumption(
        reply: reply, prefix: messages[messages.count - 2].text, isInstructed: true,
        question: question))
  }

  /// The longest marker that the text contains.
  private func marker(in text: String) -> String? {
    replies.keys.filter { !$0.isEmpty && text.contains($0) }
      .max { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
  }
}
