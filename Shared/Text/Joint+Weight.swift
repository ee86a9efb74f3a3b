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
  static let clause = 12
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
    if let json = context.json {
      return weigh(overlap, against: continuation, ink, isInString: json.isInString)
    }
    let isExact = hasExactStart(text, due)
    if isAmbiguous(place: overlap.place, length, ink.bytes[...]) {
      if continuation == .agrees, overlap.standing == .differs { return .continues }
      return length < Self.chance && mayBeExact(text, due) ? .continues : .unclear
    }
    if overlap.standing > continuation {
      if isBeginningAnew(overlap, continuation) { return .repeats }
      if isWholeRow(overlap), continuation != .differs { return .unclear }
      if length >= Self.clause { return .repeats }
      if length >= 2, beginsSentence(overlap) { return .repeats }
      return continuation == .differs && length >= 3 && beginsToken(overlap) ? .repeats : .unclear
    }
    if overlap.standing < continuation {
      // One or two letters agree by chance.
      let isSure = dueInk.count >= 3 || length < 16
      return isSure || asked == .completion && isExact ? .continues : .unclear
    }
    // All that was said is said again.
    if overlap.place == 0, head.bytes.isEmpty, dueSpace.isEmpty || !isExact {
      return length >= 3 ? .repeats : .unclear
    }
    // A host that repeats may begin with the very white space that was due.
    if asked == .completion, isExact { return length < Self.chance ? .continues : .unclear }
    if isExact, length < Self.verse { return length < Self.chance ? .continues : .unclear }
    // Rows and values may well be equal to those before them, brackets are.
    if length < 3, !ink.bytes[..<length].contains(where: Self.isWord) { return .continues }
    if context.json?.isInString == false || isWholeRow(overlap) { return .unclear }
    if length >= Self.clause { return .repeats }
    return length < 2 || !beginsToken(overlap) ? .continues : .unclear
  }

  /// The same in JSON, where a wrong reading is a valid document of another content: only evidence that
  /// no chance gives decides. Otherwise the host is asked in a way that decides.
  private func weigh(
    _ overlap: Overlap, against continuation: Standing, _ ink: InkedText, isInString: Bool
  ) -> Weight {
    let length = overlap.length
    let words = ink.bytes[..<length]
    // A letter agrees by chance, and so do brackets.
    if length < 3, isInString ? !beginsToken(overlap) : !words.contains(where: Self.isWord) {
      return .continues
    }
    if isAmbiguous(place: overlap.place, length, ink.bytes[...]) { return .unclear }
    // All that was said is said again.
    if overlap.place == 0, head.bytes.isEmpty, length >= 3 { return .repeats }
    if dueInk.count >= Self.sureBytes, overlap.standing == .agrees || continuation == .agrees {
      if continuation == .differs { return .repeats }
      if overlap.standing == .differs { return .continues }
    }
    let clauses = overlap.standing > continuation ? 1 : 2
    return isInString && length >= clauses * Self.clause ? .repeats : .unclear
  }

  /// Bytes that two texts do not have in common by chance.
  private static let sureBytes = 8

  /// Whether it starts with just the bytes that were due, white space and all; where nothing is known
  /// of those, with white space.
  func hasExactStart(_ text: ArraySlice<UInt8>, _ due: Due) -> Bool {
    guard due != .differs, hasDueSpace(text) else { return false }
    return !dueSpace.isEmpty || due == .agrees || hasUsualSpace(text)
  }

  /// Whether it starts with such white space, or none, as followed the last byte of the text before.
  private func hasUsualSpace(_ text: ArraySlice<UInt8>) -> Bool {
    let space = text.prefix(while: JSONCursor.isWhitespace)
    guard let last = tail.positions.last else { return false }
    guard !space.isEmpty || context.json?.isInString == false else { return false }
    return tail.positions.dropLast().contains {
      delivered[$0] == delivered[last]
        && delivered[($0 + 1)...].prefix(while: JSONCursor.isWhitespace) == space
    }
  }

  /// Whether nothing speaks against a host that was asked to complete the text and does just that.
  func mayBeExact(_ text: ArraySlice<UInt8>, _ due: Due) -> Bool {
    asked == .completion && due != .differs && hasDueSpace(text)
  }

  /// Whether all that was said is said again, however little that is, and goes on with what was due,
  /// which the words as new ones do not. One or two bytes, of whose continuation only the white space
  /// is known, may be a number or a syllable that comes twice.
  private func isBeginningAnew(_ overlap: Overlap, _ continuation: Standing) -> Bool {
    guard overlap.place == 0, head.bytes.isEmpty else { return false }
    return overlap.length >= 3 || overlap.standing == .agrees && continuation == .differs
  }

  /// Two rows of a table are looked for within so many bytes.
  private static let rowBytes = 8_192

  /// Whether as much comes again as a row of a table has cells: rows may well be equal.
  private func isWholeRow(_ overlap: Overlap) -> Bool {
    let bar = UInt8(ascii: "|")
    guard context.json == nil, let last = tail.positions.last else { return false }
    let lines = delivered[...last].suffix(Self.rowBytes).split(separator: 0x0A).suffix(2)
    guard lines.count == 2, lines.allSatisfy({ $0.first == bar }) else { return false }
    return tail.bytes[overlap.place...].count { $0 == bar } == lines.first?.count { $0 == bar }
  }

  /// Whether it begins with the first word of a sentence or the mark of a list: nobody says those twice.
  private func beginsSentence(_ overlap: Overlap) -> Bool {
    guard context.json == nil, overlap.place > 0 else { return false }
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

  /// Whether the text could well say such words twice: they repeat themselves, it said them before, or
  /// they come a third time.
  ///
  /// - Parameter said: ink of the host, from the words that are repeated on.
  func isAmbiguous(place: Int, _ length: Int, _ said: ArraySlice<UInt8>) -> Bool {
    let words = said.prefix(length)
    if Self.isPeriodic(words) { return true }
    let few = min(length, Self.clause)
    let before = tail.bytes[..<place].suffix(few)
    if before.count == few, before.elementsEqual(tail.bytes.suffix(few)) { return true }
    let further = Array(said.prefix(length + few))
    let agreement = InkedText.agreement(of: further, withStartOf: further)
    if further.count == length + few,
      (1...length).contains(where: { $0 + agreement[$0] == further.count })
    {
      return true
    }
    return length >= Self.clause && InkedText.contains(tail.bytes[..<place], words)
  }
}
