/// Follows the text of an answer and finds the last place at which another host can resume it.
///
/// In prose and markdown, such a place is before white space, or between two characters of a script
/// without spaces. In JSON, it is after a token, or within a string before white space. It is never
/// within a character or an escape.
public struct SafeBoundary: Sendable {
  /// `nil` means that the text has only white space so far.
  private var rule: BoundaryRule?
  private var words = WordBorders()
  private var fences = CodeFences()
  /// Stored next to `rule`, because the payload of an enum would be copied for each byte.
  private var jsonBoundaries: JSONBoundaries
  /// The last bytes, which are read again if the text turns out to be prose. They cover all bytes
  /// that can be held back.
  private var recent: [UInt8] = []

  private static let recentBytes = 256

  /// Maximum memory besides the value itself: recent bytes, and a byte per open container.
  public static let memory = 2 * recentBytes + JSONDocument.standardDepth

  /// Whether several documents may follow each other.
  public let isSequence: Bool
  /// Bytes taken.
  public private(set) var offset = 0
  /// Bytes up to the last safe boundary.
  public private(set) var boundary = 0

  /// - Parameter format: `nil` means that the format is detected from the text. Several documents
  ///   may then follow each other.
  public init(_ format: AnswerFormat? = nil) { self.init(format, isSequence: format == nil) }

  /// Follows a text from its start.
  ///
  /// - Parameters:
  ///   - format: `nil` means that the format is detected from the text.
  ///   - isSequence: whether several JSON documents may follow each other.
  public init(_ format: AnswerFormat?, isSequence: Bool) {
    rule = format?.boundaryRule
    self.isSequence = isSequence
    jsonBoundaries = JSONBoundaries(isSequence: isSequence)
  }

  public var format: AnswerFormat {
    switch rule {
    case nil, .words: fences.hasMarkdown ? .markdown : .prose
    case .json: .json
    }
  }

  /// Whether the format is known, which needs more text than white space.
  public var isKnown: Bool { rule != nil }

  /// Whether the text is within a fenced code block.
  public var isInFence: Bool { fences.isOpen }

  /// State of the JSON, for `FormatRules`. `nil` means that the text is not JSON.
  var json: JSONProgress? {
    switch rule {
    case nil, .words: nil
    case .json: jsonBoundaries.progress
    }
  }

  /// Whether the text is a document that cannot end here.
  public var isUnfinished: Bool {
    switch rule {
    case nil, .words: false
    case .json: !jsonBoundaries.progress.isComplete
    }
  }

  public mutating func take(_ bytes: some Sequence<UInt8>) {
    take(whole: Array(bytes))
  }

  /// The function is not generic, so that the loop does not make a call per byte.
  private mutating func take(whole bytes: [UInt8]) {
    for byte in bytes { take(byte) }
  }

  /// Marks the end of the taken bytes as safe. Call it if later bytes, which were discarded, have
  /// shown that an answer can be resumed there.
  public mutating func markBoundary() { boundary = offset }

  private mutating func take(_ byte: UInt8) {
    if rule == nil, !JSONCursor.isWhitespace(byte) {
      rule = AnswerFormat.beginning(with: byte).boundaryRule
    }
    switch rule {
    case nil, .words: takeWord(byte)
    case .json:
      remember(byte)
      if !jsonBoundaries.take(byte, at: offset, &boundary) { fallBack() }
    }
    offset += 1
  }

  private mutating func takeWord(_ byte: UInt8) {
    if let border = words.take(byte, at: offset) { boundary = border }
    fences.take(byte)
  }

  private mutating func remember(_ byte: UInt8) {
    if recent.count >= 2 * Self.recentBytes { recent.removeFirst(Self.recentBytes) }
    recent.append(byte)
  }

  /// Treats the text as prose, because it only started like JSON, for example `[1] See below`.
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
    // If the recent bytes have no border, the old boundary stays.
    if let last { boundary = max(boundary, last) }
  }
}
