/// Joins the output of another host to the part of an answer that the client already has.
///
/// Hosts continue a text in their own ways: they repeat its end, restart the sentence or the whole
/// answer, announce the continuation, open the code fence again, lose the space between two words,
/// or indent JSON differently. Bytes that the client has cannot be taken back. So the first words
/// of the new host are held until it is clear how they join. Repeated words are dropped. Words that
/// cannot be joined are rejected, so that the request fails over to another host.
public struct ResumeFilter: Sendable {
  /// How the new host was asked. The host's first words depend on this.
  public enum Mode: Hashable, Sendable {
    /// The host was asked to complete the text itself. The output usually continues at the end of
    /// the text.
    case completion
    /// The host got an instruction that quotes the end of the text. The output often repeats some
    /// of the quote.
    case instruction
    /// The host was asked to continue from an earlier place, so that its output repeats the words
    /// after that place.
    case anchored
    /// The host was asked for the whole answer again.
    case fromStart
  }

  public struct Rejection: Error, Hashable, Sendable {
    public let reason: String
    /// Whether the words can be read both as new text and as a repetition. If the host is asked to
    /// repeat more of the text, its output can be joined.
    public let isUnclear: Bool

    public init(_ reason: String, isUnclear: Bool = false) {
      self.reason = reason
      self.isUnclear = isUnclear
    }
  }

  private enum State: Sendable {
    /// The host's first words are held until it is known whether they repeat the client's text or
    /// continue it. Can transition to: `repeating`, `joined`.
    case deciding([UInt8])
    /// The filter searches for the words that the host was asked to repeat. Can transition to:
    /// `repeating`, `joined`.
    case seeking(AnchorSearch, [UInt8])
    /// The output repeats the text. Either too many bytes agree for chance, or the host was asked
    /// for the whole answer. Can transition to: `joined`.
    case repeating(RepeatedText)
    case joined
  }

  /// Bytes of a paragraph. Usually only a host that restarts the whole answer repeats more.
  /// `ResumeAlignment` decides after at most twice as many held bytes.
  static let decidingBytes = 1_024
  /// An agreement of this length is not chance.
  static let certainBytes = 256
  /// An agreement of this length is a repetition if other evidence points to one.
  static let repetitionBytes = 12

  /// Reason to reject a host that ends before it has repeated the text.
  public static let endedTooSoon = "it ended before it had repeated the text that the client has"

  private var state: State
  /// Decides in the state `deciding`. `nil` means that no decision is needed, so that the
  /// alignment's copy of the text takes no memory.
  private var alignment: ResumeAlignment?
  /// Number of held bytes at which the next verdict is computed.
  private var nextLook = 0
  /// Steps since the last `takeWork()`.
  private var steps = 0
  private var rules: FormatRules
  /// Whether the document is complete and the fence around it is closed. Further text is dropped.
  private var isFenced = false

  /// - Parameters:
  ///   - delivered: the text that the client has.
  ///   - boundary: length of the prefix that the new host was given. The host must repeat the rest.
  ///   - unseen: output of the old host after `delivered` that the client never got. It is only a
  ///     hint.
  ///   - context: the state after `delivered`.
  public init(
    delivered: [UInt8], boundary: Int, unseen: [UInt8], context: SafeBoundary, mode: Mode
  ) {
    rules = FormatRules(at: context)
    if delivered.isEmpty {
      state = .joined
    } else if mode == .anchored {
      state = .seeking(
        AnchorSearch(delivered, from: boundary, in: rules.format), [])
    } else if mode == .fromStart {
      state = .repeating(RepeatedText(of: delivered, in: rules.format))
    } else {
      state = .deciding([])
      alignment = ResumeAlignment(
        delivered: delivered, boundary: boundary, unseen: unseen, context: context, mode: mode)
    }
  }

  /// Returns the steps since the last call. Only comparisons of held text count, which may take
  /// more steps than bytes were received.
  public mutating func takeWork() -> Int {
    defer { steps = 0 }
    return steps
  }

  /// Whether the host may end now. `false` while it repeats text and has not repeated all of it.
  public var isWholeAtEnd: Bool {
    if case .repeating(let repeated) = state { return repeated.isDone }
    return true
  }

  /// - Returns: the bytes that the client gets now.
  public mutating func take(_ text: [UInt8]) throws(Rejection) -> [UInt8] {
    switch state {
    case .joined: return try pass(text[...])
    case .deciding(var held):
      state = .joined
      held += text
      return try decide(held, isFinal: false)
    case .seeking(let search, var held):
      state = .joined
      held += text
      return try seek(search, held, isFinal: false)
    case .repeating(var repeated):
      state = .joined
      return try follow(&repeated, text[...])
    }
  }

  /// Ends the output of the new host.
  public mutating func finish() throws(Rejection) -> [UInt8] {
    switch state {
    case .joined: return []
    case .deciding(let held): return try decide(held, isFinal: true)
    case .seeking(let search, let held): return try seek(search, held, isFinal: true)
    case .repeating(let repeated):
      state = .joined
      guard repeated.isDone else {
        throw Rejection(Self.endedTooSoon)
      }
      return []
    }
  }

  private mutating func decide(_ held: [UInt8], isFinal: Bool) throws(Rejection) -> [UInt8] {
    guard isFinal || held.count >= nextLook else {
      state = .deciding(held)
      return []
    }
    let verdict = alignment?.verdict(on: held, isFinal: isFinal) ?? .join(start: 0, insert: [])
    steps += alignment?.takeWork() ?? 0
    return try apply(verdict, held) { .deciding($0) }
  }

  private mutating func seek(
    _ search: AnchorSearch, _ held: [UInt8], isFinal: Bool
  ) throws(Rejection) -> [UInt8] {
    guard isFinal || held.count >= nextLook else {
      state = .seeking(search, held)
      return []
    }
    var search = search
    let verdict = search.verdict(on: held, isFinal: isFinal)
    steps += search.takeWork()
    return try apply(verdict, held) { .seeking(search, $0) }
  }

  /// - Parameter waiting: makes the state that waits for more bytes.
  private mutating func apply(
    _ verdict: ResumeAlignment.Verdict, _ held: [UInt8], waiting: ([UInt8]) -> State
  ) throws(Rejection) -> [UInt8] {
    switch verdict {
    case .wait:
      // The cost of a verdict grows with the held text. With steps of a sixteenth there are at most
      // some 100 verdicts.
      nextLook = held.count + max(1, held.count / 16)
      state = waiting(held)
      return []
    case .join(let start, let insert):
      state = .joined
      alignment = nil
      return try pass((insert + held[start...])[...])
    case .follow(var repeated, let start):
      alignment = nil
      return try follow(&repeated, held[start...])
    case .reject(let reason):
      throw Rejection(reason)
    case .unclear(let reason):
      throw Rejection(reason, isUnclear: true)
    }
  }

  private mutating func follow(
    _ repeated: inout RepeatedText, _ text: ArraySlice<UInt8>
  ) throws(Rejection) -> [UInt8] {
    guard let taken = repeated.take(text) else {
      throw Rejection("it restarted the answer in other words")
    }
    guard repeated.isDone, taken < text.count else {
      state = .repeating(repeated)
      return []
    }
    state = .joined
    return try pass(text.dropFirst(taken))
  }

  /// In a grammar every byte must fit the bytes before it. After the end of the document, only a
  /// closing fence is accepted.
  private mutating func pass(_ text: ArraySlice<UInt8>) throws(Rejection) -> [UInt8] {
    guard rules.format.checksText else { return Array(text) }
    var passed: [UInt8] = []
    for byte in text {
      if isFenced { break }
      if rules.isComplete, byte == UInt8(ascii: "`") {
        isFenced = true
        break
      }
      guard rules.take(byte) else {
        throw Rejection(
          "its text does not continue the \(rules.format.name) that the client has")
      }
      passed.append(byte)
    }
    return passed
  }
}
