/// The short answer that a text comes down to, in a form in which equal answers are equal: `B`,
/// `(b)` and `**Answer:** B.`, or `42`, `42.0` and `The answer is 42.`
enum ShortAnswer {
  /// What the text names as its answer, else its last line, else all of it.
  /// - Parameter hasOptions: `B. Paris` is the option B, and not what somebody is called.
  static func of(_ text: String, hasOptions: Bool = false) -> String {
    let text = Normaliser.normalised(ComparedText.bounded(text))
    if let named = named(inNormalised: text, hasOptions) { return named }
    let whole = simplified(text[...], hasOptions)
    guard NormalWords.words(of: text).count > ComparedText.shortWords else { return whole }
    let last = lines(of: text).last ?? text[...]
    // A last line that is as long as a sentence is no answer by itself.
    let words = NormalWords.words(of: String(last)).count
    return words <= ComparedText.shortWords && words > 0 ? simplified(last, hasOptions) : whole
  }

  /// What the text says its answer is; nil: it does not say.
  static func named(in text: String) -> String? {
    named(inNormalised: Normaliser.normalised(ComparedText.bounded(text)), false)
  }

  /// Whether it is a letter alone, as whoever chose among options says it.
  static func isChoice(_ answer: String) -> Bool {
    answer.count == 1 && answer.first.map { ("a"..."h").contains($0) } == true
  }

  private static func named(inNormalised text: String, _ hasOptions: Bool) -> String? {
    if let boxed = boxed(in: text) { return boxed }
    for line in lines(of: text).reversed() {
      let words = line.split(whereSeparator: { $0.isWhitespace })
      // The last mention within the line, because it may be corrected there.
      for index in words.indices.reversed() {
        guard let length = introduction(words[index...]) else { continue }
        let answer = simplified(clause(words[(index + length)...])[...], hasOptions)
        if !answer.isEmpty { return answer }
      }
    }
    return nil
  }

  /// How many words, from the first of them on, say that an answer follows.
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

  /// `F.` of `F. Kafka`, or the choice `F`, after which a sentence ends.
  private static func isInitial(_ word: Substring) -> Bool {
    word.utf8.count <= 8 && word.count == 2 && word.hasSuffix(".")
      && word.first?.isUppercase == true
  }

  /// From which words on there are only words with a capital up to the end of their clause. Made from
  /// the end, once: a line of initials asks for it at every word.
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

  /// What stands in the last `\boxed{…}`, as models write it that were trained on mathematics.
  private static func boxed(in text: String) -> String? {
    guard let start = text.ranges(of: "\\boxed{").last?.upperBound,
      let end = closingBrace(of: text[start...])
    else { return nil }
    // Without its braces, a sign before it would be the sign of nothing.
    let plain = text[start..<end].replacing(#/\\[dt]?frac\{(\d+)\}\{(\d+)\}/#) { match in
      "\(match.1)/\(match.2)"
    }
    let answer = simplified(plain[...], false)
    return answer.isEmpty ? nil : answer
  }

  /// Where the brace is closed that was opened before the text.
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

  // MARK: - The form in which answers are compared

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

  /// The letter of `B`, `(B)`, `B.` and `B) Paris`, and of `B. Paris` where there are options; nil for
  /// everything that only begins with one.
  private static func choiceLetter(_ text: Substring, _ hasOptions: Bool) -> String? {
    let bare = text.drop { !$0.isLetter && !$0.isNumber }
    guard let letter = bare.first, letter.isASCII, ("A"..."H").contains(letter.uppercased())
    else { return nil }
    let rest = bare.dropFirst()
    guard let next = rest.first else { return letter.lowercased() }
    if [")", ":", "]", "*"].contains(next) { return letter.lowercased() }
    if next == "." {
      // "B.", a line of its own and "**B.** Paris", but "F. Kafka" only where it cannot be a name.
      let behind = rest.dropFirst().first
      if hasOptions || behind == "*" || behind?.isNewline == true { return letter.lowercased() }
    }
    return rest.allSatisfy { !$0.isLetter && !$0.isNumber } ? letter.lowercased() : nil
  }

  /// The first word of `Yes, it is.`; nil for `No one knows`.
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
