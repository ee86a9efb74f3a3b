/// Reduces a text to its short answer, in a form that can be compared. For example, `B`, `(b)` and
/// `**Answer:** B.` become equal, and so do `42`, `42.0` and `The answer is 42.`
public enum ShortAnswer {
  /// The answer that the text names. If a long text names none, the result is its last line, if
  /// this line is short. In all other cases the result is the whole text.
  /// - Parameter hasOptions: whether `B. Paris` means the option B, not a person's name.
  static func of(_ text: String, hasOptions: Bool = false) -> String {
    let text = Normaliser.normalised(ComparedText.bounded(text))
    if let named = named(inNormalised: text, hasOptions) { return named }
    let whole = simplified(text[...], hasOptions)
    guard NormalWords.words(of: text).count > ComparedText.shortWords else { return whole }
    let last = lines(of: text).last ?? text[...]
    // A last line as long as a sentence is no answer by itself.
    let words = NormalWords.words(of: String(last)).count
    return words <= ComparedText.shortWords && words > 0 ? simplified(last, hasOptions) : whole
  }

  /// The answer that the text names. `nil` means that it names none.
  public static func named(in text: String) -> String? {
    named(inNormalised: Normaliser.normalised(ComparedText.bounded(text)), false)
  }

  /// Whether the answer is one of the letters a to h alone, as in a choice among options.
  static func isChoice(_ answer: String) -> Bool {
    answer.count == 1 && answer.first.map { ("a"..."h").contains($0) } == true
  }

  private static func named(inNormalised text: String, _ hasOptions: Bool) -> String? {
    if let boxed = boxed(in: text) { return boxed }
    for line in lines(of: text).reversed() {
      let words = line.split(whereSeparator: { $0.isWhitespace })
      // Take the last mention within the line, because it may correct an earlier one.
      for index in words.indices.reversed() {
        guard let length = introduction(words[index...]) else { continue }
        let answer = simplified(clause(words[(index + length)...])[...], hasOptions)
        if !answer.isEmpty { return answer }
      }
    }
    return nil
  }

  /// Number of words at the start that introduce an answer. `nil` means that they introduce none.
  private static func introduction(_ words: ArraySlice<Substring>) -> Int? {
    guard let first = words.first else { return nil }
    let bare = letters(first)
    guard introductions.contains(bare) else { return nil }
    if first.contains(where: { $0 == ":" || $0 == "=" }) { return 1 }
    guard let second = words.dropFirst().first else { return nil }
    if ["is", "would", "should"].contains(letters(second)) {
      let third = words.dropFirst(2).first.map(letters)
      return third == "be" ? 3 : 2
    }
    return second.hasPrefix(":") || second == "=" ? 2 : nil
  }

  /// The words up to the end of their clause: `42` of `42, because …`.
  private static func clause(_ words: ArraySlice<Substring>) -> String {
    var clause: [Substring] = []
    var names: NamesToClauseEnd?
    for (place, word) in zip(words.indices, words) {
      if reasons.contains(letters(word)) { break }
      clause.append(word)
      if isInitial(word) {
        let ends = names ?? NamesToClauseEnd(words)
        names = ends
        if ends.begins(at: place + 1) { continue }
      }
      if let last = word.last, [",", ".", ";", "!"].contains(last) { break }
    }
    return clause.joined(separator: " ")
  }

  /// Whether the word is like `F.`: an initial of `F. Kafka`, or the choice `F` at the end of a
  /// sentence.
  private static func isInitial(_ word: Substring) -> Bool {
    word.utf8.count <= 8 && word.count == 2 && word.hasSuffix(".")
      && word.first?.isUppercase == true
  }

  /// For each word, whether all words from there to the end of the clause are capitalised. The
  /// flags are computed once, from the end, because a line of initials needs them at every word.
  private struct NamesToClauseEnd {
    private var begins: [Bool]
    private let first: Int

    init(_ words: ArraySlice<Substring>) {
      first = words.startIndex
      begins = Array(repeating: false, count: words.count)
      for place in words.indices.reversed() {
        let word = words[place]
        guard word.first?.isUppercase == true else { continue }
        let isEnd =
          word.last.map { [",", ".", ";", "!"].contains($0) } == true && !isInitial(word)
        begins[place - first] =
          isEnd || place + 1 == words.endIndex || begins[place + 1 - first]
      }
    }

    func begins(at place: Int) -> Bool {
      begins.indices.contains(place - first) && begins[place - first]
    }
  }

  private static let reasons: Set<String> = ["because", "since", "as"]
  private static let introductions: Set<String> = ["answer", "result", "solution", "verdict"]

  private static func letters(_ word: Substring) -> String {
    String(word.lowercased().filter { $0.isLetter })
  }

  /// Content of the last `\boxed{…}`, which models trained on mathematics write.
  private static func boxed(in text: String) -> String? {
    guard let start = text.ranges(of: "\\boxed{").last?.upperBound,
      let end = closingBrace(of: text[start...])
    else { return nil }
    // Remove the braces of fractions, otherwise a sign before a fraction would be lost.
    let plain = text[start..<end].replacing(#/\\[dt]?frac\{(\d+)\}\{(\d+)\}/#) { match in
      "\(match.1)/\(match.2)"
    }
    let answer = simplified(plain[...], false)
    return answer.isEmpty ? nil : answer
  }

  /// Index of the brace that closes a brace opened before the text.
  private static func closingBrace(of text: Substring) -> String.Index? {
    var open = 1
    for index in text.indices {
      if text[index] == "{" { open += 1 }
      if text[index] == "}" { open -= 1 }
      if open == 0 { return index }
    }
    return nil
  }

  private static func lines(of text: String) -> [Substring] {
    text.split(whereSeparator: \.isNewline).filter { !$0.allSatisfy(\.isWhitespace) }
  }

  // MARK: - Comparable form

  private static func simplified(_ text: Substring, _ hasOptions: Bool) -> String {
    if let letter = choiceLetter(text, hasOptions) { return letter }
    if let opinion = opinion(text) { return opinion }
    var words = NormalWords.words(of: String(text))[...]
    while words.count > 1, fillers.contains(words[words.startIndex]) { words.removeFirst() }
    return words.joined(separator: " ")
  }

  private static let fillers: Set<String> = [
    "the", "its", "it", "is", "option", "choice", "answer", "so", "therefore", "thus", "hence",
  ]

  /// The letter of `B`, `(B)`, `B.` and `B) Paris`, and of `B. Paris` if there are options. `nil`
  /// means that the text has none of these forms.
  private static func choiceLetter(_ text: Substring, _ hasOptions: Bool) -> String? {
    let bare = text.drop { !$0.isLetter && !$0.isNumber }
    guard let letter = bare.first, letter.isASCII, ("A"..."H").contains(letter.uppercased())
    else { return nil }
    let rest = bare.dropFirst()
    guard let next = rest.first else { return letter.lowercased() }
    if [")", ":", "]", "*"].contains(next) { return letter.lowercased() }
    if next == "." {
      // "B." on a line of its own and "**B.** Paris" are choices; "F. Kafka" is one only if there
      // are options.
      let following = rest.dropFirst().first
      if hasOptions || following == "*" || following?.isNewline == true {
        return letter.lowercased()
      }
    }
    return rest.allSatisfy { !$0.isLetter && !$0.isNumber } ? letter.lowercased() : nil
  }

  /// The opinion (yes, no, true or false) that the text begins with: `yes` for `Yes, it is.`, but
  /// `nil` for `No one knows`.
  private static func opinion(_ text: Substring) -> String? {
    let bare = text.drop { !$0.isLetter && !$0.isNumber }
    let word = bare.prefix { $0.isLetter }
    guard opinions.contains(word.lowercased()) else { return nil }
    let next = bare.dropFirst(word.count).first
    return next == nil || [",", ".", ";", "!", "*", ":"].contains(next)
      || bare.dropFirst(word.count).allSatisfy { !$0.isLetter && !$0.isNumber }
      ? word.lowercased() : nil
  }

  private static let opinions: Set<String> = ["yes", "no", "true", "false"]
}
