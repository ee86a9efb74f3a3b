import ClusterModel
import Text

/// A question with a one-word answer. The members' answers are counted and not merged.
struct ClosedQuestion {
  /// Instruction that makes the members' answers comparable. It is not a contract, so a small model
  /// that replies "Yes, it is." still votes.
  var instruction: String

  /// - Returns: `nil` if the query wants more than a word.
  init?(_ basis: PlanBasis) {
    let request = basis.request
    // One word would break the form of a structured answer. Documents need a longer answer.
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
    } else if text.containsBytes(of: "yes or no") || Self.isPolar(request.query, words) {
      instruction = "Reply with yes or no only."
    } else if Self.numberPhrases.contains(where: text.containsBytes(of:)) || Self.isSum(words),
      Self.isOneSentence(request.query)
    {
      instruction = "Reply with the number only."
    } else if Self.wordPhrases.contains(where: text.containsBytes(of:)) {
      instruction = "Reply with that alone, without a sentence around it."
    } else {
      return nil
    }
  }

  /// Maximum words of the query. A longer query asks for work rather than for one word.
  private static let mostWords = 120

  /// Words that ask for more than a one-word answer.
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

  /// True for a calculation with numbers alone. If it has other words, the result may be a formula.
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

  /// True if the query has a second question, which needs another answer: "… and how do we know?",
  /// "…, what are they called?".
  private static func asksMore(_ query: String) -> Bool {
    var hasAsked = false
    var before: Substring = ""
    for word in query.split(whereSeparator: \.isWhitespace) {
      let bare = word.lowercased().filter(\.isLetter)
      if hasAsked {
        if joints.contains(before.lowercased()), followers.contains(bare) { return true }
        // "which" is excluded: "…, which is even, …" is a relative clause.
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

  /// True for "Is it …?", but not for "Is it this or that?", because "yes" would not answer it.
  private static func isPolar(_ query: String, _ words: [String]) -> Bool {
    guard let first = words.first, polarOpeners.contains(first), isOneSentence(query),
      query.trimmingSpace.hasSuffix("?"), !words.contains("or")
    else { return false }
    // "Can you …?" asks for an action.
    return words.dropFirst().first != "you"
  }

  /// True if the query lists options to choose from: at least two lines that begin with A, B and so
  /// on, after text that a choice can answer.
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
        // A repeated label with a colon is a speaker of a dialogue.
        return false
      }
    }
    guard options.count > 1, !options.contains(where: { isDialogue($0.text, after: $0.mark) })
    else {
      return false
    }
    let questionText = before.joined(separator: "\n")
    let words = questionText.lowercasedWords
    if questionText.contains("?") || words.contains(where: choosing.contains) { return true }
    // Lines of a dialogue ("A: …") and texts for a command ("Translate …") are not options.
    return options[0].mark != ":"
      && !words.prefix(3).contains { SplitWords.commands.contains($0) && !naming.contains($0) }
  }

  /// True if the option is a line of dialogue: a question or, after a colon, a sentence.
  private static func isDialogue(_ text: String, after mark: Character) -> Bool {
    text.hasSuffix("?") || mark == ":" && (text.hasSuffix(".") || text.hasSuffix("!"))
  }

  /// Commands that can be answered by choosing one option.
  private static let naming: Set<String> = ["answer", "find", "identify", "name", "tell"]
  private static let choosing: Set<String> = [
    "choice", "choose", "correct", "option", "options", "pick", "select", "which",
  ]
}
