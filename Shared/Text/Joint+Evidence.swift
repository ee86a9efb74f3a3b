/// What speaks for a reading, and how much.
extension Joint {
  /// How words compare with those that the old host was about to say.
  enum Due: Hashable {
    /// Nothing is known of those.
    case unknown
    /// They agree, and are too few yet.
    case soFar
    case agrees
    case differs
  }

  /// The first words repeat the end of the text, all of it from `place` on.
  struct Overlap {
    /// In the ink of the tail.
    let place: Int
    /// Bytes of ink.
    let length: Int
    /// Where the held bytes go on behind it.
    let end: Int
    /// How they go on.
    let due: Due
  }

  enum Weight { case repeats, continues, unclear }

  func due(_ ink: ArraySlice<UInt8>, _ isFinal: Bool) -> Due {
    guard !dueInk.isEmpty else { return .unknown }
    guard ink.starts(with: dueInk.prefix(ink.count)) else { return .differs }
    if ink.count >= dueInk.count { return .agrees }
    return isFinal ? (ink.isEmpty ? .unknown : .differs) : .soFar
  }

  func hasDueSpace(_ text: ArraySlice<UInt8>) -> Bool {
    let space = text.prefix(Self.space(text, inString: context.json?.isInString == true))
    return dueInk.isEmpty ? space.starts(with: dueSpace) : space.elementsEqual(dueSpace)
  }

  /// Whether the words go on from the cut: they say a long token again, and keep JSON valid.
  func fit(_ text: ArraySlice<UInt8>, _ isFinal: Bool) -> Fit {
    guard hasLongToken else { return fitsJSON(text) ? .upTo(text.startIndex) : .no }
    let fit = known(text, after: text.startIndex, isFinal)
    if case .upTo(let end) = fit, !fitsJSON(text[end...]) { return .no }
    return fit
  }

  /// Behind a repetition: a long token that the client has must come, or the border of a word.
  func known(_ text: ArraySlice<UInt8>, after position: Int, _ isFinal: Bool) -> Fit {
    guard hasLongToken else {
      guard !dueSpace.isEmpty else { return .upTo(position) }
      guard position < text.endIndex else { return isFinal ? .upTo(position) : .soFar }
      return Self.isWord(text[position]) ? .no : .upTo(position)
    }
    var index = position
    var known = delivered[boundary...]
    if let first = known.first, JSONCursor.isWhitespace(first) {
      known = known.drop(while: JSONCursor.isWhitespace)
      while index < text.endIndex, JSONCursor.isWhitespace(text[index]) { index += 1 }
    }
    for byte in known {
      guard index < text.endIndex else { return isFinal ? .no : .soFar }
      guard text[index] == byte else { return .no }
      index += 1
    }
    return .upTo(index)
  }

  func fitsJSON(_ text: ArraySlice<UInt8>) -> Bool {
    guard var json = context.json else { return true }
    for byte in text {
      if json.isComplete, byte == UInt8(ascii: "`") { return true }
      guard json.take(byte) else { return false }
    }
    return true
  }

  // MARK: - Repetitions

  /// Those that are whole, and the longest that may still become it.
  func overlaps(
    in held: [UInt8], _ text: ArraySlice<UInt8>, _ ink: InkedText, _ agreement: [Int],
    _ isFinal: Bool
  ) -> (whole: [Overlap], growing: Int?) {
    var whole: [Overlap] = []
    var growing: Int?
    for place in agreement.indices where agreement[place] > 0 {
      let length = agreement[place]
      if place + length == tail.bytes.count {
        switch known(text, after: ink.positions[length - 1] + 1, isFinal) {
        case .no: continue
        case .soFar: growing = growing ?? place
        case .upTo(let end):
          guard fitsJSON(held[end...]) else { continue }
          let rest = ink.positions.drop { $0 < end }.map { held[$0] }
          whole.append(
            Overlap(place: place, length: length, end: end, due: due(rest[...], isFinal)))
        }
        // Later places are parts of this one.
        if whole.count >= 8 { break }
      } else if length == ink.bytes.count {
        growing = growing ?? place
      }
    }
    return (whole, growing)
  }

  /// The longest behind which it goes on as it was due; else the longest.
  func best(_ overlaps: [Overlap]) -> Overlap? {
    overlaps.first { $0.due == .agrees } ?? overlaps.first { $0.due == .soFar } ?? overlaps.first
  }

  /// Whether an overlap is a repetition.
  func weigh(
    _ overlap: Overlap, _ text: ArraySlice<UInt8>, _ ink: InkedText, _ continuation: Fit, _ due: Due
  ) -> Weight {
    guard continuation != .no else { return .repeats }
    let completes = asked == .completion
    let hasSpace = hasDueSpace(text)
    let isLackingSpace = !hasSpace && !dueSpace.isEmpty
    let length = overlap.length
    let isWordStart =
      overlap.place == 0
      || tail.positions[overlap.place] > tail.positions[overlap.place - 1] + 1
    func atLeast(_ needed: Int) -> Weight { length >= needed ? .repeats : .continues }
    // The mark of a table's row or of a list is no repetition.
    if context.json == nil, length < 6, !ink.bytes[..<length].contains(where: Self.isWord),
      due != .differs || overlap.due != .agrees
    {
      return .continues
    }
    switch (due, overlap.due) {
    case (.differs, .agrees), (.differs, .soFar):
      if isLackingSpace, isWordStart { return .repeats }
      if dueSpace.isEmpty { return atLeast(3) }
      return atLeast(hasSpace ? 8 : 6)
    case (.differs, _):
      if context.json != nil { return atLeast(overlap.place == 0 && head.bytes.isEmpty ? 1 : 3) }
      if isLackingSpace, isWordStart { return atLeast(4) }
      return atLeast(completes ? 16 : 8)
    case (.agrees, .differs), (.soFar, .differs):
      // One or two letters agree by chance.
      if dueInk.count >= 3 || length < 16 { return .continues }
      return completes && !isLackingSpace ? .continues : .unclear
    case (.agrees, _), (.soFar, _):
      if isAmbiguous(overlap, ink) {
        if completes || length < 6 { return .continues }
        return .unclear
      }
      if isLackingSpace { return isWordStart ? atLeast(dueInk.count + 1) : atLeast(12) }
      return atLeast(completes ? 24 : 16)
    case (.unknown, _):
      if isAmbiguous(overlap, ink) {
        if completes || length < 6 { return .continues }
        return .unclear
      }
      if isLackingSpace {
        if isWordStart { return length >= 3 ? .repeats : .unclear }
        if context.json != nil {
          return length >= 6 ? .repeats : length >= 3 ? .unclear : .continues
        }
        return atLeast(12)
      }
      if dueSpace.isEmpty { return atLeast(completes ? 96 : 12) }
      return atLeast(completes ? 160 : 8)
    }
  }

  /// Whether the text could well say such words twice: they repeat themselves, they followed the same
  /// words before, or they come a third time.
  func isAmbiguous(_ overlap: Overlap, _ ink: InkedText) -> Bool {
    let length = overlap.length
    if Self.isPeriodic(ink.bytes[..<length]) { return true }
    let few = min(length, 12)
    let before = tail.bytes[..<overlap.place].suffix(few)
    if before.count == few, before.elementsEqual(tail.bytes.suffix(few)) { return true }
    let next = ink.bytes.dropFirst(length).prefix(few)
    return next.count == few && next.elementsEqual(ink.bytes.prefix(few))
  }

  /// Whether the bytes are the same few again and again, at least twice.
  static func isPeriodic(_ bytes: ArraySlice<UInt8>) -> Bool {
    let bytes = Array(bytes)
    guard bytes.count > 1 else { return false }
    let agreement = InkedText.agreement(of: bytes, withStartOf: bytes)
    return (1...(bytes.count / 2)).contains { $0 + agreement[$0] == bytes.count }
  }

  /// For every byte of `text`: how many bytes up to it agree with the end of `tail`.
  static func agreementBack(of text: [UInt8], _ tail: [UInt8]) -> [Int] {
    let agreement = InkedText.agreement(
      of: Array(text.reversed()), withStartOf: Array(tail.reversed()))
    return Array(agreement.reversed())
  }

  /// Whether the words follow a sentence of the text from its first word, and then leave it: 16 bytes
  /// of any sentence, or the first word of the one that was cut, written as sentences begin.
  func beginsAgain(_ agreement: [Int], _ ink: InkedText, lacksSpace: Bool) -> Bool {
    var longest = zip(head.bytes, ink.bytes).prefix { $0 == $1 }.count
    var lastStart = 0
    for place in agreement.indices {
      guard place > 0 else {
        longest = max(longest, agreement[0])
        continue
      }
      guard tail.positions[place] > tail.positions[place - 1] + 1 else { continue }
      longest = max(longest, agreement[place])
      if ".!?".utf8.contains(tail.bytes[place - 1]) { lastStart = place }
    }
    if longest >= 16 { return true }
    guard lacksSpace, lastStart < agreement.count, let first = ink.bytes.first,
      (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first)
    else { return false }
    // The first word of the sentence that was cut.
    let word = tail.positions[lastStart...].enumerated().prefix {
      $0.element == tail.positions[lastStart] + $0.offset
    }.count
    return word >= 3 && agreement[lastStart] >= word
  }

  /// Bytes of white space at the start; in a string of JSON it may be written as escapes.
  static func space(_ text: ArraySlice<UInt8>, inString: Bool) -> Int {
    var rest = text
    while let first = rest.first {
      if JSONCursor.isWhitespace(first) {
        rest = rest.dropFirst()
      } else if inString, first == UInt8(ascii: "\\"), let second = rest.dropFirst().first,
        "nrt".utf8.contains(second)
      {
        rest = rest.dropFirst(2)
      } else {
        break
      }
    }
    return text.count - rest.count
  }

  static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"), 0x80...:
      true
    default: false
    }
  }
}
