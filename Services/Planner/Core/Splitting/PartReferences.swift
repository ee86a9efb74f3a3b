import Text

/// Finds the earlier parts that a part refers to.
enum PartReferences {
  /// - Parameter hasContext: true if text before all parts exists that pronouns may refer to.
  /// - Returns: indices of earlier parts.
  static func needs(of part: String, at place: Int, hasContext: Bool) -> [Int] {
    switch reference(of: part, at: place, hasContext: hasContext) {
    case .none: []
    case .previous: [place - 1]
    case .all: Array(0..<place)
    }
  }

  /// True if a part refers to an earlier one. Unlike the cost of `needs`, the cost does not grow
  /// with `place`.
  static func needsOthers(_ part: String, at place: Int, hasContext: Bool) -> Bool {
    reference(of: part, at: place, hasContext: hasContext) != .none
  }

  private enum Reference { case none, previous, all }

  private static func reference(of part: String, at place: Int, hasContext: Bool) -> Reference {
    guard place > 0 else { return .none }
    let text = part.lowercased()
    let words = part.lowercasedWords
    if strongPlural.contains(where: text.containsBytes(of:)) { return .all }
    if let first = commandWords(words).first, SplitWords.closing.contains(first),
      words.contains(where: plural.contains)
    {
      return .all
    }
    if strong.contains(where: text.containsBytes(of:)) { return .previous }
    guard !hasContext else { return .none }
    // An early pronoun cannot refer to its own sentence, so it refers to an earlier part.
    let early = commandWords(words).prefix(earlyWords)
    if early.contains(where: plural.contains) { return .all }
    if early.contains(where: pronouns.contains) { return .previous }
    return .none
  }

  private static let earlyWords = 7

  /// Drops leading filler words such as "please" and "then".
  static func commandWords(_ words: [String]) -> ArraySlice<String> {
    words.drop { SplitWords.leads.contains($0) }
  }

  private static let pronouns: Set<String> = [
    "he", "her", "him", "his", "it", "its", "she", "that", "this",
  ]
  private static let plural: Set<String> = [
    "all", "both", "them", "their", "these", "they", "those", "three", "two",
  ]
  private static let strong = [
    "the above", "the previous", "the result", "the output", "that function", "that result",
    "the function you", "the code you", "based on that", "based on this", "based on the",
    "from step", "your answer", "the former", "the latter", "using that", "using this",
    "from that", "from this", "with that", "with this", "the resulting", "the same",
  ]
  private static let strongPlural = [
    "the results", "the above answers", "all of the above", "your answers", "these results",
    "those results", "based on these", "based on those", "based on your", "the findings",
    "these findings", "all of them", "of these", "a recommendation", "a conclusion", "a verdict",
  ]
}
