/// Announcements that a host writes before it continues, in any language. They are recognised by
/// the text that follows: the repeated end of the answer.
extension Joint {
  /// Looks for an announcement that is followed by the last words of the text.
  ///
  /// - Returns: the verdict, `nil` if there is no announcement; and the number of compared
  ///   readings.
  func announced(
    in text: ArraySlice<UInt8>, _ ink: InkedText, _ continuation: Fit, _ due: Due, _ isFinal: Bool
  ) -> (Verdict?, compared: Int) {
    // If the held words may be new, the lead must look like an announcement.
    let mayBeNew = continuation != .no && due != .differs
    let back = Self.agreementBack(of: ink.bytes, tail.bytes)
    var found: (length: Int, end: Int)?
    var isWaiting = false
    var candidates = 0
    var compared = 0
    var isAmbiguous = false
    for (index, length) in back.enumerated() where length >= 6 && length <= index {
      var length = length
      var first = index + 1 - length
      // The colon may belong to the announcement, even if the text has one there, too.
      if ink.bytes[first] == UInt8(ascii: ":"), length > 6 {
        length -= 1
        first += 1
      }
      guard ink.positions[first] - text.startIndex <= Preamble.longest else { break }
      let isColon = endsInColon(text[..<ink.positions[first]])
      guard isColon || !mayBeNew && (length >= 32 || endsLine(text[..<ink.positions[first]])) else {
        continue
      }
      guard compared < Self.comparedReadings else { break }
      compared += 1
      switch known(text, after: ink.positions[index] + 1, isFinal) {
      case .no: continue
      case .soFar: isWaiting = true
      case .upTo(let end):
        guard format.accepts(text[end...]) else { continue }
        let due = self.due(text[end...], isFinal)
        if due == .soFar { isWaiting = true }
        let chance = continuation == .no ? 8 : 12
        guard length >= (due == .agrees ? 6 : due == .differs ? 16 : chance) else { continue }
        candidates += 1
        // If there are several candidates, none is trusted.
        if candidates == 1 {
          isAmbiguous = self.isAmbiguous(
            place: tail.bytes.count - length, length, ink.bytes[first...])
        }
        if found.map({ length > $0.length }) ?? true { found = (length, end) }
      }
    }
    if !isFinal {
      // The held bytes may end amid words that the client has, before the place of the cut.
      let last = InkedText.agreement(
        of: Array(tail.bytes.reversed()), withStartOf: Array(ink.bytes.reversed()))
      if isWaiting || last.contains(where: { $0 >= 8 && $0 < ink.bytes.count }) {
        return (.wait, compared)
      }
    }
    guard let found else { return (nil, compared) }
    let verdict: Verdict =
      candidates == 1 && !isAmbiguous
      ? .join(start: found.end, insert: [])
      : .unclear("it repeats text that the client has more than once")
    return (verdict, compared)
  }

  private func endsLine(_ text: ArraySlice<UInt8>) -> Bool {
    text.reversed().prefix(while: JSONCursor.isWhitespace).contains(0x0A)
  }

  private func endsInColon(_ text: ArraySlice<UInt8>) -> Bool {
    let ink = text.reversed().drop(while: JSONCursor.isWhitespace)
    return ink.first == UInt8(ascii: ":") || ink.starts(with: "：".utf8.reversed())
  }

  /// Whether the text starts with a line that ends in a colon.
  func endsInAnnouncement(_ text: ArraySlice<UInt8>) -> Bool {
    guard !format.hasGrammar else { return false }
    let line = text.drop(while: JSONCursor.isWhitespace).prefix(Preamble.longest)
    guard let end = line.firstIndex(of: 0x0A) else { return false }
    return line[..<end].last { !JSONCursor.isWhitespace($0) } == UInt8(ascii: ":")
      || line[..<end].suffix(3).elementsEqual("：".utf8)
  }
}
