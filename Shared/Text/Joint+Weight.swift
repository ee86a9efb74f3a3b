/// The one rule that decides between a text that goes on and one that is said again.
extension Joint {
  /// How well what a reading takes for new agrees with what the old host was about to say.
  enum Standing: Int, Comparable {
    /// Other words came.
    case differs
    /// The words may be right, and the white space before them is missing.
    case lacksSpace
    /// Nothing is known.
    case unknown
    case hasSpace
    case agrees

    static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  }

  enum Weight { case repeats, continues, unclear }

  /// Bytes of ink. A word or two may be said twice by chance, a clause is not.
  private static let chance = 4
  private static let clause = 12
  /// Somebody who was asked to go on, and does so from the very white space that was due, would say
  /// a verse again rather than repeat that much by mistake.
  private static let verse = 160

  /// - Parameter text: from where the reading takes it for new.
  func standing(of text: ArraySlice<UInt8>, _ due: Due) -> Standing {
    guard due != .differs else { return .differs }
    // Between tokens of JSON white space tells nothing.
    if context.json?.isInString == false { return due == .agrees ? .agrees : .unknown }
    if !dueSpace.isEmpty, !hasDueSpace(text) { return .lacksSpace }
    return due == .agrees ? .agrees : dueSpace.isEmpty ? .unknown : .hasSpace
  }

  /// The one that agrees best; of these, the longest.
  func best(_ overlaps: [Overlap]) -> Overlap? {
    overlaps.max { ($0.standing, $0.length) < ($1.standing, $1.length) }
  }

  /// Whether an overlap is a repetition, where the text could also go on with these words.
  ///
  /// - Parameter text: from where it would go on.
  func weigh(
    _ overlap: Overlap, _ text: ArraySlice<UInt8>, _ ink: InkedText, _ due: Due
  ) -> Weight {
    let continuation = standing(of: text, due)
    let length = overlap.length
    let isExact = hasExactStart(text, due)
    if isAmbiguous(overlap, ink) {
      if continuation == .agrees, overlap.standing == .differs { return .continues }
      return asked == .completion && isExact ? .continues : .unclear
    }
    if overlap.standing > continuation {
      if isWholeLines(overlap), continuation != .differs { return .unclear }
      if length >= Self.clause { return .repeats }
      let enough = continuation == .differs ? 3 : 8
      return length >= enough && beginsToken(overlap) ? .repeats : .unclear
    }
    if overlap.standing < continuation {
      // One or two letters agree by chance.
      let isSure = continuation != .agrees || dueInk.count >= 3 || length < 16
      return isSure || asked == .completion && isExact ? .continues : .unclear
    }
    if asked == .completion, isExact {
      guard dueSpace.isEmpty, !text.starts(with: [0x20]) else {
        return length >= Self.verse ? .repeats : .continues
      }
      return length >= 24 ? .repeats : length >= 3 ? .unclear : .continues
    }
    // All that was said is said again.
    if overlap.place == 0, head.bytes.isEmpty, length >= 3 { return .repeats }
    if isExact, length < Self.verse { return length < Self.chance ? .continues : .unclear }
    // Lines and values may well be equal to those before them.
    if context.json?.isInString == false || isWholeLines(overlap) { return .unclear }
    if length >= Self.clause { return .repeats }
    return length < 2 || !beginsToken(overlap) ? .continues : .unclear
  }

  /// Whether it starts with just the bytes that were due, white space and all; where nothing is known
  /// of those, with white space.
  func hasExactStart(_ text: ArraySlice<UInt8>, _ due: Due) -> Bool {
    guard due != .differs, hasDueSpace(text) else { return false }
    return !dueSpace.isEmpty || due == .agrees || text.first.map(JSONCursor.isWhitespace) == true
  }

  /// Whether whole lines come again, at the end of a line.
  private func isWholeLines(_ overlap: Overlap) -> Bool {
    guard context.json == nil, dueSpace.contains(0x0A), overlap.place > 0 else { return false }
    let (before, first) = (tail.positions[overlap.place - 1], tail.positions[overlap.place])
    return delivered[before..<first].contains(0x0A)
  }

  private func beginsToken(_ overlap: Overlap) -> Bool {
    guard overlap.place > 0 else { return true }
    let (before, first) = (tail.positions[overlap.place - 1], tail.positions[overlap.place])
    return first > before + 1 || !Self.isWord(tail.bytes[overlap.place - 1])
      || !Self.isWord(tail.bytes[overlap.place])
  }

  /// Whether the text could well say such words twice: they repeat themselves, it said them before, or
  /// they come a third time.
  func isAmbiguous(_ overlap: Overlap, _ ink: InkedText) -> Bool {
    let length = overlap.length
    let words = ink.bytes[..<length]
    if Self.isPeriodic(words) { return true }
    let few = min(length, Self.clause)
    let before = tail.bytes[..<overlap.place].suffix(few)
    if before.count == few, before.elementsEqual(tail.bytes.suffix(few)) { return true }
    let next = ink.bytes.dropFirst(length).prefix(few)
    if next.count == few, next.elementsEqual(words.prefix(few)) { return true }
    return length >= Self.clause && InkedText.contains(tail.bytes[..<overlap.place], words)
  }
}
