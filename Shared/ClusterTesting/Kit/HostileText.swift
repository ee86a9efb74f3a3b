/// Texts of about a given size that make naive parsers quadratic.
public enum HostileText: String, CaseIterable, Sendable {
  case initials, quotes, openBrackets, nestedLists, numbers, newlines, bars, oneWord, items,
    citations
  case rightToLeft, combining, flags, blanks, carriageReturns, backticks, fences, tokens, zeros
  case questions, commas, abbreviations, stops

  public func text(_ bytes: Int) -> String {
    let unit =
      switch self {
      case .initials: "a. "
      case .quotes: "\""
      case .openBrackets: "["
      case .nestedLists: "  - - - x\n"
      case .numbers: "1. "
      case .newlines: "\n"
      case .bars: "|"
      case .oneWord: "a"
      case .items: "- item\n"
      case .citations: "So it is [1]. "
      case .rightToLeft: "\u{202E}\u{200F}x "
      case .combining: "\u{301}"
      case .flags: "🇩"
      case .blanks: " "
      case .carriageReturns: "\r\n"
      case .backticks: "`"
      case .fences: "```\n"
      case .tokens: "<|im_st"
      case .zeros: "\0"
      case .questions: "a? "
      case .commas: "b, "
      case .abbreviations: "e.g. "
      case .stops: ". "
      }
    return "Tell me: " + String(repeating: unit, count: max(1, bytes / unit.utf8.count))
  }
}
