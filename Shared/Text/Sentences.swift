/// Cuts a text into what its marks and lines separate.
public enum Sentences {
  /// The sentences in their order, without the white space around them. A line's end ends one, too.
  public static func split(_ text: some StringProtocol) -> [String] {
    var sentences: [String] = []
    for line in text.split(whereSeparator: \.isNewline) { append(line, to: &sentences) }
    return sentences
  }

  private static func append(_ line: some StringProtocol, to sentences: inout [String]) {
    var start = line.startIndex
    var index = line.startIndex
    while index < line.endIndex {
      let next = line.index(after: index)
      let isMark = line[index] == "." || line[index] == "?" || line[index] == "!"
      if isMark, next == line.endIndex || line[next].isWhitespace,
        line[index] != "." || endsSentence(line[start..<index])
      {
        add(line[start..<next], to: &sentences)
        start = next
      }
      index = next
    }
    add(line[start...], to: &sentences)
  }

  private static func add(_ piece: some StringProtocol, to sentences: inout [String]) {
    let trimmed = piece.trimmingSpace
    if trimmed.contains(where: { $0.isLetter || $0.isNumber }) { sentences.append(trimmed) }
  }

  /// Whether a full stop behind this ends a sentence: not behind "e.g", an initial or a number that
  /// opens a line.
  private static func endsSentence(_ text: some StringProtocol) -> Bool {
    let last = text.split(whereSeparator: \.isWhitespace).last.map { $0.lowercased() } ?? ""
    if last.count == 1, last.first?.isLetter == true { return false }
    if last.allSatisfy(\.isNumber), text.trimmingSpace.count == last.count { return false }
    return !abbreviations.contains(last)
  }

  private static let abbreviations: Set<String> = [
    "e.g", "i.e", "vs", "dr", "mr", "mrs", "ms", "prof", "st", "no", "fig", "approx", "cf", "(e.g",
    "(i.e",
  ]
}

extension StringProtocol {
  /// Without the white space at both ends.
  public var trimmingSpace: String {
    guard let first = firstIndex(where: { !$0.isWhitespace }),
      let last = lastIndex(where: { !$0.isWhitespace })
    else { return "" }
    return String(self[first...last])
  }

  /// Its words in lower case: letters, digits and what names of languages hold (`c++`, `c#`).
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

  /// Whether it has these bytes of UTF-8 in it. Unlike `contains`, it compares no characters, so it is
  /// quick enough for a hundred phrases.
  public func holds(_ phrase: String) -> Bool {
    let wanted = phrase.utf8
    guard let first = wanted.first else { return true }
    let text = utf8
    var index = text.startIndex
    while let start = text[index...].firstIndex(of: first) {
      if text[start...].starts(with: wanted) { return true }
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
