/// Follows the text of an answer and knows the last place where another host can go on with it.
///
/// Prose and markdown: before white space, or between two characters of a script without spaces.
/// JSON: behind a token; in a string, before its white space. Never within a character or an escape.
public struct SafeBoundary: Sendable {
  private enum Rule: Hashable, Sendable {
    /// Nothing but white space has come.
    case unknown
    case words
    case json
  }

  private var rule: Rule
  private var progress = JSONProgress()
  private var words = WordBorders()
  private var fences = CodeFences()
  /// Where the escape that is being written began, and its digits.
  private var escapeStart = 0
  private var escapeScalar: UInt32 = 0
  private var escapeLength = 0
  /// What came last, for a text that turns out not to be JSON: longer than what is ever held back.
  private var recent: [UInt8] = []

  private static let recentBytes = 256

  /// Bytes that one keeps besides itself, at most: recent bytes and a byte per open container.
  public static let memory = 2 * recentBytes + JSONDocument.standardDepth

  /// Bytes taken.
  public private(set) var offset = 0
  /// Bytes up to the last safe place.
  public private(set) var boundary = 0

  /// - Parameter format: nil: it is told by the text itself.
  public init(_ format: AnswerFormat? = nil) {
    switch format {
    case .json: rule = .json
    case .prose, .markdown: rule = .words
    case nil:
      rule = .unknown
      progress.isSequence = true
    }
  }

  /// What another has said, from its start.
  ///
  /// - Parameter isSequence: whether several documents of JSON may follow each other.
  public init(_ format: AnswerFormat?, isSequence: Bool) {
    self.init(format)
    progress.isSequence = isSequence
  }

  public var format: AnswerFormat {
    if rule == .json { return .json }
    return fences.hasMarkdown ? .markdown : .prose
  }

  /// Whether the format is known: more than white space has come.
  public var isKnown: Bool { rule != .unknown }

  /// In a fenced block of code.
  public var isInFence: Bool { fences.isOpen }

  /// Whether several documents of JSON may follow each other.
  public var isSequence: Bool { progress.isSequence }

  /// nil: it is not JSON.
  public var json: JSONProgress? { rule == .json ? progress : nil }

  /// It is JSON that cannot end here.
  public var isUnfinishedJSON: Bool { rule == .json && !progress.isComplete }

  public mutating func take(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { take(byte) }
  }

  /// Says that the end of what was taken is a safe place: what came behind it, and was forgotten,
  /// showed it.
  public mutating func markBoundary() { boundary = offset }

  private mutating func take(_ byte: UInt8) {
    switch rule {
    case .unknown:
      if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
        progress.take(byte)
        rule = .json
        boundary = offset + 1
        recent.append(byte)
      } else {
        if !JSONCursor.isWhitespace(byte) { rule = .words }
        takeWord(byte)
      }
    case .words: takeWord(byte)
    case .json: takeJSON(byte)
    }
    offset += 1
  }

  private mutating func takeWord(_ byte: UInt8) {
    if let border = words.take(byte, at: offset) { boundary = border }
    fences.take(byte)
  }

  private mutating func takeJSON(_ byte: UInt8) {
    if recent.count >= 2 * Self.recentBytes { recent.removeFirst(Self.recentBytes) }
    recent.append(byte)
    let wasInString = progress.isInString
    let wasInEscape = progress.isInEscape
    let tokenBoundary = progress.tokenBoundary
    guard progress.take(byte) else { return fallBack() }
    if progress.tokenBoundary != tokenBoundary {
      // Relative: leading white space was not shown to it.
      boundary = offset + 1 - (progress.offset - progress.tokenBoundary)
    } else if !wasInString, progress.isInString {
      words = WordBorders()
    } else if wasInString {
      takeInString(byte, wasInEscape: wasInEscape, isInEscape: progress.isInEscape)
    }
  }

  private mutating func takeInString(_ byte: UInt8, wasInEscape: Bool, isInEscape: Bool) {
    guard wasInEscape || isInEscape else {
      if let border = words.take(byte, at: offset) { boundary = border }
      return
    }
    guard wasInEscape else {
      escapeStart = offset
      escapeScalar = 0
      escapeLength = 0
      return
    }
    escapeLength += 1
    if escapeLength > 1 {
      let digit = UInt32(byte <= UInt8(ascii: "9") ? byte & 0x0F : (byte & 0x0F) + 9)
      escapeScalar = escapeScalar << 4 | digit
    }
    guard !isInEscape else { return }
    if escapeLength == 1 {
      switch byte {
      case UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"): escapeScalar = 0x20
      default: escapeScalar = UInt32(byte)
      }
    }
    if let border = words.takeScalar(escapeScalar, from: escapeStart) { boundary = border }
  }

  /// It only looked like JSON: a footnote, a list of documents, a slip.
  private mutating func fallBack() {
    rule = .words
    words = WordBorders()
    let start = offset + 1 - recent.count
    var last: Int?
    for (index, byte) in recent.enumerated() {
      if let border = words.take(byte, at: start + index) { last = border }
      fences.take(byte)
    }
    recent = []
    // Without a word in sight the old one stays: it was safe as far as anyone knew.
    if let last { boundary = max(boundary, last) }
  }
}
