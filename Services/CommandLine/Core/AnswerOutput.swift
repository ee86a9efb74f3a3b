/// How the targets of a command's standard output and standard error are related.
public enum OutputArrangement: Equatable, Sendable {
  /// Both outputs lead to one target, which keeps their order.
  case shared
  /// Both outputs may reach the same place, but their order is not kept. Examples are two pipes
  /// into the log of a job, or a terminal and a pipe to `tee`.
  case adjacent
  /// The answer goes to a different place than the progress, for example to a file.
  case apart

  /// The target of one output.
  public enum Kind: CaseIterable, Sendable { case terminal, pipe, other }

  /// - Parameter areOne: whether both outputs are the same file, pipe or terminal.
  public init(output: Kind, error: Kind, areOne: Bool) {
    if areOne {
      self = .shared
    } else {
      switch (output, error) {
      case (.terminal, .terminal), (.terminal, .pipe), (.pipe, _): self = .adjacent
      case (.terminal, .other), (.other, _): self = .apart
      }
    }
  }
}

/// Orders the pieces of an answer and its progress for standard output and standard error.
/// Progress never continues a visible line of the answer.
public struct AnswerOutput: Sendable {
  public enum Piece: Equatable, Sendable {
    /// Text for standard output, safe for a terminal.
    case answer(String)
    /// A line for standard error.
    case progress(String)
    /// A line break on standard error, which separates progress from an unfinished line of the
    /// answer.
    case lineBreak
  }

  private let arrangement: OutputArrangement
  private var text = TerminalText()
  private var lineIsOpen = false
  /// Whether a line break after the unfinished line of the answer was already printed.
  private var isSetOff = false
  /// Progress to print after the unfinished line of the answer has ended.
  private var waiting: [String] = []

  public init(_ arrangement: OutputArrangement) {
    self.arrangement = arrangement
  }

  /// Takes the next text of the answer.
  public mutating func append(_ piece: String) -> [Piece] {
    let shown = text.visible(piece)
    guard let last = shown.unicodeScalars.last else { return [] }
    lineIsOpen = last != "\n"
    isSetOff = false
    return [.answer(shown)] + (lineIsOpen ? [] : releaseWaiting())
  }

  /// Takes lines of progress.
  public mutating func report(_ lines: [String]) -> [Piece] {
    let progress = lines.map(Piece.progress)
    guard lineIsOpen, !lines.isEmpty else { return progress }
    switch arrangement {
    case .shared:
      waiting += lines
      return []
    case .adjacent:
      defer { isSetOff = true }
      return (isSetOff ? [] : [.lineBreak]) + progress
    case .apart: return progress
    }
  }

  /// Ends the unfinished line, and returns the progress that waited for its end.
  public mutating func end() -> [Piece] {
    let rest = text.end() + (lineIsOpen ? "\n" : "")
    lineIsOpen = false
    return (rest.isEmpty ? [] : [.answer(rest)]) + releaseWaiting()
  }

  private mutating func releaseWaiting() -> [Piece] {
    defer { waiting = [] }
    return waiting.map(Piece.progress)
  }
}
