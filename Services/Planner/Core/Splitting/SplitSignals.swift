import Text

/// Signals in a query for several answers or for one.
///
/// Most of them come from marks and words that are counted, not from the parts that a query names.
/// The most frequent words of English, German, French and Spanish are known.
struct SplitSignals: Equatable {
  /// True if the query asks for each thing separately: "each", "one by one", "jeweils" …
  var isDistributive = false
  /// Number of parallel things: list items, labelled blocks, questions or a series with commas,
  /// whichever is largest.
  var items = 0
  /// Number of things in the longest series with commas.
  var series = 0
  /// True if the query states a length or asks for detail.
  var isSized = false
  /// True if the query mentions chapters or sections.
  var namesSections = false
  /// Number of languages or locales that the query names.
  var languages = 0
  /// Number of different kinds of text that the query names: a letter, a speech, a post.
  var works = 0
  /// True if the query asks for steps that follow from each other.
  var isSequence = false
  /// True if the query asks for something that its own text contains.
  var isExtraction = false
  /// True if the query ends in its only question. The text before the question is context.
  var endsInOneQuestion = false
  /// True if the query asks about program text that it contains.
  var explainsCode = false
  /// Number of questions with more than two words that do not refer to earlier questions.
  var freeQuestions = 0
  /// Number of questions and found parts that refer to earlier ones.
  var boundParts = 0
  /// Number of parts that the query itself names. 0 if any part needs another part.
  var foundParts = 0
  /// True for a list without tasks or things to treat alike: facts, conditions, data.
  var isPlainList = false
  var words = 0

  /// - Parameter found: parts that the query itself names.
  init(_ query: String, found: Split?) {
    let text = query.lowercased()
    let words = query.lowercasedWords
    let all = Set(words)
    let shape = QueryShape(query)
    self.words = words.count
    series = Self.longestSeries(query)
    items = max(
      shape.listItems, shape.inlineMarkers, Self.blocks(query), shape.questions,
      Self.bullets(query),
      series)
    // "at each step" indicates a sequence.
    isDistributive =
      zip(words, words.dropFirst() + [""]).contains { word, next in
        SignalWords.distributive.contains(word) && !SignalWords.steps.contains(next)
      } || SignalWords.distributivePhrases.contains(where: text.containsBytes(of:))
    isSized = Self.isSized(words) || !all.isDisjoint(with: SignalWords.sized)
    namesSections = !all.isDisjoint(with: SignalWords.sections)
    languages = all.count { SignalWords.languages.contains($0) }
    let singular = Set(words.map { $0.hasSuffix("s") ? String($0.dropLast()) : $0 })
    works = singular.count { SignalWords.works.contains($0) }
    isSequence =
      !all.isDisjoint(with: SignalWords.sequence)
      || SignalWords.sequencePhrases.contains(where: text.containsBytes(of:))
    isExtraction = words.prefix(4).contains(where: SignalWords.extraction.contains)
    endsInOneQuestion = shape.questions == 1 && query.trimmingSpace.hasSuffix("?")
    explainsCode =
      (text.containsBytes(of: "`") || QueryFeatures(query).isAboutCode)
      && !all.isDisjoint(with: SignalWords.explaining)
    isPlainList = shape.listItems > 2 && found == nil
    countQuestions(query)
    if let found {
      let free = found.parts.count { $0.needs.isEmpty }
      foundParts = free == found.parts.count ? free : 0
      boundParts += found.parts.count - free
    }
  }

  private mutating func countQuestions(_ query: String) {
    let sentences = Sentences.split(query)
    let questionSentences = sentences.filter { $0.hasSuffix("?") }
    // Pronouns in the questions refer to a statement before them, if there is one.
    let hasStatement = sentences.first.map { !$0.hasSuffix("?") && !$0.hasSuffix(":") } ?? false
    boundParts = questionSentences.enumerated().count { place, question in
      PartReferences.needsOthers(question, at: place, hasContext: hasStatement)
    }
    freeQuestions = max(0, questionSentences.count { $0.lowercasedWords.count > 2 } - boundParts)
  }

  /// Score of the query. Above 0, the query reads like several pieces of work.
  ///
  /// The points are coefficients of a logistic regression over hand-labelled prompts, times ten and
  /// rounded. There are few coefficients, and none was added for a single prompt.
  var score: Int {
    var points = -18
    if isDistributive { points += 17 + (items > 2 ? 6 : 0) }
    if isSized { points += 8 }
    if namesSections { points += 11 }
    points += 7 * min(languages, 3)
    points += 6 * min(works, 4) + (works > 2 ? 11 : 0)
    points += 3 * min(freeQuestions, 4) - 6 * min(boundParts, 3)
    if foundParts > 1 { points += foundParts > 2 ? 16 : 7 }
    if isSequence { points -= 24 }
    if isExtraction { points -= 20 }
    if endsInOneQuestion { points -= 6 }
    if explainsCode { points -= 8 }
    if isPlainList { points -= 7 }
    // A short query is one piece of work, unless it names several parts.
    if words < 12, foundParts < 2 { points -= 17 }
    return points
  }

  /// Scores above this and up to 0 are doubtful.
  static let doubt = -6

  /// Estimated number of parts: 3 … 8.
  var likelyParts: Int {
    let named = max(items, languages, works, freeQuestions)
    return min(max(named, 3), SplitProposal.mostParts)
  }
}

// MARK: - Counting

extension SplitSignals {
  /// Counts lines that begin alike: "Ticket 1 …", "Ticket 2 …", "=== A ===", "[a] …".
  private static func blocks(_ query: String) -> Int {
    var counts: [String: Int] = [:]
    for line in query.split(whereSeparator: \.isNewline) {
      let words = line.split(separator: " ", maxSplits: 3)
      guard let first = words.first else { continue }
      if "=#[<".contains(first.first ?? " "), line.count > 2 {
        counts[String(first.prefix(1)), default: 0] += 1
      } else if words.count > 1, first.count > 1, isLabel(words[1]) || first.hasSuffix(":") {
        counts[first.hasSuffix(":") ? ":" : first.lowercased(), default: 0] += 1
      } else if words.count > 2, SignalWords.openers.contains(first.lowercased()) {
        counts[first.lowercased(), default: 0] += 1
      }
    }
    return counts.values.max() ?? 0
  }

  /// True for `12`, `4.2:`, `B:`, `Alpha:`.
  private static func isLabel(_ word: Substring) -> Bool {
    let bare = word.filter { $0.isLetter || $0.isNumber }
    guard !bare.isEmpty else { return false }
    return bare.allSatisfy(\.isNumber) || bare.count == 1 || word.hasSuffix(":")
  }

  /// Counts lines that begin with a typographic bullet.
  private static func bullets(_ query: String) -> Int {
    query.split(whereSeparator: \.isNewline).count { line in
      "•–·▪".contains(line.first { !$0.isWhitespace } ?? " ")
    }
  }

  /// Returns the length of the longest series of short pieces between commas or semicolons within a
  /// sentence.
  private static func longestSeries(_ query: String) -> Int {
    var longest = 0
    for sentence in Sentences.split(query) {
      for separator: Character in [",", ";"] {
        var run = 0
        let pieces = sentence.split(separator: separator)
        for piece in pieces.dropFirst() {
          run = piece.split(separator: " ").count <= 10 ? run + 1 : 0
          if run > 0 { longest = max(longest, run + 1) }
        }
        let last = pieces.count > 1 ? pieces.last.map { $0.lowercasedWords } ?? [] : []
        if last.contains(where: SignalWords.joints.contains) { longest = max(longest, run + 2) }
      }
    }
    return longest
  }

  /// True if the query states a length: "120 words", "two pages".
  private static func isSized(_ words: [String]) -> Bool {
    zip(words, words.dropFirst()).contains { number, unit in
      SignalWords.sizeUnits.contains(unit)
        && (number.allSatisfy(\.isNumber) || SignalWords.numerals.contains(number))
    }
  }
}
