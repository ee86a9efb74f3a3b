import Text

/// Tells a host that begins the answer anew, in other words, from one that goes on with it.
///
/// `JointFilter` finds what is said again; a restart that agrees with the old answer for less than it
/// takes to be sure (16 bytes) looks to it like new words. In JSON and within a long token there is
/// one way to go on, and all else is refused there. In prose nearly anything may follow, so a
/// continuation is believed wherever it can be one. It cannot where all of this holds: the cut lies
/// amid a sentence; the first word comes without the white space that was due; it is not the word that
/// was due; and it begins as sentences and headings do. What begins in lower case, behind white
/// space or behind the end of a sentence is passed on: nobody can know.
///
/// A host that strips white space and means another noun or name is refused too: the next is asked.
struct Restart: Sendable {
  /// The first word that the old host was about to say, as far as it came.
  private let due: [UInt8]
  /// The first bytes of the new host: at least as many as are compared with `due`.
  private var heard: [UInt8] = []
  /// Bytes without white space of all that came.
  private var visibleBytes = 0

  private static let heardBytes = 256
  /// A longer line has no beginning that matters.
  private static let lineBytes = 4_096

  /// - Returns: nil where anything may begin, or nothing is known of what was due.
  init?(after channel: AnswerChannel) {
    let space = channel.unseen.prefix { Self.isSpace($0) }
    due = Array(channel.unseen.dropFirst(space.count).prefix { !Self.isSpace($0) })
    guard channel.boundary.json == nil, !channel.boundary.isInFence,
      channel.boundary.boundary == channel.text.count, !space.isEmpty, !due.isEmpty,
      !space.contains(0x0A), Self.isAmidSentence(channel.text)
    else { return nil }
  }

  mutating func hear(_ text: [UInt8]) {
    if heard.count < Self.heardBytes { heard += text.prefix(Self.heardBytes - heard.count) }
    visibleBytes += text.count { !Self.isSpace($0) }
  }

  /// - Parameter passed: what the joint lets through of all that was heard.
  func shows(in passed: [UInt8]) -> Bool {
    // What was dropped was known: it is no restart in other words.
    guard passed.count(where: { !Self.isSpace($0) }) == visibleBytes,
      let first = heard.first, !Self.isSpace(first)
    else { return false }
    let word = heard.prefix { !Self.isSpace($0) }
    if word.starts(with: due.prefix(word.count)) || due.starts(with: word.prefix(due.count)) {
      return false
    }
    let scalar = String(decoding: heard.prefix(4), as: UTF8.self).unicodeScalars.first
    return first == UInt8(ascii: "#") || scalar?.properties.isUppercase == true
  }

  /// Its last line is no heading and no row of a table, and ends in a word or a comma.
  private static func isAmidSentence(_ text: [UInt8]) -> Bool {
    let end = text.suffix(lineBytes)
    let line = end[(end.lastIndex(of: 0x0A).map { $0 + 1 } ?? end.startIndex)...]
    guard let start = line.first(where: { !isSpace($0) }), !"#|".utf8.contains(start) else {
      return false
    }
    let last = line.last { !isSpace($0) && !#"*_`"')]}>"#.utf8.contains($0) }
    return last.map { $0 < 0x80 && !".!?:;|-#".utf8.contains($0) } ?? false
  }

  private static func isSpace(_ byte: UInt8) -> Bool { " \n\r\t".utf8.contains(byte) }
}
