/// Decides how the first words of a new host join the text that the client has.
///
/// The cut is the end of the text that the new host was given. There are three readings of the
/// words:
/// - They continue the text at the cut.
/// - They repeat the end of the text: from a word, a sentence or the beginning, perhaps after an
///   announcement.
/// - They cannot be joined.
///
/// If the old host's next words are known, they decide. Otherwise a repetition must be longer than
/// chance would produce. A text that repeats itself at the cut fits two readings. In this case, the
/// words of a host that was asked to complete the text may count as new. The words of a host that
/// was instructed are rejected as unclear.
struct ResumeAlignment: Sendable {
  enum Verdict: Sendable {
    /// More bytes are needed for a decision.
    case wait
    /// The held bytes from `start` on are new. `insert` is delivered before these bytes.
    case join(start: Int, insert: [UInt8])
    /// The bytes from `start` on repeat known text. They are dropped until the repetition is
    /// complete.
    case follow(RepeatedText, start: Int)
    case reject(String)
    /// Several readings are possible.
    case unclear(String)
  }

  enum Fit: Hashable {
    case no
    /// The bytes fit so far, but more bytes are needed.
    case soFar
    /// The bytes up to this index are already known.
    case upTo(Int)
  }

  /// Bytes at the end of the text in which a repetition may begin. They hold a long paragraph. A
  /// repetition of the answer's beginning is found as well.
  private static let tailBytes = 2_048
  /// Bytes up to which unexpected words are held: an announcement and the beginning of the text
  /// after it.
  private static let suspiciousBytes = 200

  let delivered: [UInt8]
  let boundary: Int
  let mode: ResumeFilter.Mode
  let context: SafeBoundary
  let rules: FormatRules
  /// The old host's next words after the client's text, split into white space and non-space bytes.
  let expectedSpace: [UInt8]
  let expectedBytes: [UInt8]
  let tail: NonSpaceText
  let head: NonSpaceText
  /// Steps since the last `takeWork()`.
  private var steps = 0

  /// Maximum readings that one `verdict` compares in full. A text that repeats itself has one
  /// reading per period.
  static let comparedReadings = 64

  init(
    delivered: [UInt8], boundary: Int, unseen: [UInt8], context: SafeBoundary,
    mode: ResumeFilter.Mode
  ) {
    self.delivered = delivered
    self.boundary = boundary
    self.context = context
    rules = FormatRules(at: context)
    self.mode = mode
    let space = rules.spaceLength(unseen[...])
    expectedSpace = Array(unseen.prefix(space))
    expectedBytes = NonSpaceText(unseen.dropFirst(space).prefix(64)).bytes
    let given = delivered[..<boundary]
    tail = NonSpaceText(given.suffix(Self.tailBytes))
    head =
      given.count > Self.tailBytes
      ? NonSpaceText(given.prefix(2 * ResumeFilter.decidingBytes)) : NonSpaceText([])
  }

  /// Whether the client already has text after the boundary. This text is a part of a long token,
  /// and the host must repeat it.
  var hasLongToken: Bool { boundary < delivered.count }

  /// Returns the steps since the last call.
  mutating func takeWork() -> Int {
    defer { steps = 0 }
    return steps
  }

  mutating func verdict(on held: [UInt8], isFinal: Bool) -> Verdict {
    let verdict = read(held, from: 0, isFinal: isFinal)
    guard case .wait = verdict, held.count >= 2 * ResumeFilter.decidingBytes else { return verdict }
    return read(held, from: 0, isFinal: true)
  }

  private mutating func read(
    _ held: [UInt8], from start: Int, isFinal: Bool, depth: Int = 0
  ) -> Verdict {
    let text = held[start...]
    let nonSpace = NonSpaceText(text)
    // A verdict reads both texts some ten times.
    steps += 10 * (text.count + tail.bytes.count)
    guard !nonSpace.bytes.isEmpty else {
      guard isFinal else { return .wait }
      return hasLongToken
        ? .reject("it ended within a word of which the client has a part")
        : .join(start: start, insert: [])
    }
    let continuation = fit(text, isFinal)
    let match = matchAfterToken(continuation, in: text, isFinal)
    let agreement = NonSpaceText.agreement(of: tail.bytes, withStartOf: nonSpace.bytes)
    let overlaps = overlaps(in: held, text, nonSpace, agreement, isFinal)
    steps += overlaps.compared * text.count
    if let verdict = growing(overlaps.growing, text, nonSpace, continuation, match, isFinal) {
      return verdict
    }
    // The bytes that must follow a repetition have not arrived.
    if !isFinal, overlaps.whole.contains(where: { $0.isPending }) { return .wait }
    if let overlap = best(overlaps.whole),
      let verdict = decide(on: overlap, text, nonSpace, continuation, match, isFinal)
    {
      return verdict
    }
    if continuation == .soFar, !isFinal {
      // The host repeats a long token, byte for byte.
      guard nonSpace.bytes.count >= ResumeFilter.certainBytes else { return .wait }
      return .follow(
        RepeatedText(of: delivered, from: boundary, in: rules.format), start: start)
    }
    if depth < 2,
      let verdict = withoutWrapping(held, text, continuation, match, isFinal, depth)
    {
      return verdict
    }
    return verdictOnNewWords(text, nonSpace, agreement, continuation, match, isFinal)
  }

  /// Verdict on text that begins with an overlap. `nil` means that the overlap is not a repetition.
  private func decide(
    on overlap: Overlap, _ text: ArraySlice<UInt8>, _ nonSpace: NonSpaceText, _ continuation: Fit,
    _ match: Match, _ isFinal: Bool
  ) -> Verdict? {
    if !isFinal, match == .soFar { return .wait }
    if case .upTo(let start) = continuation {
      if !isFinal {
        // In a grammar, the next bytes show whether the continuation is valid.
        if rules.format.checksText, text.endIndex - overlap.end < 48 { return .wait }
        // If the host repeats the overlap once more, the overlap is ambiguous. Wait until the text
        // is long enough to show this.
        if nonSpace.bytes.count < overlap.length + min(overlap.length, 12) { return .wait }
      }
      switch weigh(overlap, text[start...], nonSpace, match) {
      case .repeats: break
      case .continues: return nil
      case .unclear: return .unclear("its text may be new or repeated: both fit")
      }
    }
    return .join(start: overlap.end, insert: [])
  }

  // MARK: - Readings

  /// Verdict on a repetition that has not reached the cut.
  private func growing(
    _ growing: Int?, _ text: ArraySlice<UInt8>, _ nonSpace: NonSpaceText, _ continuation: Fit,
    _ match: Match,
    _ isFinal: Bool
  ) -> Verdict? {
    let repeatsHead =
      !head.bytes.isEmpty
      && head.bytes.prefix(nonSpace.bytes.count).elementsEqual(
        nonSpace.bytes.prefix(head.bytes.count))
    guard !isFinal, growing != nil || repeatsHead else { return nil }
    guard nonSpace.bytes.count >= ResumeFilter.certainBytes else { return .wait }
    if continuation != .no, Self.isPeriodic(nonSpace.bytes[...]) {
      return mode == .completion
        ? nil : .unclear("it repeats periodic text, and the number of repetitions is unknown")
    }
    let from = repeatsHead ? 0 : growing.map { tail.positions[$0] } ?? 0
    // A list or a poem may have equal elements of any length.
    if from > 0, continuation != .no, rules.format.hidesRepetitions || hasExactStart(text, match) {
      return .unclear("it repeats elements of the text, or the text has them twice: both fit")
    }
    return .follow(
      RepeatedText(of: delivered, from: from, in: rules.format), start: text.startIndex)
  }

  /// Skips words around the continuation: an announcement, a code fence that is already open, or a
  /// fence around a document. `nil` means that no words are skipped.
  private mutating func withoutWrapping(
    _ held: [UInt8], _ text: ArraySlice<UInt8>, _ continuation: Fit, _ match: Match,
    _ isFinal: Bool,
    _ depth: Int
  ) -> Verdict? {
    // The end of a code block looks like the start of one, so an expected end is no proof that the
    // host's fence is new text.
    let endsFence = context.isInFence && expectedBytes.allSatisfy { $0 == UInt8(ascii: "`") }
    let isExpected = match == .agrees && continuation != .no && !endsFence
    if isExpected, expectedBytes.count >= 8 || hasExactStart(text, match) { return nil }
    switch AnnouncementPhrases.find(in: text, isFinal: isFinal) {
    case .none: break
    case .unfinished: return .wait
    case .ends(let count):
      // For example, "Sur" was expected, and the host wrote "Sure, here it is:".
      guard !isExpected else {
        return .unclear("its first words may be an announcement or the answer")
      }
      return read(held, from: text.startIndex + count, isFinal: isFinal, depth: depth + 1)
    }
    guard !isExpected, context.isInFence || rules.format.mayBeFenced else { return nil }
    let fence = Array("```".utf8)
    let line = text.drop(while: JSONCursor.isWhitespace)
    guard line.starts(with: fence.prefix(line.count)) else { return nil }
    guard let end = line.firstIndex(of: 0x0A) else {
      return isFinal || line.count > 40 ? nil : .wait
    }
    let info = line[..<end].drop { $0 == fence[0] }.filter { !JSONCursor.isWhitespace($0) }
    guard rules.format.mayBeFenced || !info.isEmpty else { return nil }
    let inner = read(held, from: end + 1, isFinal: isFinal, depth: depth + 1)
    // The fence's line ended with the line break that the code needs, so the break is inserted.
    if case .join(let start, let insert) = inner, start == end + 1, insert.isEmpty,
      rules.format.hasLines
    {
      return .join(start: start, insert: expectedSpace.isEmpty ? [0x0A] : expectedSpace)
    }
    return inner
  }

  /// Returns the verdict on words that do not begin with a repetition of the text.
  private mutating func verdictOnNewWords(
    _ text: ArraySlice<UInt8>, _ nonSpace: NonSpaceText, _ agreement: [Int], _ continuation: Fit,
    _ match: Match, _ isFinal: Bool
  ) -> Verdict {
    let isLackingSpace =
      !hasLongToken && !expectedSpace.isEmpty
      && rules.spaceLength(text) == 0
    let isKnown = match == .agrees && expectedBytes.count >= 8
    let isStrange = match == .differs || match == .soFar || isLackingSpace && !isKnown
    if continuation == .no || isStrange {
      let (verdict, compared) = verdictAfterAnnouncement(
        in: text, nonSpace, continuation, match, isFinal)
      steps += compared * text.count
      if let verdict { return verdict }
      if !isFinal, text.count < Self.suspiciousBytes || match == .soFar { return .wait }
      if endsInAnnouncement(text) {
        return .reject("it did not resume the text after its announcement")
      }
    }
    guard case .upTo(let start) = continuation else {
      return .reject("its text does not continue the text that the client has")
    }
    if match != .agrees, isLackingSpace || expectedSpace.isEmpty, !mayBeExact(text, match),
      beginsAgain(agreement, nonSpace, lacksSpace: isLackingSpace)
    {
      return .reject("it restarted a sentence in other words")
    }
    // Unexpected words that begin with punctuation need no space before them.
    let attaches =
      match == .differs && start < text.endIndex && ",.;:!?)]}%'\"".utf8.contains(text[start])
    return .join(start: start, insert: isLackingSpace && !attaches ? expectedSpace : [])
  }
}
