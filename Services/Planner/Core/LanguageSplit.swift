import Text

/// One text into several languages: a part for each of them.
enum LanguageSplit {
  static func find(_ query: String) -> Split? {
    let words = query.lowercasedWords
    guard words.contains(where: SignalWords.translating.contains) else { return nil }
    let languages = targets(of: query)
    guard languages.count > 1 else { return nil }
    // What is asked for is about as long as what was given.
    let tokens = min(max(query.utf8.count / 4, 24), 800)
    let parts = languages.prefix(Split.foundParts).map { language in
      var part = Split.Part(
        "Of these languages, do only this one: \(language)", shared: query, heading: language)
      part.tokens = tokens
      return part
    }
    return Split(parts: parts, merge: .concatenate, kind: "languages")
  }

  /// As the client wrote them, each once: those that the translating sentence names. Words of the text
  /// that is translated may be called like languages.
  private static func targets(of query: String) -> [String] {
    for sentence in Sentences.split(query)
    where sentence.lowercasedWords.contains(where: SignalWords.translating.contains) {
      let request = unquoted(sentence)
      let named = languages(in: request.prefix { $0 != ":" })
      // "… into these languages: German, French."
      return named.isEmpty ? languages(in: request[...]) : named
    }
    return []
  }

  /// Without what stands in quotation marks; each of them begins a quotation in some language and ends
  /// it in another.
  private static func unquoted(_ sentence: String) -> String {
    var isQuoted = false
    return sentence.filter { character in
      guard "\"“”„«»".contains(character) else { return !isQuoted }
      isQuoted.toggle()
      return false
    }
  }

  /// Those behind a word that says into what, and the row that they begin.
  private static func languages(in request: Substring) -> [String] {
    var found: [String] = []
    var seen: Set<String> = []
    /// Words of the row that are no languages, since the last language; nil: not in a row.
    var others: Int?
    for word in request.split(whereSeparator: { !($0.isLetter || "#+-".contains($0)) }) {
      let lower = word.lowercased()
      if SignalWords.sources.contains(lower), !SignalWords.rowWords.contains(lower) {
        others = nil
      } else if SignalWords.into.contains(lower) {
        others = 0
      } else if others != nil, SignalWords.languages.contains(lower) {
        if seen.insert(lower).inserted { found.append(String(word)) }
        others = 0
      } else if let count = others, !SignalWords.rowWords.contains(lower),
        !SignalWords.joints.contains(lower)
      {
        // "Brazilian Portuguese"
        others = count > 0 ? nil : 1
      }
    }
    return found
  }
}
