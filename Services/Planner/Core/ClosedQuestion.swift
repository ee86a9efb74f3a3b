import ClusterModel
import Text

/// A question whose answer is a word: several short answers are counted rather than rewritten.
struct ClosedQuestion {
  /// What the members are told, so that their answers can be compared. Asked for rather than
  /// enforced: a small model that says "Yes, it is." has voted all the same.
  var instruction: String

  /// - Returns: nil when more than a word is wanted.
  init?(_ basis: PlanBasis) {
    let request = basis.request
    // Structured answers have a form that a word would break; documents are read and reported on.
    guard !request.isStructured, request.documents.isEmpty,
      basis.features.shape.words <= Self.mostWords, !basis.features.isAboutCode
    else { return nil }
    let text = request.query.lowercased()
    let words = request.query.lowercasedWords
    guard !words.contains(where: Self.openWords.contains) else { return nil }
    if Self.hasChoices(request.query) {
      instruction = "Reply with the letter of the right choice only."
    } else if text.holds("yes or no") || Self.isPolar(request.query, words) {
      instruction = "Reply with yes or no only."
    } else if Self.numberPhrases.contains(where: text.holds), Self.isOneSentence(request.query) {
      instruction = "Reply with the number only."
    } else if Self.wordPhrases.contains(where: text.holds) {
      instruction = "Reply with that alone, without a sentence around it."
    } else {
      return nil
    }
  }

  /// Behind more than this, it is a task rather than a question.
  private static let mostWords = 120

  /// What wants more than a word.
  private static let openWords: Set<String> = [
    "analyse", "analyze", "compare", "describe", "discuss", "elaborate", "essay", "explain",
    "list", "outline", "show", "story", "summarise", "summarize", "why", "write",
  ]

  private static let numberPhrases = [
    "how many", "how much", "what is the sum", "what is the product", "what percentage",
    "what year", "which year", "calculate", "compute", "only the number", "a single number",
    "one number",
  ]

  private static let wordPhrases = [
    "one word", "single word", "one-word", "only the name", "just the name", "only the answer",
    "just the answer", "only the word", "true or false",
  ]

  private static let polarOpeners: Set<String> = [
    "are", "can", "could", "did", "do", "does", "had", "has", "have", "is", "was", "were", "will",
  ]

  private static func isOneSentence(_ query: String) -> Bool { Sentences.split(query).count == 1 }

  /// "Is it …?", but not "Is it this or that?", which a yes does not answer.
  private static func isPolar(_ query: String, _ words: [String]) -> Bool {
    guard let first = words.first, polarOpeners.contains(first), isOneSentence(query),
      query.trimmingSpace.hasSuffix("?"), !words.contains("or")
    else { return false }
    // "Can you …?" asks for a deed.
    return words.dropFirst().first != "you"
  }

  /// Whether there are options to choose from: lines that begin with A, B and so on, at least two.
  private static func hasChoices(_ query: String) -> Bool {
    var found = 0
    for line in query.split(whereSeparator: \.isNewline) {
      let option = line.trimmingSpace.drop { $0 == "(" }
      guard found < 26, let first = option.first, let mark = option.dropFirst().first else {
        continue
      }
      let wanted = String(Character(Unicode.Scalar(UInt8(ascii: "A") + UInt8(found))))
      if first.uppercased() == wanted, mark == ")" || mark == "." || mark == ":" { found += 1 }
    }
    return found > 1
  }
}
