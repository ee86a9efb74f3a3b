import ClusterModel
import Limits

/// A sentence, prepared for comparison with another.
struct Sentence: Equatable, Sendable {
  var text: String
  var content: Set<String>
  var numbers: Set<String>
  var isNegated: Bool
  /// Numbers of the cited sources.
  var cited: Set<Int>

  /// - Parameter limit: maximum words to compare. More words would only cost time.
  init(_ written: Substring, words limit: Int = .max, work: inout Int) {
    // "[2]" does not count as a number of the sentence.
    let (plain, cited) = Self.withoutCitations(written)
    work += written.utf8.count
    let read = limit == .max ? plain : plain.cut(toBytes: limit.multipliedCapped(by: 16))
    let words = WordSplitter.split(read).prefix(limit)
    work += words.count
    text = plain
    content = WordSplitter.content(words.filter { !WordSplitter.isNumber($0) })
    numbers = Set(words.filter(WordSplitter.isNumber))
    isNegated = words.contains(where: WordSplitter.negations.contains)
    self.cited = cited
  }

  /// Removes citations such as `[1]` and the white space before them, and returns their numbers.
  private static func withoutCitations(_ written: Substring) -> (plain: String, cited: Set<Int>) {
    var cited: Set<Int> = []
    var plain: [UInt8] = []
    let bytes = Array(written.utf8)
    var position = 0
    while position < bytes.count {
      guard let citation = citation(in: bytes, at: position) else {
        plain.append(bytes[position])
        position += 1
        continue
      }
      cited.insert(citation.number)
      while let last = plain.last, isSpace(last) { plain.removeLast() }
      position = citation.end
    }
    return cited.isEmpty
      ? (String(written), []) : (String(decoding: plain, as: UTF8.self), cited)
  }

  /// Reads a citation: `[`, one to three digits, `]`.
  private static func citation(in bytes: [UInt8], at start: Int) -> (number: Int, end: Int)? {
    guard bytes[start] == UInt8(ascii: "[") else { return nil }
    var number = 0
    var position = start + 1
    while position < bytes.count, position <= start + 4 {
      let byte = bytes[position]
      if byte == UInt8(ascii: "]"), position > start + 1 { return (number, position + 1) }
      guard (0x30...0x39).contains(byte) else { return nil }
      number = number * 10 + Int(byte - 0x30)
      position += 1
    }
    return nil
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  /// Splits a text into at most `limit` sentences. A sentence ends at a mark such as `.` or `!`, or
  /// at the end of its line. Headings, questions and code are skipped, because they claim nothing.
  static func all(of text: String, atMost limit: Int, words: Int = .max) -> [Sentence] {
    var work = 0
    return all(of: text, atMost: limit, words: words, work: &work)
  }

  /// - Parameter work: grows in proportion to the bytes read.
  static func all(
    of text: String, atMost limit: Int, words: Int = .max, work: inout Int
  ) -> [Sentence] {
    var sentences: [Sentence] = []
    var isCode = false
    for line in text.split(whereSeparator: \.isNewline) {
      guard sentences.count < limit else { return sentences }
      let trimmed = line.drop { $0 == " " || $0 == "\t" }
      if trimmed.hasPrefix("```") || trimmed.hasPrefix("~~~") { isCode.toggle() }
      guard !isCode, !trimmed.hasPrefix("#"), !trimmed.hasPrefix("```") else { continue }
      for piece in pieces(of: withoutBullet(trimmed), atMost: limit, work: &work)
      where !piece.hasSuffix("?") {
        guard sentences.count < limit else { return sentences }
        let sentence = Sentence(piece, words: words, work: &work)
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
    // "3. ": an item's number does not belong to the sentence.
    let digits = line.prefix { $0.isASCII && $0.isNumber }
    let rest = line.dropFirst(digits.count)
    guard !digits.isEmpty, digits.count <= 2, rest.hasPrefix(". ") || rest.hasPrefix(") ") else {
      return line
    }
    return rest.dropFirst(2)
  }

  /// Cuts after each `.`, `!` or `?` that a space follows, and after each such mark of Chinese or
  /// Japanese. Citations after the mark stay with the sentence.
  private static func pieces(
    of line: Substring, atMost limit: Int, work: inout Int
  ) -> [Substring] {
    var pieces: [Substring] = []
    var start = line.startIndex
    var index = line.startIndex
    while index < line.endIndex, pieces.count < limit {
      let character = line[index]
      index = line.index(after: index)
      work += 1
      guard ".!?。！？".contains(character) else { continue }
      guard index == line.endIndex || line[index] == " " || "。！？".contains(character) else {
        continue
      }
      // "It is so. [1]": the citation belongs to the sentence before it.
      index = afterCitations(in: line, from: index, work: &work)
      pieces.append(line[start..<index])
      start = index
    }
    if start < line.endIndex, pieces.count < limit { pieces.append(line[start...]) }
    return pieces.map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
  }

  private static func afterCitations(
    in line: Substring, from start: Substring.Index, work: inout Int
  ) -> Substring.Index {
    var end = start
    while true {
      var index = end
      while index < line.endIndex, line[index].isWhitespace {
        index = line.index(after: index)
        work += 1
      }
      // The longest citation, "[999]", has five bytes.
      let next = Array(line[index...].utf8.prefix(5))
      work += 1
      guard !next.isEmpty, let citation = citation(in: next, at: 0) else { return end }
      end = line.utf8.index(index, offsetBy: citation.end)
    }
  }
}
