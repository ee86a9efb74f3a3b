import ClusterModel

/// A sentence, as far as it can be compared with another.
struct Sentence: Equatable, Sendable {
  var text: String
  var content: Set<String>
  var numbers: Set<String>
  var isNegated: Bool
  /// Numbers of the sources that it cites.
  var cited: Set<Int>

  init(_ written: Substring) {
    var cited: Set<Int> = []
    var plain = written
    // "[2]" is no number of the sentence.
    for match in written.matches(of: #/\[(\d{1,3})\]/#) {
      if let number = Int(match.1) { cited.insert(number) }
    }
    if !cited.isEmpty { plain = written.replacing(#/\s*\[\d{1,3}\]/#, with: "") }
    let words = Words.split(String(plain))
    text = String(plain)
    content = Words.content(words.filter { !Words.isNumber($0) })
    numbers = Set(words.filter(Words.isNumber))
    isNegated = words.contains(where: Words.negations.contains)
    self.cited = cited
  }

  /// Sentences of a text, at most so many: lines, cut behind a full stop. Headings, questions and code
  /// claim nothing.
  static func all(of text: String, atMost limit: Int) -> [Sentence] {
    var sentences: [Sentence] = []
    var isCode = false
    for line in text.split(whereSeparator: \.isNewline) {
      let trimmed = line.drop { $0 == " " || $0 == "\t" }
      if trimmed.hasPrefix("```") || trimmed.hasPrefix("~~~") { isCode.toggle() }
      guard !isCode, !trimmed.hasPrefix("#"), !trimmed.hasPrefix("```") else { continue }
      for piece in pieces(of: withoutBullet(trimmed), atMost: limit) where !piece.hasSuffix("?") {
        guard sentences.count < limit else { return sentences }
        let sentence = Sentence(piece)
        if !sentence.content.isEmpty || !sentence.numbers.isEmpty || !sentence.cited.isEmpty {
          sentences.append(sentence)
        }
      }
    }
    return sentences
  }

  private static func withoutBullet(_ line: Substring) -> Substring {
    let marks = line.prefix { "-*•>".contains($0) }
    if !marks.isEmpty { return line.dropFirst(marks.count).drop { $0 == " " } }
    // "3. ": the number of an item is no number of the sentence.
    let digits = line.prefix { $0.isASCII && $0.isNumber }
    let rest = line.dropFirst(digits.count)
    guard !digits.isEmpty, digits.count <= 2, rest.hasPrefix(". ") || rest.hasPrefix(") ") else {
      return line
    }
    return rest.dropFirst(2)
  }

  /// Cut behind a full stop that white space follows, and behind the citation after it.
  private static func pieces(of line: Substring, atMost limit: Int) -> [Substring] {
    var pieces: [Substring] = []
    var start = line.startIndex
    var index = line.startIndex
    while index < line.endIndex, pieces.count < limit {
      let character = line[index]
      index = line.index(after: index)
      guard ".!?。！？".contains(character) else { continue }
      guard index == line.endIndex || line[index] == " " || "。！？".contains(character) else {
        continue
      }
      // "It is so. [1]": the citation belongs to what it follows.
      if let match = line[index...].prefixMatch(of: #/(\s*\[\d{1,3}\])+/#) {
        index = match.range.upperBound
      }
      pieces.append(line[start..<index])
      start = index
    }
    if start < line.endIndex, pieces.count < limit { pieces.append(line[start...]) }
    return pieces.map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
  }
}
