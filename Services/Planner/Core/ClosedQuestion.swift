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
    guard !words.contains(where: Self.openWords.contains), !Self.asksMore(request.query) else {
      return nil
    }
    if Self.hasChoices(request.query) {
      instruction = "Reply with the letter of the right choice only."
    } else if text.holds("yes or no") || Self.isPolar(request.query, words) {
      instruction = "Reply with yes or no only."
    } else if Self.numberPhrases.contains(where: text.holds) || Self.isSum(words),
      Self.isOneSentence(request.query)
    {
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
    "what year", "which year", "only the number", "a single number", "one number",
  ]

  private static let wordPhrases = [
    "one word", "single word", "one-word", "only the name", "just the name", "only the answer",
    "just the answer", "only the word", "true or false",
  ]

  /// What is computed from numbers alone is a number; from anything else it may be a formula.
  private static func isSum(_ words: [String]) -> Bool {
    let rest = words.drop { $0 == "please" }
    guard let first = rest.first, first == "calculate" || first == "compute" else { return false }
    let operands = rest.dropFirst()
    return operands.contains { Int($0) != nil }
      && operands.allSatisfy { Int($0) != nil || sumWords.contains($0) }
  }

  private static let sumWords: Set<String> = [
    "+", "and", "average", "by", "cubed", "difference", "divided", "from", "mean", "minus",
    "multiplied", "of", "percent", "please", "plus", "power", "product", "quotient", "root",
    "square", "squared", "sum", "the", "times", "to", "value",
  ]

  /// "… and how do we know?", "…, what are they called?": a second question, which no word answers
  /// that answers the first.
  private static func asksMore(_ query: String) -> Bool {
    var hasAsked = false
    var before: Substring = ""
    for word in query.split(whereSeparator: \.isWhitespace) {
      let bare = word.lowercased().filter(\.isLetter)
      if hasAsked {
        if joints.contains(before.lowercased()), followers.contains(bare) { return true }
        // "…, which is even, …" says more of the same.
        if before.hasSuffix(","), ["how", "what"].contains(bare) { return true }
      }
      hasAsked = hasAsked || leaders.contains(bare) || before.isEmpty && polarOpeners.contains(bare)
      before = word
    }
    return false
  }

  private static let joints: Set<String> = ["also", "and", "but", "plus", "then"]
  private static let leaders: Set<String> = ["how", "what", "which", "who", "whom", "whose"]
  private static let followers = leaders.union(["when", "where"])

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

  /// Whether there are options to choose from: lines that begin with A, B and so on, at least two,
  /// under something that can be answered by choosing.
  private static func hasChoices(_ query: String) -> Bool {
    var before: [Substring] = []
    var options: [(mark: Character, text: String)] = []
    for line in query.split(whereSeparator: \.isNewline) {
      let option = line.trimmingSpace.drop { $0 == "(" }
      guard let first = option.first, let mark = option.dropFirst().first, ").:".contains(mark),
        let number = first.uppercased().unicodeScalars.first?.value, (65...90).contains(number)
      else {
        if options.isEmpty { before.append(line) }
        continue
      }
      let text = option.dropFirst(2).trimmingSpace
      if Int(number) - 65 == options.count {
        options.append((mark, text))
      } else if mark == ":", number - 65 < options.count {
        // Whoever spoke before speaks again.
        return false
      }
    }
    guard options.count > 1, !options.contains(where: { isSpoken($0.text, behind: $0.mark) }) else {
      return false
    }
    let asked = before.joined(separator: "\n")
    let words = asked.lowercasedWords
    if asked.contains("?") || words.contains(where: choosing.contains) { return true }
    // A task for each of them is no choice, and neither are lines that somebody says.
    return options[0].mark != ":"
      && !words.prefix(3).contains { SplitWords.commands.contains($0) && !naming.contains($0) }
  }

  /// A question is no option; behind a colon, a sentence is what somebody says.
  private static func isSpoken(_ text: String, behind mark: Character) -> Bool {
    text.hasSuffix("?") || mark == ":" && (text.hasSuffix(".") || text.hasSuffix("!"))
  }

  /// Commands that one option can fulfil.
  private static let naming: Set<String> = ["answer", "find", "identify", "name", "tell"]
  private static let choosing: Set<String> = [
    "choice", "choose", "correct", "option", "options", "pick", "select", "which",
  ]
}
