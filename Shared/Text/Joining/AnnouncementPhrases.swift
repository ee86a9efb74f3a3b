/// Announcements of chat models before a continuation: "Sure, here is the continuation:".
///
/// Only English announcements are recognised by their words. In another language, an announcement
/// is recognised only if the host repeats the end of the answer after it.
enum AnnouncementPhrases {
  /// Maximum bytes of an announcement, which is one sentence. A longer text is the beginning of an
  /// answer.
  static let longest = 200

  private static let openers = [
    "sure", "certainly", "of course", "okay", "ok", "absolutely", "here is", "here's", "here are",
    "here’s", "continuing", "continuation", "understood", "apologies", "sorry", "i apologize",
    "let me continue", "i'll continue", "i’ll continue", "i will continue", "to continue",
    "picking up", "resuming", "got it", "no problem",
  ]
  private static let marks = [
    "continu", "here is", "here's", "here’s", "here are", "the rest", "left off", "remain",
    "answer",
    "json",
  ]

  enum Finding: Hashable {
    case none
    /// The text may become an announcement, or has one after which more white space may follow.
    case unfinished
    /// The announcement is complete. The number counts its bytes and those of the white space
    /// around it.
    case ends(Int)
  }

  static func find(in text: ArraySlice<UInt8>, isFinal: Bool) -> Finding {
    let lead = text.prefix { JSONCursor.isWhitespace($0) }.count
    let rest = text.dropFirst(lead).prefix(longest)
    let line = rest.prefix { $0 != 0x0A }
    let words = String(decoding: line, as: UTF8.self).lowercased()
    guard openers.contains(where: { words.hasPrefix($0) }) else {
      let isBeginning = openers.contains { $0.hasPrefix(words) } && line.count == rest.count
      return isBeginning && !isFinal ? .unfinished : .none
    }
    let isLineWhole = line.count < rest.count || isFinal
    let end: Int
    if let colon = colon(in: line) {
      end = colon
    } else if isLineWhole, marks.contains(where: { words.contains($0) }), line.count < rest.count {
      end = line.count
    } else {
      return isLineWhole || rest.count == longest ? .none : .unfinished
    }
    let after = text.dropFirst(lead + end)
    let gap = after.prefix { JSONCursor.isWhitespace($0) }.count
    return after.count == gap && !isFinal ? .unfinished : .ends(lead + end + gap)
  }

  /// Offset after the first colon. `nil` means that the words before it do not announce anything,
  /// or that there is no colon.
  private static func colon(in line: ArraySlice<UInt8>) -> Int? {
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return nil }
    let before = String(decoding: line[..<colon], as: UTF8.self).lowercased()
    guard marks.contains(where: { before.contains($0) }) else { return nil }
    return colon - line.startIndex + 1
  }
}
