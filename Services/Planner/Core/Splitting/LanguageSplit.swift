import Text

/// Splits a translation into several languages: one part per language.
enum LanguageSplit {
  static func find(_ query: String) -> Split? {
    let words = query.lowercasedWords
    guard words.contains(where: SignalWords.translating.contains) else { return nil }
    let languages = targets(of: query)
    guard languages.count > 1 else { return nil }
    // A translation is about as long as the source text.
    let tokens = min(max(query.utf8.count / TokenEstimate.bytesPerToken, 24), 800)
    let parts = languages.prefix(Split.foundParts).map { language in
      var part = Split.Part(
        "Of these languages, do only this one: \(language)", shared: query, heading: language)
      part.tokens = tokens
      return part
    }
    return Split(parts: parts, merge: .concatenate, kind: "languages")
  }

  /// Returns the target languages as the client wrote them, without duplicates.
  ///
  /// Only the sentence that asks for a translation counts, because the text to translate may itself
  /// contain names of languages.
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

  /// Removes quoted text. Any quotation mark opens or closes a quotation, because each mark opens
  /// quotations in some languages and closes them in others.
  private static func unquoted(_ sentence: String) -> String {
    var isQuoted = false
    return sentence.filter { character in
      guard "\"“”„«»".contains(character) else { return !isQuoted }
      isQuoted.toggle()
      return false
    }
  }

  /// Returns the languages listed after a preposition such as "into".
  private static func languages(in request: Substring) -> [String] {
    var found: [String] = []
    var seen: Set<String> = []
    /// Number of other words since the last language of the list. `nil` means outside a list.
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
        // One other word may precede a language: "Brazilian Portuguese".
        others = count > 0 ? nil : 1
      }
    }
    return found
  }
}
