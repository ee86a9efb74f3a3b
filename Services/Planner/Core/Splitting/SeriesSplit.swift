import Text

/// Splits a series within one sentence into its items.
///
/// Examples: "Explain A, B and C", "a report with sections on A, B and C", "for each of these
/// cities: A, B, C".
enum SeriesSplit {
  static func find(_ query: String) -> Split? {
    let sentences = Sentences.split(query)
    for (place, sentence) in sentences.enumerated() {
      guard let series = Series(sentence), series.items.count > 2 || series.isEach else { continue }
      let others = sentences.enumerated().filter { $0.offset != place }.map(\.element)
      // If another sentence is a command, the series is only a part of the request and is not
      // split.
      guard others.allSatisfy({ CommandSplit.clauses(of: $0).isEmpty }) else { return nil }
      guard accepts(series, sentence) else { return nil }
      let rest = others.joined(separator: " ")
      let parts = series.items.prefix(Split.foundParts).map { item in
        Split.Part(
          "Write only the part about this: \(item)", shared: sentence, after: rest,
          heading: heading(of: item))
      }
      return Split(
        parts: parts.map { sized($0, series, sentence, rest) }, merge: .concatenate,
        kind: series.isSections ? "sections" : "topics")
    }
    return nil
  }

  private static func accepts(_ series: Series, _ sentence: String) -> Bool {
    let words = sentence.lowercasedWords
    if series.isEach { return !SeriesWords.singleWork(in: series.head) || series.hasEachWord }
    guard !words.contains(where: SplitWords.overall.contains) else { return false }
    if series.isSections { return true }
    guard !SeriesWords.singleWork(in: series.head) else { return false }
    // "a haiku, a limerick and a sonnet": each item is a text of its own.
    if series.items.allSatisfy(SeriesWords.isWork) { return true }
    return series.head.contains(where: SplitWords.proseVerbs.contains)
      && !series.items.contains { $0.lowercasedWords.count > 8 }
  }

  /// Estimates the tokens of a part. A section or topic is shorter than the text that the sentence
  /// names, such as a report.
  private static func sized(
    _ part: Split.Part, _ series: Series, _ sentence: String, _ rest: String
  ) -> Split.Part {
    var part = part
    if series.items.allSatisfy(SeriesWords.isWork), let item = part.heading {
      part.tokens = AnswerSize.tokens(of: item, context: rest)
      part.heading = nil
    } else {
      let whole = AnswerSize.tokens(of: sentence, context: rest)
      let section = 160
      part.tokens = series.isEach ? whole : max(60, min(section, whole))
      // A long text is divided among its items. A length stated for each item is not divided.
      if !series.isEach, whole > section * series.items.count {
        part.tokens = whole / series.items.count
      }
    }
    return part
  }

  private static func heading(of item: String) -> String? {
    guard item.utf8.count <= 100, let first = item.first else { return nil }
    return first.uppercased() + item.dropFirst()
  }
}

enum SeriesWords {
  /// True if the request is for one text that a list only describes: "a story with …".
  static func singleWork(in words: [String]) -> Bool {
    for (place, word) in words.enumerated() where SplitWords.singleWorks.contains(word) {
      let before = words[max(0, place - 4)..<place]
      if before.contains(where: { ["a", "an", "one", "my", "our", "the"].contains($0) }) {
        return true
      }
    }
    return false
  }

  /// True if the item is itself a text: "a haiku", "two slogans about rain".
  static func isWork(_ item: String) -> Bool {
    let words = item.lowercasedWords
    guard let first = words.first, words.count > 1 else { return false }
    let isCounted = ["a", "an", "one", "two", "three", "the"].contains(first) || Int(first) != nil
    return isCounted
      && words.dropFirst().prefix(4).contains { word in
        let single = word.hasSuffix("s") ? String(word.dropLast()) : word
        return SplitWords.singleWorks.contains(single) || SplitWords.sectioned.contains(single)
      }
  }
}

/// A series separated by commas, usually with "and" or "or" before the last item.
struct Series {
  var items: [String] = []
  /// Words before the first item.
  var head: [String] = []
  /// True if the sentence asks for a text about each item: "for each …", "for these three: …".
  var isEach = false
  var hasEachWord = false
  /// True if the items are sections of one text.
  var isSections = false

  init?(_ sentence: String) {
    let text = sentence.trimmingSpace.drop { $0 == "-" }
    let clean = text.hasSuffix(".") || text.hasSuffix("!") ? text.dropLast() : text
    let body: Substring
    if let colon = clean.lastIndex(of: ":"), clean[colon...].contains(",") {
      head = clean[..<colon].lowercasedWords
      body = clean[clean.index(after: colon)...]
      hasEachWord = head.contains { ["each", "every", "per"].contains($0) }
      isEach =
        hasEachWord
        || (head.contains { ["following", "these", "three", "four", "five", "six"].contains($0) }
          && head.contains { SplitWords.proseVerbs.contains($0) || $0 == "write" || $0 == "for" })
    } else {
      guard let start = Self.start(of: clean) else { return nil }
      head = clean[..<start].lowercasedWords
      body = clean[start...]
      hasEachWord = head.contains { ["each", "every"].contains($0) }
      isEach = hasEachWord
    }
    items = Self.items(of: body)
    guard items.count > 1, items.allSatisfy({ $0.lowercasedWords.count <= 12 }) else { return nil }
    isSections =
      head.contains {
        ["sections", "chapters", "covering", "covers", "cover", "parts", "headings"].contains($0)
      }
      && head.contains { SplitWords.sectioned.contains($0) || $0 == "essay" }
  }

  /// Returns the start of the first item of a list.
  /// Before the first comma, the item begins after the last word that can introduce a list.
  private static func start(of text: Substring) -> Substring.Index? {
    guard let comma = text.firstIndex(of: ",") else { return nil }
    let first = text[..<comma]
    var start: Substring.Index?
    var index = first.startIndex
    while let end = first[index...].firstIndex(of: " ") {
      let word = first[index..<end].lowercased()
      if SplitWords.proseVerbs.contains(word) || openers.contains(word) {
        start = first.index(after: end)
      }
      index = first.index(after: end)
    }
    return start
  }

  private static let openers: Set<String> = [
    "write", "create", "compose", "draft", "covering", "covers", "on", "into", "for", "of", "me",
    "generate", "produce", "sections", "chapters", "design", "prepare", "give",
  ]

  private static func items(of body: Substring) -> [String] {
    var items: [String] = []
    for piece in body.split(separator: ",") {
      var piece = piece.trimmingSpace
      for word in ["and ", "or ", "as well as ", "& "] where piece.lowercased().hasPrefix(word) {
        piece = piece.dropFirst(word.count).trimmingSpace
      }
      if !piece.isEmpty { items.append(piece) }
    }
    // "A, B and C" has no comma before the last item.
    if let last = items.last, let range = last.range(ofWord: " and "), items.count > 1 {
      items.removeLast()
      items.append(last[..<range.lowerBound].trimmingSpace)
      items.append(last[range.upperBound...].trimmingSpace)
    }
    return items
  }
}

extension String {
  fileprivate func range(ofWord word: String) -> Range<Index>? { firstRange(of: word) }
}
