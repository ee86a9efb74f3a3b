import Text

/// One text into several languages: a part for each of them.
enum LanguageSplit {
  static func find(_ query: String) -> Split? {
    let words = query.lowercasedWords
    guard words.contains(where: SignalWords.translating.contains) else { return nil }
    let languages = languages(in: query)
    guard languages.count > 1 else { return nil }
    // What is asked for is about as long as what was given.
    let tokens = min(max(query.utf8.count / 4, 24), 800)
    let parts = languages.map { language in
      var part = Split.Part(
        "Of these languages, do only this one: \(language)", shared: query, heading: language)
      part.tokens = tokens
      return part
    }
    return Split(parts: parts, merge: .concatenate, kind: "languages")
  }

  /// As the client wrote them, each once; not the one that is translated from.
  private static func languages(in query: String) -> [String] {
    var found: [String] = []
    var seen: Set<String> = []
    var before = ""
    for word in query.split(whereSeparator: { !($0.isLetter || "#+-".contains($0)) }) {
      let lower = word.lowercased()
      if SignalWords.languages.contains(lower), !SignalWords.sources.contains(before),
        seen.insert(lower).inserted
      {
        found.append(String(word))
      }
      before = lower
    }
    return found
  }
}
