/// Format of an answer's text, as detected while it streams, and its rules that hold everywhere in
/// the text. `FormatRules` has the rules that depend on the place.
///
/// Each rule is a switch over all formats. Other code asks for a rule and compares no formats, so
/// that the compiler lists every place that a new format concerns.
public enum AnswerFormat: String, CaseIterable, Hashable, Sendable {
  case prose
  /// Prose with markup lines: headings, lists, tables, code fences.
  case markdown
  /// JSON and nothing else. Text that only starts like JSON is prose.
  case json

  /// The format that the first byte of an answer suggests, white space not counted.
  static func beginning(with byte: UInt8) -> AnswerFormat {
    allCases.first { $0.begins(with: byte) } ?? .prose
  }

  /// Whether documents of this format begin with the byte, and other texts seldom do. Later lines
  /// show whether prose is markdown.
  private func begins(with byte: UInt8) -> Bool {
    switch self {
    case .prose, .markdown: false
    case .json: byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[")
    }
  }

  /// The rule that finds boundaries.
  var boundaryRule: BoundaryRule {
    switch self {
    case .prose, .markdown: .words
    case .json: .json
    }
  }

  /// Whether the same rule finds boundaries in both formats.
  public func sharesBoundaries(with other: AnswerFormat) -> Bool {
    boundaryRule == other.boundaryRule
  }

  /// Whether text is refused if it does not fit the text before it. Text that fits can still be
  /// wrong.
  public var checksText: Bool {
    switch self {
    case .prose, .markdown: false
    case .json: true
    }
  }

  /// Whether a repetition that is taken for new text can give a valid document with other content,
  /// such as a list with an element twice. In prose a reader sees the repetition.
  public var hidesRepetitions: Bool {
    switch self {
    case .prose, .markdown: false
    case .json: true
    }
  }

  /// Whether hosts may put a whole document of the format into a code fence. The fence is dropped.
  var mayBeFenced: Bool {
    switch self {
    case .prose, .markdown: false
    case .json: true
    }
  }

  /// Whether line breaks have a meaning, because rows, sentences and announcements end there.
  var hasLines: Bool {
    switch self {
    case .prose, .markdown: true
    case .json: false
    }
  }

  /// Name in error messages.
  public var name: String {
    switch self {
    case .prose: "text"
    case .markdown: "Markdown"
    case .json: "JSON"
    }
  }

  /// Length in bytes of the character or escape at an index. A text must not be cut within it.
  public func atomLength(in text: [UInt8], at index: Int) -> Int {
    let byte = text[index]
    let character = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
    switch self {
    case .prose, .markdown: return character
    case .json: return JSONProgress.escapeLength(in: text, at: index) ?? character
    }
  }
}

/// A rule that finds safe boundaries.
enum BoundaryRule: Hashable, Sendable {
  /// `WordBorders`.
  case words
  /// `JSONBoundaries`.
  case json
}
