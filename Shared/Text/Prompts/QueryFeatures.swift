/// The subject of a question, estimated from its words without a model. A wrong guess only leads to
/// a less suitable pattern, role or temperature.
public struct QueryFeatures: Hashable, Sendable {
  public var shape: QueryShape
  /// Number of distinct words and signs of program text. A code fence counts twice.
  public var code = 0
  /// Number of distinct words that ask for invention or style.
  public var creative = 0
  /// Number of distinct words that ask for steps, proofs and sums. A phrase counts twice.
  public var reasoning = 0
  /// Number of distinct words that ask for facts.
  public var facts = 0
  /// Number of distinct words that ask for parts of a text.
  public var extraction = 0
  /// Number of distinct words that ask for both sides of a question. A phrase counts twice.
  public var dispute = 0
  /// Number of distinct words that ask for certainty. A phrase counts twice.
  public var certainty = 0

  /// Maximum bytes that are examined. The beginning of a longer text is enough.
  static let maximumBytes = 64 * 1024

  public init(_ query: String) {
    shape = QueryShape(query)
    let text = String(decoding: query.utf8.prefix(Self.maximumBytes), as: UTF8.self).lowercased()
    for word in Set(text.lowercasedWords) {
      if QueryWords.code.contains(word) { code += 1 }
      if QueryWords.creative.contains(word) { creative += 1 }
      if QueryWords.reasoning.contains(word) { reasoning += 1 }
      if QueryWords.facts.contains(word) { facts += 1 }
      if QueryWords.extraction.contains(word) { extraction += 1 }
      if QueryWords.dispute.contains(word) { dispute += 1 }
      if QueryWords.certainty.contains(word) { certainty += 1 }
    }
    for sign in QueryWords.codeSigns where text.containsBytes(of: sign) { code += 1 }
    if text.containsBytes(of: "```") { code += 2 }
    for phrase in QueryWords.reasoningPhrases where text.containsBytes(of: phrase) {
      reasoning += 2
    }
    for phrase in QueryWords.disputePhrases where text.containsBytes(of: phrase) { dispute += 2 }
    for phrase in QueryWords.certaintyPhrases where text.containsBytes(of: phrase) {
      certainty += 2
    }
  }

  /// Whether the question has at least two words or signs of program text, or a code fence. One
  /// word alone, such as "function" or "class", may mean mathematics or a school.
  public var isAboutCode: Bool { code >= 2 }
}

/// Words by the feature that they indicate.
enum QueryWords {
  static let code: Set<String> = [
    "algorithm", "api", "async", "bash", "bug", "c++", "class", "code", "coding", "compile",
    "compiler", "css", "debug", "def", "exception", "func", "function", "golang", "html",
    "implement", "java", "javascript", "json", "kotlin", "loop", "method", "program", "programming",
    "python", "refactor", "regex", "ruby", "rust", "script", "shell", "sql", "stacktrace", "swift",
    "traceback", "typescript", "unittest", "variable", "yaml",
  ]

  /// Signs that hardly ever occur outside program text.
  static let codeSigns = [
    "#include", "();", "{\n", "};", "=>", "->", "==", "!=", "</", "import ", "select * ",
  ]

  static let creative: Set<String> = [
    "ballad", "brainstorm", "caption", "catchy", "character", "creative", "dialogue", "fairy",
    "fiction", "funny", "haiku", "humorous", "imagine", "invent", "joke", "limerick", "lyrics",
    "metaphor", "motto", "novel", "playful", "plot", "poem", "poetic", "rhyme", "scene", "slogan",
    "song", "sonnet", "story", "tagline", "tale", "toast", "verse", "whimsical",
  ]

  static let reasoning: Set<String> = [
    "average", "calculate", "compute", "deduce", "derive", "equation", "how", "infer", "integral",
    "logic", "logical", "maximum", "minimum", "optimal", "percent", "percentage", "probability",
    "proof", "prove", "puzzle", "reason", "remainder", "riddle", "solve", "sum", "therefore",
    "total", "why",
  ]

  static let reasoningPhrases = [
    "step by step", "how many", "how much", "if and only if", "what follows", "work out",
  ]

  static let facts: Set<String> = [
    "capital", "cite", "date", "define", "definition", "evidence", "fact", "facts", "history",
    "population", "research", "source", "sources", "statistics", "study", "when", "where", "which",
    "who", "whose",
  ]

  static let extraction: Set<String> = [
    "classify", "extract", "identify", "label", "parse", "quote", "retrieve", "tag",
  ]

  static let dispute: Set<String> = [
    "advantages", "against", "argue", "argument", "arguments", "controversial", "counterarguments",
    "debate", "disadvantages", "dilemma", "drawbacks", "ethical", "opposing", "perspectives",
    "should", "stance", "tradeoffs", "viewpoints",
  ]

  static let disputePhrases = [
    "pros and cons", "for and against", "both sides", "trade-off", "devil's advocate",
  ]

  static let certainty: Set<String> = [
    "accurate", "certain", "consensus", "correct", "reliable", "verify",
  ]

  static let certaintyPhrases = [
    "double-check", "double check", "make sure", "second opinion", "several opinions",
  ]
}
