import Text

/// Detects a host that begins the answer again in other words instead of resuming it.
///
/// `ResumeFilter` finds repeated text, but usually needs 16 equal bytes. A restart whose first
/// words differ therefore looks like new text. In JSON and within a long token only one
/// continuation is valid, and any other is rejected. In prose nearly anything may follow, so text
/// is rejected only if all of these conditions hold:
///
/// - The cut lies within a sentence.
/// - The first word lacks the expected white space.
/// - The first word is not the expected word.
/// - The first word begins with a capital letter or `#`.
///
/// In all other cases a restart cannot be distinguished from a continuation.
///
/// The detector also rejects a host that resumes correctly, if the host strips the white space and
/// begins with another capitalised word. The run then asks the next host.
struct RestartDetector: Sendable {
  /// The first word that the old host sent after the cut, as far as the word arrived.
  private let expectedWord: [UInt8]
  /// The first bytes of the new host, at most `receivedBytes`. `expectedWord` is never longer.
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

  /// - Parameter passed: the received text without the repeated text that `ResumeFilter` dropped.
  func detectsRestart(in passed: [UInt8]) -> Bool {
    // If text was dropped, the host repeated it. The host then did not restart in other words.
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

  /// Whether the last line ends within a sentence: it is neither heading nor table row, and its
  /// last character is ASCII and none of `.!?:;|-#`. White space, closing quotes and closing
  /// brackets at the end are ignored.
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
