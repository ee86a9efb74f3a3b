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

/// Tracks whether streamed text is inside a fenced code block.
struct CodeFences: Sendable {
  private enum Line { case start, run(UInt8, Int), info, closing, other }
  private var line = Line.start
  private(set) var isOpen = false
  private(set) var hasMarkdown = false

  mutating func take(_ byte: UInt8) {
    guard byte != 0x0A else {
      line = .start
      return
    }
    switch line {
    case .other, .info: break
    case .start:
      switch byte {
      case 0x20, 0x09: break
      case UInt8(ascii: "`"), UInt8(ascii: "~"): line = .run(byte, 1)
      case UInt8(ascii: "#"), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "|"),
        UInt8(ascii: ">"):
        hasMarkdown = true
        line = .other
      default: line = .other
      }
    case .run(let mark, let count):
      guard byte == mark else {
        line = .other
        return
      }
      guard count == 2 else {
        line = .run(mark, count + 1)
        return
      }
      hasMarkdown = true
      line = isOpen ? .closing : .info
      isOpen.toggle()
    case .closing:
      // A closing fence stands alone on its line; followed by words, it is code.
      guard byte != 0x20, byte != 0x0D, byte != UInt8(ascii: "`"), byte != UInt8(ascii: "~") else {
        return
      }
      isOpen = true
      line = .other
    }
  }
}
