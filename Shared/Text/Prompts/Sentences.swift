/// Splits a text into sentences, in time linear in its bytes.
public enum Sentences {
  /// The sentences in order, without the white space around them. The end of a line ends a
  /// sentence, too.
  public static func split(_ text: some StringProtocol) -> [String] {
    var work = 0
    return split(text, work: &work)
  }

  /// - Parameter work: grows with the examined characters.
  static func split(_ text: some StringProtocol, work: inout Int) -> [String] {
    var sentences: [String] = []
    for line in text.split(whereSeparator: \.isNewline) {
      append(line, to: &sentences, work: &work)
    }
    return sentences
  }

  private static func append(
    _ line: some StringProtocol, to sentences: inout [String], work: inout Int
  ) {
    var start = line.startIndex
    var index = line.startIndex
    var word = LastWord(start)
    while index < line.endIndex {
      work += 1
      let next = line.index(after: index)
      let character = line[index]
      let isMark = character == "." || character == "?" || character == "!"
      if isMark, next == line.endIndex || line[next].isWhitespace,
        character != "." || endsSentence(line[word.start..<word.end], word, work: &work)
      {
        add(line[start..<next], to: &sentences)
        start = next
        word = LastWord(next)
      } else {
        word.take(isSpace: character.isWhitespace, from: index, to: next)
      }
      index = next
    }
    add(line[start...], to: &sentences)
  }

  /// The last word of the sentence so far. White space may follow the word.
  private struct LastWord {
    var start: String.Index
    var end: String.Index
    /// Whether the word is the first one of the sentence.
    var isFirst = true
    private var isOpen = false

    init(_ start: String.Index) {
      self.start = start
      end = start
    }

    mutating func take(isSpace: Bool, from index: String.Index, to next: String.Index) {
      guard !isSpace else {
        isOpen = false
        return
      }
      if !isOpen {
        isFirst = start == end
        start = index
        isOpen = true
      }
      end = next
    }
  }

  private static func add(_ piece: some StringProtocol, to sentences: inout [String]) {
    let trimmed = piece.trimmingSpace
    if trimmed.contains(where: { $0.isLetter || $0.isNumber }) { sentences.append(trimmed) }
  }

  /// Whether a full stop after this word ends a sentence. A full stop after "e.g", after an
  /// initial, or after a number at the beginning of the sentence does not.
  private static func endsSentence(
    _ written: some StringProtocol, _ word: LastWord, work: inout Int
  ) -> Bool {
    let last = written.lowercased()
    work += last.utf8.count
    if let first = last.first, first.isLetter, last.dropFirst().isEmpty { return false }
    if word.isFirst, last.allSatisfy(\.isNumber) { return false }
    return !abbreviations.contains(last)
  }

  private static let abbreviations: Set<String> = [
    "e.g", "i.e", "vs", "dr", "mr", "mrs", "ms", "prof", "st", "no", "fig", "approx", "cf", "(e.g",
    "(i.e",
  ]
}

extension StringProtocol {
  /// The text without the white space at both ends.
  public var trimmingSpace: String {
    guard let first = firstIndex(where: { !$0.isWhitespace }),
      let last = lastIndex(where: { !$0.isWhitespace })
    else { return "" }
    return String(self[first...last])
  }

  /// The words in lower case: letters, digits, `_`, and the signs `+` and `#` (`c++`, `c#`).
  public var lowercasedWords: [String] {
    var words: [String] = []
    let scalars = lowercased().unicodeScalars
    var start: String.Index?
    for index in scalars.indices {
      if scalars[index].isOfWord {
        if start == nil { start = index }
      } else if let begun = start {
        words.append(String(scalars[begun..<index]))
        start = nil
      }
    }
    if let begun = start { words.append(String(scalars[begun...])) }
    return words
  }

  /// Whether the text contains these bytes of UTF-8. Unlike `contains`, it does not compare
  /// characters, so it is fast enough for a hundred phrases.
  public func containsBytes(of phrase: String) -> Bool {
    let sought = phrase.utf8
    guard let first = sought.first else { return true }
    let text = utf8
    var index = text.startIndex
    while let start = text[index...].firstIndex(of: first) {
      if text[start...].starts(with: sought) { return true }
      index = text.index(after: start)
    }
    return false
  }
}

extension Unicode.Scalar {
  fileprivate var isOfWord: Bool {
    switch value {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case 0x23, 0x2B, 0x5F: true
    case 0..<0x80: false
    default: properties.isAlphabetic || properties.numericType != nil
    }
  }
}
