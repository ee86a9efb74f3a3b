import Limits

/// Counts of the separators and list marks in a question.
///
/// It takes one pass over the bytes and no allocation, because the gateway computes it for requests
/// to `tutti/auto`.
public struct QueryShape: Hashable, Sendable {
  public private(set) var bytes = 0
  public private(set) var words = 0
  /// Number of sentences. A sentence ends at a mark or at the end of a line.
  private(set) var sentences = 0
  /// Number of sentences that end in a question mark.
  public private(set) var questions = 0
  /// Number of lines that begin with a bullet, a number or a letter of a list.
  public private(set) var listItems = 0
  /// Number of list marks within lines: `(1)`, `2)`, `(a)` or `b)`.
  public private(set) var inlineMarkers = 0
  /// Number of commas and semicolons before white space.
  private(set) var separators = 0

  /// Bytes examined by default. A longer query is mostly pasted text, whose shape does not reflect
  /// the question.
  public static let maximumBytes = Limits.splitBytes.value

  /// - Parameters:
  ///   - query: the text. `bytes` counts all of its bytes.
  ///   - limit: number of bytes that are examined.
  public init(_ query: String, limit: Int = maximumBytes) {
    var previous: UInt8 = 0x0A
    var beforePrevious: UInt8 = 0x0A
    var isInWord = false
    var wordsInSentence = 0
    var marker = ListMarker()
    for byte in query.utf8.prefix(limit) {
      marker.take(byte, listItems: &listItems, inlineMarkers: &inlineMarkers)
      let isSpace = byte == 0x20 || byte == 0x0A || byte == 0x09 || byte == 0x0D
      if isSpace {
        switch previous {
        case UInt8(ascii: ","), UInt8(ascii: ";"): separators += 1
        case UInt8(ascii: "?"):
          endSentence(&wordsInSentence)
          questions += 1
        case UInt8(ascii: "."), UInt8(ascii: "!"):
          // A lone number ("1. ") labels an item and does not end a sentence.
          if wordsInSentence > 1 || !Self.isDigit(beforePrevious) { endSentence(&wordsInSentence) }
        default: if byte == 0x0A { endSentence(&wordsInSentence) }
        }
        isInWord = false
      } else if !isInWord, Self.isWord(byte) {
        isInWord = true
        words += 1
        wordsInSentence += 1
      }
      beforePrevious = previous
      previous = byte
    }
    if previous == UInt8(ascii: "?") { questions += 1 }
    endSentence(&wordsInSentence)
    bytes = query.utf8.count
  }

  private mutating func endSentence(_ words: inout Int) {
    if words > 0 { sentences += 1 }
    words = 0
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private static func isWord(_ byte: UInt8) -> Bool {
    isDigit(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte >= 0x80
  }
}

/// Finds list markers byte by byte.
private struct ListMarker {
  private enum State {
    /// At the start of a line or in its indentation (`ofLine`), or right after white space within a
    /// line.
    case start(ofLine: Bool)
    case bullet
    /// After an opening parenthesis.
    case parenthesis(ofLine: Bool)
    /// Digits or one letter, perhaps after a parenthesis.
    case label(ofLine: Bool, count: Int, isNumber: Bool, isOpen: Bool)
    case closed(ofLine: Bool)
    case elsewhere
  }
  private var state = State.start(ofLine: true)
  /// Lower-case letter after the last opening parenthesis, if it was a letter.
  private var openLetter: UInt8?
  /// Letter in parentheses that continues the list. Letters other than this one and `a` are no
  /// marks, so that "mass (m)" and "f (x)" begin no list.
  private var nextLetter = UInt8(ascii: "a")

  mutating func take(_ byte: UInt8, listItems: inout Int, inlineMarkers: inout Int) {
    if byte == 0x0A {
      state = .start(ofLine: true)
      return
    }
    let isSpace = byte == 0x20 || byte == 0x09
    switch state {
    case .start(let ofLine):
      state = Self.opened(by: byte, ofLine: ofLine)
    case .bullet:
      if isSpace { listItems += 1 }
      state = isSpace ? .start(ofLine: false) : .elsewhere
    case .parenthesis(let ofLine):
      openLetter = (0x61...0x7A).contains(byte | 0x20) ? byte | 0x20 : nil
      if isSpace {
        state = .start(ofLine: false)
      } else if let openLetter, openLetter != nextLetter, openLetter != UInt8(ascii: "a") {
        state = .elsewhere
      } else {
        state = Self.label(from: byte, ofLine: ofLine, isOpen: true)
      }
    case .label(let ofLine, let count, let isNumber, let isOpen):
      let isDigit = (0x30...0x39).contains(byte)
      if isDigit, isNumber, count < 3 {
        state = .label(ofLine: ofLine, count: count + 1, isNumber: true, isOpen: isOpen)
      } else if byte == UInt8(ascii: ")") || (ofLine && !isOpen && byte == UInt8(ascii: ".")) {
        state = .closed(ofLine: ofLine)
        if isOpen, let openLetter { nextLetter = openLetter + 1 }
      } else {
        state = isSpace ? .start(ofLine: false) : .elsewhere
      }
    case .closed(let ofLine):
      if isSpace {
        if ofLine { listItems += 1 } else { inlineMarkers += 1 }
      }
      state = isSpace ? .start(ofLine: false) : .elsewhere
    case .elsewhere:
      if isSpace { state = .start(ofLine: false) }
    }
  }

  private static func opened(by byte: UInt8, ofLine: Bool) -> State {
    switch byte {
    case 0x20, 0x09: .start(ofLine: ofLine)
    case UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "+"): ofLine ? .bullet : .elsewhere
    case UInt8(ascii: "("): .parenthesis(ofLine: ofLine)
    default: label(from: byte, ofLine: ofLine, isOpen: false)
    }
  }

  private static func label(from byte: UInt8, ofLine: Bool, isOpen: Bool) -> State {
    switch byte {
    case 0x30...0x39: .label(ofLine: ofLine, count: 1, isNumber: true, isOpen: isOpen)
    case 0x41...0x5A, 0x61...0x7A:
      .label(ofLine: ofLine, count: 1, isNumber: false, isOpen: isOpen)
    default: .elsewhere
    }
  }
}
