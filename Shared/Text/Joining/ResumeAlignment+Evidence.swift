/// Evidence for a reading: comparisons of the host's words with the text that the client has.
extension ResumeAlignment {
  /// How words compare with the old host's next words, which the client never got.
  enum Match: Hashable {
    /// The old host's next words are unknown.
    case unknown
    /// The words agree so far, but are too few to decide.
    case soFar
    case agrees
    case differs
  }

  /// A repetition: the host's first words repeat the text from `place` to the end of the text.
  struct Overlap {
    /// Index in the non-space bytes of the tail.
    let place: Int
    /// Number of non-space bytes.
    let length: Int
    /// Index, in the held bytes, of the first byte after the repetition.
    let end: Int
    /// How the words after the repetition compare with the old host's next words.
    let match: Match
    let standing: Standing
    /// Whether too few bytes follow the repetition to judge it.
    let isPending: Bool
  }

  /// - Parameter text: the host's words. White space before them is not compared.
  func match(_ text: ArraySlice<UInt8>, _ isFinal: Bool) -> Match {
    guard !expectedBytes.isEmpty else { return .unknown }
    let space = rules.spaceLength(text)
    let nonSpace = NonSpaceText(text.dropFirst(space).prefix(256)).bytes
    guard nonSpace.starts(with: expectedBytes.prefix(nonSpace.count)) else { return .differs }
    if nonSpace.count >= expectedBytes.count { return .agrees }
    return isFinal ? (nonSpace.isEmpty ? .unknown : .differs) : .soFar
  }

  /// Compares the host's words with the expected words. If the client has a part of a long token,
  /// the comparison begins after this part.
  func matchAfterToken(_ continuation: Fit, in text: ArraySlice<UInt8>, _ isFinal: Bool) -> Match {
    guard hasLongToken else { return match(text, isFinal) }
    guard case .upTo(let end) = continuation else { return .unknown }
    return match(text[end...], isFinal)
  }

  func hasExpectedSpace(_ text: ArraySlice<UInt8>) -> Bool {
    let space = text.prefix(rules.spaceLength(text))
    // The known white space may be the beginning of a longer indentation.
    if expectedBytes.isEmpty, expectedSpace.isEmpty || expectedSpace.contains(0x0A) {
      return space.starts(with: expectedSpace)
    }
    return space.elementsEqual(expectedSpace)
  }

  /// Whether the host's words can continue the answer at the cut. If the client has a part of a
  /// long token after the cut, they must first repeat this part. The rest must fit the format.
  func fit(_ text: ArraySlice<UInt8>, _ isFinal: Bool) -> Fit {
    guard hasLongToken else { return rules.accepts(text) ? .upTo(text.startIndex) : .no }
    let fit = known(text, after: text.startIndex, isFinal)
    if case .upTo(let end) = fit, !rules.accepts(text[end...]) { return .no }
    return fit
  }

  /// Checks the text after a repetition. If the client has a part of a long token, the text must
  /// begin with this part. Otherwise, if white space is expected, the text must not begin with a
  /// word.
  func known(_ text: ArraySlice<UInt8>, after position: Int, _ isFinal: Bool) -> Fit {
    guard hasLongToken else {
      guard !expectedSpace.isEmpty, !rules.ignoresSpace else { return .upTo(position) }
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

  // MARK: - Repetitions

  /// Complete repetitions, and the place of the longest one that may still become complete.
  func overlaps(
    in held: [UInt8], _ text: ArraySlice<UInt8>, _ nonSpace: NonSpaceText, _ agreement: [Int],
    _ isFinal: Bool
  ) -> (whole: [Overlap], growing: Int?, compared: Int) {
    var whole: [Overlap] = []
    var growing: Int?
    var compared = 0
    for place in agreement.indices where agreement[place] > 0 {
      let length = agreement[place]
      if place + length == tail.bytes.count {
        guard compared < Self.comparedReadings else { break }
        compared += 1
        switch known(text, after: nonSpace.positions[length - 1] + 1, isFinal) {
        case .no: continue
        case .soFar: growing = growing ?? place
        case .upTo(let end):
          guard rules.accepts(held[end...]) else { continue }
          let hasMore = nonSpace.positions.last.map { $0 >= end } == true
          let match = match(text[end...], isFinal)
          whole.append(
            Overlap(
              place: place, length: length, end: end, match: match,
              standing: standing(of: text[end...], match), isPending: !hasMore || match == .soFar))
        }
        // Repetitions from later places are parts of those found.
        if whole.count >= 8 { break }
      } else if length == nonSpace.bytes.count {
        growing = growing ?? place
      }
    }
    return (whole, growing, compared)
  }

  /// Whether the bytes end with a repetition of their own beginning. The repetition must have at
  /// least half of the bytes, or at least `clause` bytes.
  static func isPeriodic(_ bytes: ArraySlice<UInt8>) -> Bool {
    let bytes = Array(bytes)
    guard bytes.count > 1 else { return false }
    let agreement = NonSpaceText.agreement(of: bytes, withStartOf: bytes)
    let least = min(clause, bytes.count - bytes.count / 2)
    return (1...(bytes.count - least)).contains { $0 + agreement[$0] == bytes.count }
  }

  /// Returns, for every index of `text`, how many bytes up to and including this one equal the end
  /// of `tail`.
  static func agreementBack(of text: [UInt8], _ tail: [UInt8]) -> [Int] {
    let agreement = NonSpaceText.agreement(
      of: Array(text.reversed()), withStartOf: Array(tail.reversed()))
    return Array(agreement.reversed())
  }

  /// Whether the host starts again at an earlier word of the text and then deviates from the text.
  ///
  /// The evidence is 16 repeated bytes. If the host omits the expected white space, one repeated
  /// word of three bytes or more suffices: the first word of the cut sentence, if it is
  /// capitalised.
  func beginsAgain(_ agreement: [Int], _ nonSpace: NonSpaceText, lacksSpace: Bool) -> Bool {
    var longest = zip(head.bytes, nonSpace.bytes).prefix { $0 == $1 }.count
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
    guard lacksSpace, lastStart < agreement.count, let first = nonSpace.bytes.first,
      (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first)
    else { return false }
    // The first word of the sentence that was cut.
    let word = tail.positions[lastStart...].enumerated().prefix {
      $0.element == tail.positions[lastStart] + $0.offset
    }.count
    return word >= 3 && agreement[lastStart] >= word
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
