import Text

/// A query with a list: the text before it, its items, and the text after it.
struct QueryOutline: Equatable {
  var before = ""
  var items: [String] = []
  var after = ""

  /// - Returns: `nil` if there is no list, or more than one.
  init?(lists query: String) {
    var state = Reading()
    for line in query.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
      guard state.take(line) else { return nil }
    }
    guard state.items.count > 1 else { return nil }
    before = state.before.joined(separator: "\n").trimmingSpace
    items = state.items
    after = state.after.joined(separator: "\n").trimmingSpace
  }

  /// Finds a list within a line: `(1) … (2) …`, `a) … b) …`, or `… : 1. … 2. …`.
  init?(inline query: String) {
    let words = query.split(whereSeparator: \.isWhitespace)
    var starts: [Int] = []
    for (place, word) in words.enumerated()
    where Self.isInlineMarker(word, number: starts.count + 1)
      || Self.isInlineNumber(
        word, number: starts.count + 1, preceding: place > 0 ? words[place - 1] : nil)
    {
      starts.append(place)
    }
    guard starts.count > 1 else { return nil }
    func text(_ range: Range<Int>) -> String { words[range].joined(separator: " ") }
    before = text(0..<starts[0])
    for (place, start) in starts.enumerated() {
      let end = place + 1 < starts.count ? starts[place + 1] : words.count
      items.append(Self.withoutConjunction(text(start + 1..<end)))
    }
    guard items.allSatisfy({ !$0.isEmpty }) else { return nil }
    // Text after the last item's first sentence applies to all items.
    let sentences = Sentences.split(items[items.count - 1])
    if sentences.count > 1 {
      items[items.count - 1] = sentences[0]
      after = sentences.dropFirst().joined(separator: " ")
    }
  }

  /// True for the expected next marker: `1)`, `(1)`, `(a)`, `a)`.
  private static func isInlineMarker(_ word: Substring, number: Int) -> Bool {
    guard word.last == ")", number <= 26 else { return false }
    let label = word.dropLast().drop { $0 == "(" }.lowercased()
    let letter = Character(Unicode.Scalar(UInt8(ascii: "a") + UInt8(number - 1)))
    let numerals = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii"]
    return label == "\(number)" || label == String(letter)
      || (number <= numerals.count && label == numerals[number - 1])
  }

  /// True for `1.` at the start of the query or after punctuation. In "version 1." the number ends
  /// a sentence.
  private static func isInlineNumber(_ word: Substring, number: Int, preceding: Substring?) -> Bool
  {
    guard word == "\(number)." else { return false }
    return preceding?.last.map(".:;,?!".contains) ?? true
  }

  private static func withoutConjunction(_ text: String) -> String {
    var text = text.trimmingSpace
    for end in [", and", "; and", " and", ",", ";"] where text.hasSuffix(end) {
      text = String(text.dropLast(end.count)).trimmingSpace
    }
    return text
  }
}

private struct Reading {
  var before: [Substring] = []
  var items: [String] = []
  var after: [Substring] = []
  private var indent = 0
  private var sawGap = false
  private var isFenced = false

  /// - Returns: false if the text has more than one list.
  mutating func take(_ line: Substring) -> Bool {
    if line.trimmingSpace.hasPrefix("```") { isFenced.toggle() }
    let lead = line.prefix { $0 == " " || $0 == "\t" }.count
    let item = isFenced ? nil : ListItem(line)
    if let item, items.isEmpty || lead <= indent {
      guard after.isEmpty else { return false }
      if items.isEmpty { indent = lead }
      items.append(item.text)
      sawGap = false
    } else if items.isEmpty {
      before.append(line)
    } else if line.allSatisfy(\.isWhitespace) {
      sawGap = true
      if !after.isEmpty { after.append(line) }
    } else if after.isEmpty, lead > indent || !sawGap {
      items[items.count - 1] += "\n" + line.trimmingSpace
    } else {
      after.append(line)
    }
    return true
  }
}

/// A line that begins with a list marker.
struct ListItem {
  let text: String

  init?(_ line: Substring) {
    let line = line.trimmingSpace
    if let first = line.first, "-*•+–".contains(first), line.dropFirst().first == " " {
      text = line.dropFirst().trimmingSpace
    } else if let rest = Self.textAfterLabel(line) {
      text = rest.trimmingSpace
    } else {
      return nil
    }
    if text.isEmpty { return nil }
  }

  /// Returns the text after a label such as `1.`, `1)`, `(1)`, `a)`, `Q1:` or `Question 1:`. `nil`
  /// means that the line has no label.
  private static func textAfterLabel(_ line: String) -> Substring? {
    var rest = line[...]
    let lower = line.lowercased()
    for word in labels where lower.hasPrefix(word) {
      let remainder = line.dropFirst(word.count).drop { $0 == " " }
      let label = remainder.prefix { $0.isNumber || $0.isLetter }
      guard !label.isEmpty, label.count <= 2,
        remainder.dropFirst(label.count).first.map(":.)-".contains) == true
      else { continue }
      return remainder.dropFirst(label.count + 1)
    }
    let isOpen = rest.first == "("
    if isOpen { rest = rest.dropFirst() }
    let label = rest.prefix { $0.isNumber }
    let letter = rest.prefix { $0.isLetter }
    let length = !label.isEmpty && label.count <= 3 ? label.count : letter.count == 1 ? 1 : 0
    guard length > 0, let mark = rest.dropFirst(length).first else { return nil }
    let remainder = rest.dropFirst(length + 1)
    guard mark == ")" || (!isOpen && mark == "." && !label.isEmpty), remainder.first == " "
    else { return nil }
    return remainder
  }

  private static let labels = [
    "question", "part", "task", "topic", "section", "exercise", "problem", "item", "q",
  ]
}
