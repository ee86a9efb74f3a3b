/// The rule that decides between a continuation and a repetition.
extension ResumeAlignment {
  /// How well the new part of a reading agrees with the old host's next words.
  enum Standing: Int, Comparable {
    /// The new words differ from the old host's next words.
    case differs
    /// The words may be right, but the white space before them is missing.
    case lacksSpace
    /// The old host's next words are unknown.
    case unknown
    case hasSpace
    case agrees

    static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  }

  enum Weight { case repeats, continues, unclear }

  /// Lengths in non-space bytes. A repetition shorter than `chance` may be an accident. One of at
  /// least `clause` is no accident.
  private static let chance = 4
  static let clause = 12
  /// Non-space bytes of a verse. If a host continues with exactly the expected white space, a
  /// shorter overlap may be a verse that occurs twice in the answer. A longer overlap is a
  /// repetition by mistake.
  private static let verse = 160

  /// - Parameter text: the words that would be new if the reading is right.
  func standing(of text: ArraySlice<UInt8>, _ match: Match) -> Standing {
    guard match != .differs else { return .differs }
    // Between tokens, white space is no evidence.
    if rules.ignoresSpace { return match == .agrees ? .agrees : .unknown }
    if !expectedSpace.isEmpty, !hasExpectedSpace(text) { return .lacksSpace }
    return match == .agrees ? .agrees : expectedSpace.isEmpty ? .unknown : .hasSpace
  }

  /// The overlap with the best standing. Among equal ones, it is the longest.
  func best(_ overlaps: [Overlap]) -> Overlap? {
    overlaps.max { ($0.standing, $0.length) < ($1.standing, $1.length) }
  }

  /// Decides whether the host's first words repeat the end of the answer, or continue the answer
  /// with the same words.
  ///
  /// - Parameter text: the host's words, if they are new text.
  func weigh(
    _ overlap: Overlap, _ text: ArraySlice<UInt8>, _ nonSpace: NonSpaceText, _ match: Match
  ) -> Weight {
    let continuation = standing(of: text, match)
    let length = overlap.length
    if rules.format.hidesRepetitions { return weigh(overlap, against: continuation, nonSpace) }
    let isExact = hasExactStart(text, match)
    if isAmbiguous(place: overlap.place, length, nonSpace.bytes[...]) {
      if continuation == .agrees, overlap.standing == .differs { return .continues }
      return length < Self.chance && mayBeExact(text, match) ? .continues : .unclear
    }
    if overlap.standing > continuation {
      if repeatsWholeText(overlap, continuation) { return .repeats }
      if isWholeRow(overlap), continuation != .differs { return .unclear }
      if length >= Self.clause { return .repeats }
      if length >= 2, beginsSentence(overlap) { return .repeats }
      return continuation == .differs && length >= 3 && beginsToken(overlap) ? .repeats : .unclear
    }
    if overlap.standing < continuation {
      // If only one or two of the expected bytes are known, they may agree by chance.
      let isSure = expectedBytes.count >= 3 || length < 16
      return isSure || mode == .completion && isExact ? .continues : .unclear
    }
    // The host repeats the whole text.
    if overlap.place == 0, head.bytes.isEmpty, expectedSpace.isEmpty || !isExact {
      return length >= 3 ? .repeats : .unclear
    }
    // Exact white space is no proof of new text: a host that repeats may also begin with it.
    if mode == .completion, isExact { return length < Self.chance ? .continues : .unclear }
    if isExact, length < Self.verse { return length < Self.chance ? .continues : .unclear }
    // One or two bytes without a letter or digit, such as brackets, equal the end of the text by
    // chance.
    if length < 3, !nonSpace.bytes[..<length].contains(where: Self.isWord) { return .continues }
    if isWholeRow(overlap) { return .unclear }
    if length >= Self.clause { return .repeats }
    return length < 2 || !beginsToken(overlap) ? .continues : .unclear
  }

  /// Decides between repetition and continuation in a grammar, where a wrong decision may give a
  /// valid document with other content.
  ///
  /// An overlap of one or two bytes usually counts as chance. For a longer overlap, only evidence
  /// that cannot be an accident decides. Without such evidence the overlap is unclear, and the host
  /// is asked to repeat more of the text.
  private func weigh(
    _ overlap: Overlap, against continuation: Standing, _ nonSpace: NonSpaceText
  ) -> Weight {
    let length = overlap.length
    let words = nonSpace.bytes[..<length]
    // One or two bytes may equal the end of the text by chance. In a string they may be inside a
    // word, and outside strings they may be brackets and punctuation.
    if length < 3, rules.isInString ? !beginsToken(overlap) : !words.contains(where: Self.isWord) {
      return .continues
    }
    if isAmbiguous(place: overlap.place, length, nonSpace.bytes[...]) { return .unclear }
    // The host repeats the whole text.
    if overlap.place == 0, head.bytes.isEmpty, length >= 3 { return .repeats }
    if expectedBytes.count >= Self.sureBytes, overlap.standing == .agrees || continuation == .agrees
    {
      if continuation == .differs { return .repeats }
      if overlap.standing == .differs { return .continues }
    }
    let clauses = overlap.standing > continuation ? 1 : 2
    return rules.isInString && length >= clauses * Self.clause ? .repeats : .unclear
  }

  /// Number of bytes that two texts do not share by chance.
  private static let sureBytes = 8

  /// Whether the text starts with exactly the expected white space, and its words do not differ
  /// from the expected words. If no white space is expected and the words do not agree yet, the
  /// text must start with the usual white space.
  func hasExactStart(_ text: ArraySlice<UInt8>, _ match: Match) -> Bool {
    guard match != .differs, hasExpectedSpace(text) else { return false }
    return !expectedSpace.isEmpty || match == .agrees || hasUsualSpace(text)
  }

  /// Whether `text` starts with white space that is usual after the last byte before the cut. White
  /// space is usual if it also follows an equal byte earlier in the answer.
  private func hasUsualSpace(_ text: ArraySlice<UInt8>) -> Bool {
    let space = text.prefix(while: JSONCursor.isWhitespace)
    guard let last = tail.positions.last else { return false }
    guard !space.isEmpty || rules.ignoresSpace else { return false }
    return tail.positions.dropLast().contains {
      delivered[$0] == delivered[last]
        && delivered[($0 + 1)...].prefix(while: JSONCursor.isWhitespace) == space
    }
  }

  /// Whether the host was asked to complete the text, and its words do not contradict a
  /// continuation at the cut.
  func mayBeExact(_ text: ArraySlice<UInt8>, _ match: Match) -> Bool {
    mode == .completion && match != .differs && hasExpectedSpace(text)
  }

  /// Whether the host repeats the whole text, however short the text is.
  ///
  /// A text of one or two bytes may be a number or a syllable that the host writes again as new
  /// text. It counts as repeated only if the expected words follow the repetition, and if the
  /// host's first words are not the expected words.
  private func repeatsWholeText(_ overlap: Overlap, _ continuation: Standing) -> Bool {
    guard overlap.place == 0, head.bytes.isEmpty else { return false }
    return overlap.length >= 3 || overlap.standing == .agrees && continuation == .differs
  }

  /// Bytes at the end of the text in which the last two rows of a table are searched.
  private static let rowBytes = 8_192

  /// Whether the overlap has as many cells as a row of a table. Two rows may be equal, so such an
  /// overlap is no proof of a repetition.
  private func isWholeRow(_ overlap: Overlap) -> Bool {
    let bar = UInt8(ascii: "|")
    guard rules.format.hasLines, let last = tail.positions.last else { return false }
    let lines = delivered[...last].suffix(Self.rowBytes).split(separator: 0x0A).suffix(2)
    guard lines.count == 2, lines.allSatisfy({ $0.first == bar }) else { return false }
    return tail.bytes[overlap.place...].count { $0 == bar } == lines.first?.count { $0 == bar }
  }

  /// Whether the overlap starts with the first word of a sentence or a list marker. Neither occurs
  /// twice in succession.
  private func beginsSentence(_ overlap: Overlap) -> Bool {
    guard rules.format.hasLines, overlap.place > 0 else { return false }
    let (before, first) = (tail.positions[overlap.place - 1], tail.positions[overlap.place])
    let isLine = delivered[before..<first].contains(0x0A)
    if isLine, tail.bytes.last == UInt8(ascii: ".") { return true }
    return first > before + 1 && (isLine || ".!?".utf8.contains(delivered[before]))
      && (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(delivered[first])
  }

  private func beginsToken(_ overlap: Overlap) -> Bool {
    guard overlap.place > 0 else { return true }
    let (before, first) = (tail.positions[overlap.place - 1], tail.positions[overlap.place])
    return first > before + 1 || !Self.isWord(tail.bytes[overlap.place - 1])
      || !Self.isWord(tail.bytes[overlap.place])
  }

  /// Whether the repeated words may be a new part of the answer. This is so if the words are
  /// periodic, if the answer already has them twice, or if the host writes them once more.
  ///
  /// - Parameter received: non-space bytes of the host, from the repeated words on.
  func isAmbiguous(place: Int, _ length: Int, _ received: ArraySlice<UInt8>) -> Bool {
    let words = received.prefix(length)
    if Self.isPeriodic(words) { return true }
    let few = min(length, Self.clause)
    let before = tail.bytes[..<place].suffix(few)
    if before.count == few, before.elementsEqual(tail.bytes.suffix(few)) { return true }
    let further = Array(received.prefix(length + few))
    let agreement = NonSpaceText.agreement(of: further, withStartOf: further)
    if further.count == length + few,
      (1...length).contains(where: { $0 + agreement[$0] == further.count })
    {
      return true
    }
    return length >= Self.clause && NonSpaceText.contains(tail.bytes[..<place], words)
  }
}
