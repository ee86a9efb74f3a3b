/// Format of an answer's text, as detected while it streams.
public enum AnswerFormat: String, Hashable, Sendable {
  case prose
  /// Prose with markup lines: headings, lists, tables, code fences.
  case markdown
  /// JSON and nothing else. Text that only starts like JSON is prose.
  case json

  /// Whether text at a joint must fit the text before it; see `FormatRules`.
  public var hasGrammar: Bool { self == .json }

  /// Whether a backslash begins an escape of JSON, which must not be cut.
  public var hasEscapes: Bool { self == .json }

  /// Whether the same rules find boundaries in both formats.
  public func sharesBoundaries(with other: AnswerFormat) -> Bool {
    hasGrammar == other.hasGrammar
  }
}
