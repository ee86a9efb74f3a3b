import Text

/// Detects a host that begins the answer again, in other words, instead of resuming it.
///
/// `ResumeFilter` finds repeated text. It needs 16 equal bytes to be sure, so a restart that agrees
/// with the old answer for less looks like new text. In a format that is checked, such as JSON, and
/// within a long token only one continuation is valid, and any other is rejected. In prose nearly
/// anything may follow, so the text is accepted unless all of this holds: the cut lies within a
/// sentence; the first word lacks the expected white space; it is not the expected word; it begins
/// as sentences and headings do.
/// Text that begins in lower case, with white space or after the end of a sentence passes, because
/// there a restart cannot be distinguished from a continuation.
///
/// A host that resumes correctly is rejected too if it strips the white space and begins with
/// another noun or name. The run then asks the next host.
struct RestartDetector: Sendable {
  /// The first word that the old host sent after the cut, as far as it arrived.
  private let expectedWord: [UInt8]
  /// The first bytes of the new host, at least as many as are compared with `expectedWord`.
  private var received: [UInt8] = []
  /// Received bytes other than white space.
  private var visibleBytes = 0

  private static let receivedBytes = 256
  /// Bytes at the end of the text that are searched for the start of the last line.
  private static let lineBytes = 4_096

  /// - Returns: `nil` if any text may follow, or if the expected text is unknown.
  init?(after channel: AnswerChannel) {
    let space = channel.unseen.prefix { Self.isSpace($0) }
    expectedWord = Array(channel.unseen.dropFirst(space.count).prefix { !Self.isSpace($0) })
    guard !channel.boundary.format.checksText, !channel.boundary.isInFence,
      channel.boundary.boundary == channel.text.count, !space.isEmpty, !expectedWord.isEmpty,
      !space.contains(0x0A), Self.isAmidSentence(channel.text)
    else { return nil }
  }

  mutating func append(_ text: [UInt8]) {
    if received.count < Self.receivedBytes {
      received += text.prefix(Self.receivedBytes - received.count)
    }
    visibleBytes += text.count { !Self.isSpace($0) }
  }

  /// - Parameter passed: The part of all received text that the joint lets through.
  func detectsRestart(in passed: [UInt8]) -> Bool {
    // If text was dropped, the host repeated it: this is no restart in other words.
    guard passed.count(where: { !Self.isSpace($0) }) == visibleBytes,
      let first = received.first, !Self.isSpace(first)
    else { return false }
    let word = received.prefix { !Self.isSpace($0) }
    if word.starts(with: expectedWord.prefix(word.count))
      || expectedWord.starts(with: word.prefix(expectedWord.count))
    {
      return false
    }
    let scalar = String(decoding: received.prefix(4), as: UTF8.self).unicodeScalars.first
    return first == UInt8(ascii: "#") || scalar?.properties.isUppercase == true
  }

  /// Whether the last line is neither heading nor table row, and ends in a word or a comma.
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
