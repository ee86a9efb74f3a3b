/// Announcements that a host writes before it continues, in any language. They are recognised by
/// the text that follows: the repeated end of the answer.
extension ResumeAlignment {
  /// Looks for an announcement that is followed by the last words of the text.
  ///
  /// - Returns: the verdict and the number of compared readings. A verdict of `nil` means that
  ///   there is no announcement.
  func verdictAfterAnnouncement(
    in text: ArraySlice<UInt8>, _ nonSpace: NonSpaceText, _ continuation: Fit, _ match: Match,
    _ isFinal: Bool
  ) -> (Verdict?, compared: Int) {
    // If the held words may be new, the text before the repetition must end in a colon.
    let mayBeNew = continuation != .no && match != .differs
    let back = Self.agreementBack(of: nonSpace.bytes, tail.bytes)
    var found: (length: Int, end: Int)?
    var isWaiting = false
    var candidates = 0
    var compared = 0
    var isAmbiguous = false
    for (index, length) in back.enumerated() where length >= 6 && length <= index {
      var length = length
      var first = index + 1 - length
      // The repetition seems to begin with a colon. The colon may be the end of the announcement
      // instead.
      if nonSpace.bytes[first] == UInt8(ascii: ":"), length > 6 {
        length -= 1
        first += 1
      }
      guard nonSpace.positions[first] - text.startIndex <= AnnouncementPhrases.longest else {
        break
      }
      let isColon = endsInColon(text[..<nonSpace.positions[first]])
      guard isColon || !mayBeNew && (length >= 32 || endsLine(text[..<nonSpace.positions[first]]))
      else {
        continue
      }
      guard compared < Self.comparedReadings else { break }
      compared += 1
      switch known(text, after: nonSpace.positions[index] + 1, isFinal) {
      case .no: continue
      case .soFar: isWaiting = true
      case .upTo(let end):
        guard rules.accepts(text[end...]) else { continue }
        let match = self.match(text[end...], isFinal)
        if match == .soFar { isWaiting = true }
        let chance = continuation == .no ? 8 : 12
        guard length >= (match == .agrees ? 6 : match == .differs ? 16 : chance) else { continue }
        candidates += 1
        // If there are several candidates, none is trusted.
        if candidates == 1 {
          isAmbiguous = self.isAmbiguous(
            place: tail.bytes.count - length, length, nonSpace.bytes[first...])
        }
        if found.map({ length > $0.length }) ?? true { found = (length, end) }
      }
    }
    if !isFinal {
      // The held bytes may end in a repetition that has not reached the cut yet.
      let last = NonSpaceText.agreement(
        of: Array(tail.bytes.reversed()), withStartOf: Array(nonSpace.bytes.reversed()))
      if isWaiting || last.contains(where: { $0 >= 8 && $0 < nonSpace.bytes.count }) {
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
    let nonSpace = text.reversed().drop(while: JSONCursor.isWhitespace)
    return nonSpace.first == UInt8(ascii: ":") || nonSpace.starts(with: "：".utf8.reversed())
  }

  /// Whether the text starts with a line that ends in a colon.
  func endsInAnnouncement(_ text: ArraySlice<UInt8>) -> Bool {
    guard rules.format.hasLines else { return false }
    let line = text.drop(while: JSONCursor.isWhitespace).prefix(AnnouncementPhrases.longest)
    guard let end = line.firstIndex(of: 0x0A) else { return false }
    return line[..<end].last { !JSONCursor.isWhitespace($0) } == UInt8(ascii: ":")
      || line[..<end].suffix(3).elementsEqual("：".utf8)
  }
}
