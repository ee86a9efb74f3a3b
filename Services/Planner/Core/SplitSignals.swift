import Text

/// What in a query speaks for several answers, and what for one: counts of marks and words, without
/// knowing yet where one part ends and the next begins. Of the words, the most usual ones of
/// English, German, French and Spanish are known.
struct SplitSignals: Equatable {
  /// "each", "one by one", "jeweils" …
  var isDistributive = false
  /// Things that stand beside each other: list items, labelled blocks, questions, or a row with
  /// commas, whichever are most.
  var items = 0
  /// Things in the longest row with commas.
  var series = 0
  /// A length is given, or detail is asked for.
  var isSized = false
  /// Chapters or sections are spoken of.
  var namesSections = false
  /// Languages or locales that are named.
  var languages = 0
  /// Texts of different kinds that are named: a letter, a speech, a post.
  var works = 0
  /// Steps that follow from each other.
  var isSequence = false
  /// What is wanted stands in the text already.
  var isExtraction = false
  /// A question, and all else says more of it.
  var endsInOneQuestion = false
  /// It is about given program text.
  var explainsCode = false
  /// Questions of more than two words that speak of nothing in the ones before.
  var freeQuestions = 0
  /// Questions and found parts that speak of the ones before.
  var boundParts = 0
  /// Parts that the query names itself, if none of them needs another.
  var foundParts = 0
  /// A list that names no tasks and nothing to treat alike: facts, conditions, data.
  var isPlainList = false
  var words = 0

  /// - Parameter found: the parts that the query names itself.
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
    // "at each step" speaks of a sequence.
    isDistributive =
      zip(words, words.dropFirst() + [""]).contains { word, next in
        SignalWords.distributive.contains(word) && !SignalWords.steps.contains(next)
      } || SignalWords.distributivePhrases.contains(where: text.holds)
    isSized = Self.isSized(words) || !all.isDisjoint(with: SignalWords.sized)
    namesSections = !all.isDisjoint(with: SignalWords.sections)
    languages = all.count { SignalWords.languages.contains($0) }
    let singular = Set(words.map { $0.hasSuffix("s") ? String($0.dropLast()) : $0 })
    works = singular.count { SignalWords.works.contains($0) }
    isSequence =
      !all.isDisjoint(with: SignalWords.sequence)
      || SignalWords.sequencePhrases.contains(where: text.holds)
    isExtraction = words.prefix(4).contains(where: SignalWords.extraction.contains)
    endsInOneQuestion = shape.questions == 1 && query.trimmingSpace.hasSuffix("?")
    explainsCode =
      (text.holds("`") || QueryFeatures(query).isAboutCode)
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
    let asked = sentences.filter { $0.hasSuffix("?") }
    // What was told before them is what their pronouns mean.
    let isTold = sentences.first.map { !$0.hasSuffix("?") && !$0.hasSuffix(":") } ?? false
    boundParts = asked.enumerated().count { place, question in
      PartReferences.needsOthers(question, at: place, hasContext: isTold)
    }
    freeQuestions = max(0, asked.count { $0.lowercasedWords.count > 2 } - boundParts)
  }

  /// Above 0: it reads like several pieces of work rather than one.
  ///
  /// The points are a logistic regression over prompts that people labelled, in tenths and rounded:
  /// few enough to be read, and none of them for a single prompt.
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
    // Short things that the query names itself are things all the same.
    if words < 12, foundParts < 2 { points -= 17 }
    return points
  }

  /// Scores above this leave a doubt.
  static let doubt = -6

  /// How many parts there may be.
  var likelyParts: Int {
    let named = max(items, languages, works, freeQuestions)
    return min(max(named, 3), SplitProposal.mostParts)
  }
}

// MARK: - Counting

extension SplitSignals {
  /// Lines or paragraphs that begin alike: "Ticket 1 …", "Ticket 2 …", "=== A ===", "[a] …".
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

  /// `12`, `4.2:`, `B:`, `Alpha:`.
  private static func isLabel(_ word: Substring) -> Bool {
    let bare = word.filter { $0.isLetter || $0.isNumber }
    guard !bare.isEmpty else { return false }
    return bare.allSatisfy(\.isNumber) || bare.count == 1 || word.hasSuffix(":")
  }

  /// Bullets that only some keyboards have.
  private static func bullets(_ query: String) -> Int {
    query.split(whereSeparator: \.isNewline).count { line in
      "•–·▪".contains(line.first { !$0.isWhitespace } ?? " ")
    }
  }

  /// Pieces between commas or semicolons of one sentence, as long as they are short.
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

  /// "120 words", "two pages".
  private static func isSized(_ words: [String]) -> Bool {
    zip(words, words.dropFirst()).contains { number, unit in
      SignalWords.sizeUnits.contains(unit)
        && (number.allSatisfy(\.isNumber) || SignalWords.numerals.contains(number))
    }
  }
}
