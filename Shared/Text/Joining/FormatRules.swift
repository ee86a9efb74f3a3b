/// Rules of an answer's format at one place of its text, for text that another host adds there.
///
/// Code that joins texts asks these questions and knows no format by name. Prose and markdown
/// accept any text; JSON has a grammar.
struct FormatRules: Sendable {
  /// `nil` means prose or markdown.
  private var json: JSONProgress?

  /// - Parameter boundary: the state at that place.
  init(at boundary: SafeBoundary) { json = boundary.json }

  /// Whether added text must fit the text before it. Text that fits can still be wrong: a
  /// repetition that is taken for new text may give a valid document with other content.
  var hasGrammar: Bool { json != nil }

  /// Whether the text has strings, in which equal text can be written with other escapes.
  var hasStrings: Bool { json != nil }

  /// Whether line breaks have a meaning: rows, sentences and announcements end there.
  var hasLines: Bool { json == nil }

  /// Whether the place is within a string, where white space may be written as escapes.
  var isInString: Bool { json?.isInString == true }

  /// Whether white space has no meaning at this place: between tokens of a grammar.
  var ignoresSpace: Bool { json?.isInString == false }

  /// Whether the document of a grammar is complete. Only a closing fence may follow it.
  var isComplete: Bool { json?.isComplete == true }

  /// - Returns: whether the byte fits the text before it.
  mutating func take(_ byte: UInt8) -> Bool { json?.take(byte) ?? true }

  /// Whether the text fits at this place, up to a closing fence.
  func accepts(_ text: ArraySlice<UInt8>) -> Bool {
    guard hasGrammar else { return true }
    var rules = self
    for byte in text {
      if rules.isComplete, byte == UInt8(ascii: "`") { return true }
      guard rules.take(byte) else { return false }
    }
    return true
  }
}
