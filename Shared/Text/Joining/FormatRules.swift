/// Rules of an answer's format at one place of its text, for text that another host adds there.
///
/// Code that joins texts asks these rules and compares no formats.
struct FormatRules: Sendable {
  let format: AnswerFormat
  /// Used only for JSON. Stored next to `format`, because the payload of an enum would be copied
  /// for each byte.
  private var json: JSONProgress

  /// - Parameter boundary: the state at the place where the text is added.
  init(at boundary: SafeBoundary) {
    format = boundary.format
    json = boundary.json ?? JSONProgress()
  }

  /// Whether the place is within a string, where white space may be written as escapes.
  var isInString: Bool {
    switch format {
    case .prose, .markdown: false
    case .json: json.isInString
    }
  }

  /// Whether white space has no meaning at this place, because the place is between tokens of a
  /// grammar.
  var ignoresSpace: Bool {
    switch format {
    case .prose, .markdown: false
    case .json: !json.isInString
    }
  }

  /// Whether the document of a grammar is complete. Only a closing fence may follow it.
  var isComplete: Bool {
    switch format {
    case .prose, .markdown: false
    case .json: json.isComplete
    }
  }

  /// - Returns: whether the byte fits the text before it.
  mutating func take(_ byte: UInt8) -> Bool {
    switch format {
    case .prose, .markdown: true
    case .json: json.take(byte)
    }
  }

  /// Whether the text fits at this place, up to a closing fence.
  func accepts(_ text: ArraySlice<UInt8>) -> Bool {
    guard format.checksText else { return true }
    var rules = self
    for byte in text {
      if rules.isComplete, byte == UInt8(ascii: "`") { return true }
      guard rules.take(byte) else { return false }
    }
    return true
  }

  /// Length in bytes of the white space at the start of a text that is added at this place.
  func spaceLength(_ text: ArraySlice<UInt8>) -> Int {
    var rest = text
    while let first = rest.first {
      if JSONCursor.isWhitespace(first) {
        rest = rest.dropFirst()
      } else if let escape = escapedSpaceLength(rest) {
        rest = rest.dropFirst(escape)
      } else {
        break
      }
    }
    return text.count - rest.count
  }

  /// Length in bytes of the escape for white space at the start of the text. `nil` means that the
  /// text does not start with one.
  private func escapedSpaceLength(_ text: ArraySlice<UInt8>) -> Int? {
    switch format {
    case .prose, .markdown: return nil
    case .json:
      guard json.isInString, text.first == UInt8(ascii: "\\"),
        let second = text.dropFirst().first, "nrt".utf8.contains(second)
      else { return nil }
      return 2
    }
  }
}
