/// Finds the anchor in a host's output: the words that the host was asked to repeat.
///
/// The host was given the text without its last words, which occur once in the whole text. Wherever
/// the host resumes (at the cut, at an earlier sentence, after an announcement), its output
/// contains these words, and the text after them is new. White space is not compared, because hosts
/// wrap and indent differently.
struct AnchorSearch: Sendable {
  /// Least bytes of an anchor without its white space, about half a line.
  static let leastBytes = 40
  /// Maximum bytes before the anchor, unless they repeat the delivered text. A host that writes
  /// more has begun a new answer.
  private static let longestLead = 400
  /// Bytes after a first anchor in which a second one is searched. A host that announces its
  /// continuation may quote the anchor before it resumes the text.
  private static let quotationBytes = 256

  private let delivered: [UInt8]
  private let format: AnswerFormat
  private let anchor: [UInt8]
  private let before: [UInt8]
  /// Number of white space bytes at the end of `delivered`.
  private let space: Int
  /// Steps since the last `takeWork()`.
  private var steps = 0

  /// - Parameters:
  ///   - delivered: the text that the client has.
  ///   - place: length of the prefix that the host was given.
  init(_ delivered: [UInt8], from place: Int, in format: AnswerFormat) {
    self.delivered = delivered
    self.format = format
    anchor = NonSpaceText(delivered[place...]).bytes
    before = NonSpaceText(delivered[..<place].suffix(2 * ResumeFilter.decidingBytes)).bytes
    space = delivered.reversed().prefix(while: JSONCursor.isWhitespace).count
  }

  /// Returns the steps since the last call.
  mutating func takeWork() -> Int {
    defer { steps = 0 }
    return steps
  }

  mutating func verdict(on held: [UInt8], isFinal: Bool) -> ResumeAlignment.Verdict {
    let nonSpace = NonSpaceText(held[...])
    let agreement = NonSpaceText.agreement(of: nonSpace.bytes, withStartOf: anchor)
    steps += 8 * (held.count + anchor.count)
    guard let first = agreement.firstIndex(of: anchor.count) else {
      return verdictWithout(held, nonSpace, isFinal)
    }
    let isClean = first == 0 || before.suffix(first).elementsEqual(nonSpace.bytes[..<first])
    guard isClean || first <= Self.longestLead else { return .unclear(Self.otherWords) }
    let end = first + anchor.count
    if !isClean, !endsInRepetition(nonSpace.bytes[..<first]) {
      // The host may quote the anchor before it resumes the text.
      guard isFinal || nonSpace.bytes.count - end >= Self.quotationBytes else { return .wait }
      if agreement[(first + 1)...].prefix(Self.quotationBytes).contains(anchor.count) {
        return .unclear("it repeats the requested words more than once")
      }
    }
    var start = nonSpace.positions[end - 1] + 1
    for _ in 0..<space {
      guard start < held.count else {
        if isFinal { break }
        return .wait
      }
      guard JSONCursor.isWhitespace(held[start]) else { break }
      start += 1
    }
    return .join(start: start, insert: [])
  }

  private static let otherWords = "it does not repeat the requested words"

  /// Whether the lead, which is the host's text before the anchor, ends with a repetition of the
  /// answer's text before the anchor.
  private func endsInRepetition(_ lead: ArraySlice<UInt8>) -> Bool {
    lead.count >= ResumeFilter.repetitionBytes
      && before.suffix(ResumeFilter.repetitionBytes).elementsEqual(
        lead.suffix(ResumeFilter.repetitionBytes))
  }

  /// Verdict while the anchor has not been found.
  private mutating func verdictWithout(
    _ held: [UInt8], _ nonSpace: NonSpaceText, _ isFinal: Bool
  ) -> ResumeAlignment.Verdict {
    guard !isFinal else { return .unclear(Self.otherWords) }
    guard nonSpace.bytes.count >= ResumeFilter.certainBytes else { return .wait }
    // The host may repeat the text from its beginning or from a place near its end.
    let all = NonSpaceText(delivered.prefix(2 * held.count))
    if all.bytes.starts(with: nonSpace.bytes) { return follow(from: 0) }
    let tail = NonSpaceText(delivered.suffix(4 * ResumeFilter.decidingBytes))
    let agreement = NonSpaceText.agreement(of: tail.bytes, withStartOf: nonSpace.bytes)
    steps += 4 * (tail.bytes.count + all.bytes.count)
    if let place = agreement.firstIndex(where: { $0 == nonSpace.bytes.count }) {
      return follow(from: tail.positions[place])
    }
    let most = Self.longestLead + anchor.count + ResumeFilter.decidingBytes
    return nonSpace.bytes.count < most ? .wait : .unclear(Self.otherWords)
  }

  private func follow(from place: Int) -> ResumeAlignment.Verdict {
    .follow(RepeatedText(of: delivered, from: place, in: format), start: 0)
  }
}

/// A text whose last words serve as an anchor.
public struct AnchoredText {
  /// Least bytes of an anchor, white space not counted.
  public static let leastBytes = AnchorSearch.leastBytes

  private let text: [UInt8]
  /// Bytes of the text that are not white space, except for the last one.
  private let nonSpace: [UInt8]
  private let last: UInt8?
  /// Steps taken so far.
  public private(set) var work: Int

  public init(_ text: [UInt8]) {
    self.text = text
    var nonSpace = text.filter { !JSONCursor.isWhitespace($0) }
    last = nonSpace.popLast()
    self.nonSpace = nonSpace
    work = text.count
  }

  /// Whether the text from `place` on is long enough for an anchor and occurs nowhere before.
  public mutating func isUnique(from place: Int) -> Bool {
    let count = text[place...].count { !JSONCursor.isWhitespace($0) }
    work += text.count - place
    guard count >= Self.leastBytes, let last else { return false }
    // `nonSpace` lacks the last byte, so only an earlier occurrence is found, not the anchor
    // itself.
    return !ByteSearch.contains(nonSpace, nonSpace.suffix(count - 1) + [last], work: &work)
  }
}
