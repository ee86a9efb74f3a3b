/// Splits texts into words to compare: lower case, no punctuation, numbers normalised.
enum WordSplitter {
  /// Words that are frequent in sentences, and in questions about documents, on any subject.
  static let common: Set<String> = [
    "a", "about", "above", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at",
    "be",
    "because", "been", "but", "by", "can", "could", "did", "do", "does", "each", "for", "from",
    "give", "given", "had", "has", "have", "he", "her", "his", "how", "i", "if", "in", "into", "is",
    "it", "its", "let", "like", "make", "may", "me", "more", "most", "much", "my", "of", "on",
    "one", "only", "or", "other", "our", "please", "say", "says", "she", "should", "so", "some",
    "such", "tell", "than", "that", "the", "their", "them", "then", "there", "these", "they",
    "this",
    "those", "to", "us", "use", "using", "was", "we", "were", "what", "when", "where", "which",
    "who", "why", "will", "with", "would", "you", "your",
    "das", "der", "die", "ein", "eine", "ist", "und", "von", "den", "dem", "des", "im", "zu", "mit",
    "wie", "was", "wer", "les", "des", "est", "une", "que", "qui", "los", "las", "del", "por",
  ]

  /// Words that negate a sentence. `split` turns "isn't" into "is" and "not".
  static let negations: Set<String> = [
    "not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "cannot",
    "nicht", "kein", "keine", "keinen", "nie", "ohne", "pas", "jamais", "sin", "nunca",
  ]

  /// Splits a text into words, in order: runs of letters, and numbers with their points and commas.
  /// Each character of a script without spaces is a word.
  ///
  /// - Parameter readsNumbers: whether equal numbers become equal words, such as "1,000.50" and
  ///   "1000.5".
  static func split(_ text: String, readsNumbers: Bool = true) -> [String] {
    var words: [String] = []
    var word = ""
    func close() {
      while let last = word.last, last == "." || last == "," { word.removeLast() }
      if !word.isEmpty { words.append(readsNumbers ? number(word) ?? word : word) }
      word = ""
    }
    let apart = text.lowercased().replacing("n't", with: " not").replacing("n’t", with: " not")
    for character in apart {
      if isUnspaced(character) {
        close()
        words.append(String(character))
      } else if character.isLetter || character.isNumber {
        word.append(character)
      } else if character == "." || character == ",", word.last?.isNumber == true {
        word.append(character)
      } else {
        close()
      }
    }
    close()
    // Drop the "s" of "Anna's".
    return words.filter { $0 != "s" }
  }

  /// The content words of a text, as stems. Common words and negations are left out.
  static func content(_ words: [String]) -> Set<String> {
    Set(words.lazy.filter { !common.contains($0) && !negations.contains($0) }.map { stem($0) })
  }

  static func isNumber(_ word: String) -> Bool { word.first?.isNumber == true }

  /// Normalises a number: "1,000.50" and "1000.5" are equal. `nil` means that it is not a number.
  private static func number(_ word: String) -> String? {
    guard word.first?.isNumber == true,
      word.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "." || $0 == "," })
    else { return nil }
    var plain = word.filter { $0 != "," }
    // A single comma is a decimal comma unless exactly three digits follow it.
    let parts = word.split(separator: ",", omittingEmptySubsequences: false)
    if parts.count == 2, parts[1].count != 3, !word.contains(".") {
      plain = "\(parts[0]).\(parts[1])"
    }
    if plain.contains("."), plain.filter({ $0 == "." }).count == 1 {
      while plain.last == "0" { plain.removeLast() }
      if plain.last == "." { plain.removeLast() }
    }
    return plain
  }

  /// Removes English endings that do not matter for comparison. Words of other languages lose
  /// little.
  private static func stem(_ word: String) -> String {
    guard word.count > 4, !isNumber(word) else { return word }
    for ending in ["ing", "ies", "ed", "es", "s"] where word.hasSuffix(ending) {
      let rest = word.dropLast(ending.count)
      guard rest.count >= 3, !rest.hasSuffix("s") || ending != "s" else { continue }
      return String(rest)
    }
    return word.hasSuffix("e") || word.hasSuffix("y") ? String(word.dropLast()) : word
  }

  static func isUnspaced(_ character: Character) -> Bool {
    guard let scalar = character.unicodeScalars.first?.value, scalar >= 0x2E80 else { return false }
    switch scalar {
    case 0x3041...0x30FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0x20000...0x3FFFF: return true
    default: return false
    }
  }
}
