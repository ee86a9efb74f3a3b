public import ClusterModel

/// The conversation of `tutti chat`.
public struct ChatHistory: Equatable, Sendable {
  public struct Turn: Equatable, Sendable {
    public var question: String
    public var answer: String
    /// Whether the answer ended early, for example by Ctrl-C.
    public var isCut: Bool

    public init(question: String, answer: String, isCut: Bool = false) {
      self.question = question
      self.answer = answer
      self.isCut = isCut
    }
  }

  /// One message as a client sends it.
  public struct Message: Equatable, Sendable {
    public var role: String
    public var content: String
  }

  /// Maximum bytes of a conversation. It is sent with each question, and the gateway refuses a body
  /// above 12 MiB, in which escapes may take twice the bytes of the text.
  public static let maximumBytes = 4 << 20

  /// Instructions before the conversation. An empty text means none.
  public var system: String
  public private(set) var turns: [Turn] = []

  public init(system: String = "") { self.system = system }

  private var bytes: Int {
    turns.reduce(system.utf8.count) { $0 + $1.question.utf8.count + $1.answer.utf8.count }
  }

  /// Messages of a request with the next question.
  ///
  /// - Throws: if the conversation would be too long.
  public func messages(asking question: String) throws(ProcessFailure) -> [Message] {
    guard bytes + question.utf8.count <= Self.maximumBytes else {
      throw ProcessFailure(
        .usage,
        "the conversation would be longer than \(Self.maximumBytes >> 20) MiB; /undo removes its "
          + "last turn, /clear begins a new one")
    }
    return messages + [Message(role: "user", content: question)]
  }

  /// The conversation so far.
  public var messages: [Message] {
    let first = system.isEmpty ? [] : [Message(role: "system", content: system)]
    return first
      + turns.flatMap {
        [
          Message(role: "user", content: $0.question),
          Message(role: "assistant", content: $0.answer),
        ]
      }
  }

  /// Keeps a turn. A turn without an answer is dropped, because two questions in a row are an error
  /// for many models.
  ///
  /// - Returns: whether the turn was kept.
  @discardableResult
  public mutating func append(_ turn: Turn) -> Bool {
    guard !turn.answer.allSatisfy(\.isWhitespace) else { return false }
    turns.append(turn)
    return true
  }

  /// Removes the last turn and returns it. `nil` means that there is none.
  public mutating func undo() -> Turn? { turns.popLast() }

  /// Removes all turns. The instructions stay.
  public mutating func clear() { turns = [] }
}
