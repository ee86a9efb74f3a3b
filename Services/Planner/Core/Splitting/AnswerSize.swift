import ClusterModel
import Text

/// Estimates the length of an answer in tokens from the words of the request.
///
/// The estimate decides if parts are worth a call each and how they share a token limit. It may be
/// wrong by a factor of two.
enum AnswerSize {
  /// - Parameters:
  ///   - request: a sentence or two.
  ///   - context: other text that applies to the request, such as "Answer each in one sentence."
  static func tokens(of request: String, context: String = "") -> Int {
    let words = request.lowercasedWords
    let around = context.lowercasedWords
    if let counted = counted(in: words) ?? counted(in: around) { return counted }
    var tokens =
      form(of: words) ?? verb(of: words) ?? form(of: around) ?? verb(of: around) ?? question(words)
    let all = words + around
    if all.contains(where: long.contains) { tokens *= 2 }
    if all.contains(where: short.contains) { tokens = max(8, tokens / 3) }
    // In a list of things to translate, each answer is about as long as its item.
    if around.contains(where: SignalWords.translating.contains), verb(of: words) == nil {
      tokens = min(tokens, max(6, request.utf8.count / 3))
    }
    return tokens
  }

  /// Reads a stated length: "200 words", "three sentences", "2 paragraphs", "five ideas".
  private static func counted(in words: [String]) -> Int? {
    for (number, unit) in zip(words, words.dropFirst()) {
      guard let count = Int(number) ?? numerals[number], (1...5_000).contains(count) else {
        continue
      }
      if let each = units[unit] { return max(3, min(4_096, count * each)) }
    }
    for (place, word) in words.enumerated() where word == "word" || word == "line" {
      if place > 0, ["one", "single", "a"].contains(words[place - 1]) {
        return word == "word" ? 3 : 16
      }
    }
    return nil
  }

  private static let numerals = [
    "a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "single": 1,
  ]
  private static let units = [
    "words": 1, "word": 1, "sentence": 24, "sentences": 24, "line": 14, "lines": 14,
    "paragraph": 90, "paragraphs": 90, "page": 450, "pages": 450, "bullets": 20, "points": 20,
    "steps": 25, "examples": 40, "ideas": 25, "tips": 30, "verses": 40, "stanzas": 40,
  ]

  /// Estimates by the kind of text: "haiku", "essay".
  private static func form(of words: [String]) -> Int? {
    words.lazy.compactMap { forms[$0] }.max()
  }

  private static let forms = [
    "haiku": 24, "slogan": 16, "tagline": 16, "title": 14, "name": 12, "joke": 40, "limerick": 50,
    "tweet": 50, "headline": 16, "poem": 140, "sonnet": 160, "song": 220, "lyrics": 220,
    "story": 450, "essay": 600, "article": 600, "report": 600, "guide": 500, "tutorial": 600,
    "plan": 300, "proposal": 450, "letter": 220, "email": 160, "mail": 160, "speech": 400,
    "script": 250, "function": 200, "class": 260, "program": 300, "implementation": 260,
    "query": 90, "regex": 40, "tests": 260, "schema": 200, "paragraph": 100, "section": 180,
    "chapter": 600, "recipe": 260, "review": 200, "blog": 500, "post": 220, "summary": 120,
    "overview": 180, "biography": 250, "itinerary": 350, "checklist": 180, "description": 110,
    "dialogue": 250, "table": 200, "bio": 90, "announcement": 150, "faq": 350, "outline": 180,
  ]

  /// Estimates by the verb: "explain", "list".
  private static func verb(of words: [String]) -> Int? {
    words.lazy.compactMap { verbs[$0] }.first
  }

  private static let verbs = [
    "explain": 180, "describe": 170, "discuss": 220, "analyse": 240, "analyze": 240,
    "compare": 220, "contrast": 200, "evaluate": 220, "assess": 200, "outline": 170,
    "summarise": 110, "summarize": 110, "translate": 60, "write": 180, "draft": 180,
    "compose": 170, "create": 180, "design": 240, "develop": 240, "implement": 240, "refactor": 220,
    "prepare": 200, "propose": 180, "suggest": 150, "recommend": 140, "review": 180, "list": 110,
    "define": 60, "why": 140, "how": 150, "prove": 220, "derive": 220, "solve": 140, "plan": 240,
    "research": 200, "generate": 170, "extract": 90, "classify": 12, "identify": 80, "rewrite": 120,
    "convert": 20, "calculate": 50, "compute": 50, "name": 14, "spell": 8,
  ]

  /// Estimates a question without a form or a verb. A question that asks for a name, date or number
  /// has a short answer.
  private static func question(_ words: [String]) -> Int {
    let first = words.first ?? ""
    if ["who", "when", "where", "which", "whose", "is", "are", "does", "did", "was"].contains(first)
    {
      return 30
    }
    if first == "what" { return words.contains(where: facts.contains) ? 20 : 90 }
    return 110
  }

  private static let facts: Set<String> = [
    "capital", "currency", "date", "name", "number", "population", "symbol", "time", "year",
    "color",
    "colour", "height", "length", "size", "+", "times", "plus", "minus",
  ]
  private static let long: Set<String> = [
    "comprehensive", "depth", "detail", "detailed", "elaborate", "extensive", "thorough",
    "thoroughly",
  ]
  private static let short: Set<String> = [
    "brief", "briefly", "concise", "concisely", "quick", "quickly", "short",
  ]
}
