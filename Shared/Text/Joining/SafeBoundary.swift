/// Follows the text of an answer and knows the last place at which another host can resume it.
///
/// In prose and markdown that is before white space, or between two characters of a script without
/// spaces. In JSON it is after a token, or within a string before white space. It is never within a
/// character or an escape.
public struct SafeBoundary: Sendable {
  private enum Rule: Hashable, Sendable {
    /// Only white space so far.
    case unknown
    case words
    case json
  }

  private var rule: Rule
  private var progress = JSONProgress()
  private var words = WordBorders()
  private var fences = CodeFences()
  /// Start of the current escape, its value and the number of its characters.
  private var escapeStart = 0
  private var escapeScalar: UInt32 = 0
  private var escapeLength = 0
  /// The last bytes, more than are ever held back, in case the text turns out not to be JSON.
  private var recent: [UInt8] = []

  private static let recentBytes = 256

  /// Maximum memory besides the value itself: recent bytes, and a byte per open container.
  public static let memory = 2 * recentBytes + JSONDocument.standardDepth

  /// Bytes taken.
  public private(set) var offset = 0
  /// Bytes up to the last safe boundary.
  public private(set) var boundary = 0

  /// - Parameter format: `nil` means that the format is detected from the text.
  public init(_ format: AnswerFormat? = nil) {
    switch format {
    case .json: rule = .json
    case .prose, .markdown: rule = .words
    case nil:
      rule = .unknown
      progress.isSequence = true
    }
  }

  /// Follows a text whose format is already known, from its start.
  ///
  /// - Parameter isSequence: several JSON documents may follow each other.
  public init(_ format: AnswerFormat?, isSequence: Bool) {
    self.init(format)
    progress.isSequence = isSequence
  }

  public var format: AnswerFormat {
    if rule == .json { return .json }
    return fences.hasMarkdown ? .markdown : .prose
  }

  /// Whether the format is known: the text has more than white space.
  public var isKnown: Bool { rule != .unknown }

  /// Whether the text is within a fenced code block.
  public var isInFence: Bool { fences.isOpen }

  /// Whether several JSON documents may follow each other.
  public var isSequence: Bool { progress.isSequence }

  /// State of the JSON, for `FormatRules`; `nil` if the text is not JSON.
  var json: JSONProgress? { rule == .json ? progress : nil }

  /// Whether the text is JSON that cannot end here.
  public var isUnfinishedJSON: Bool { rule == .json && !progress.isComplete }

  public mutating func take(_ bytes: some Sequence<UInt8>) {
    take(whole: Array(bytes))
  }

  /// Not generic, so that the loop does not make a call per byte.
  private mutating func take(whole bytes: [UInt8]) {
    for byte in bytes { take(byte) }
  }

  /// Marks the end of the taken bytes as safe. Later bytes, which were discarded, have shown that
  /// it is.
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
      // Counted back from the end: `progress` did not get the leading white space.
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

  /// Treats the text as prose: it only started like JSON (a footnote, a list of documents, a slip).
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
    // If the recent bytes have no border, the old boundary stays: nothing better is known.
    if let last { boundary = max(boundary, last) }
  }
}
