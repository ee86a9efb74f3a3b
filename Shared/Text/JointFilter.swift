/// Joins what another host says to what the client already has of an answer.
///
/// Hosts are asked to go on with a text and do so in their own ways: they repeat its end, restart
/// the sentence or the whole answer, announce that they will now continue, open the code fence
/// again, lose the space between two words, indent the JSON otherwise. What the client has cannot
/// be taken back, so the first words of the new host are held until it is clear how they join; what
/// is repeated is dropped, and what cannot be joined is refused, so that another host is asked.
public struct JointFilter: Sendable {
  /// How the new host was asked, and so what its first words most likely are.
  public enum Asked: Hashable, Sendable {
    /// To complete the text itself: what it says goes on from there, as a rule.
    case completion
    /// By an instruction, with the end of the text as an anchor: it often repeats some of it.
    case instruction
    /// To go on from an earlier place, so that it says again the words after it.
    case anchored
    /// For the whole answer again.
    case anew
  }

  public struct Rejection: Error, Hashable, Sendable {
    public let reason: String
    /// The words may be new or a repetition: a host that repeats more of the text can be joined.
    public let isUnclear: Bool

    public init(_ reason: String, isUnclear: Bool = false) {
      self.reason = reason
      self.isUnclear = isUnclear
    }
  }

  private enum State: Sendable {
    /// Can transition to: `repeating`, `joined`.
    case deciding([UInt8])
    /// The words that it was asked to say again are looked for. Can transition to: `repeating`,
    /// `joined`.
    case seeking(AnchorSearch, [UInt8])
    /// So much of it repeats what is known that it can be nothing else. Can transition to: `joined`.
    case repeating(RepeatedText)
    case joined
  }

  /// Before the new host's words are understood, at most this much of them is held: a paragraph, and
  /// more than any overlap that is not a restart of the whole answer.
  static let decidingBytes = 1_024
  /// An agreement of this length is no chance.
  static let certainBytes = 256
  /// Before other evidence, an agreement of this length is a repetition.
  static let repetitionBytes = 12

  /// The failure of a host that ends before it has repeated the text.
  public static let endedTooSoon = "it ended before it had said again what the client has"

  private var state: State
  /// `nil` means that it is no longer needed: its copy of the text is freed.
  private var joint: Joint?
  /// Held bytes at which the joint is looked at next.
  private var nextLook = 0
  /// Steps since they were counted.
  private var steps = 0
  private var json: JSONProgress?
  /// The JSON is whole, and the fence around it was closed: the rest is talk.
  private var isFenced = false

  /// - Parameters:
  ///   - delivered: what the client has.
  ///   - boundary: how much of it the new host was given. What follows it must be said again.
  ///   - unseen: what the old host said after `delivered` and the client never got: a hint only.
  ///   - context: what is known about `delivered`.
  public init(
    delivered: [UInt8], boundary: Int, unseen: [UInt8], context: SafeBoundary, asked: Asked
  ) {
    json = context.json
    if delivered.isEmpty {
      state = .joined
    } else if asked == .anchored {
      state = .seeking(
        AnchorSearch(delivered, from: boundary, isJSON: context.json != nil), [])
    } else if asked == .anew {
      state = .repeating(RepeatedText(of: delivered, isJSON: context.json != nil))
    } else {
      state = .deciding([])
      joint = Joint(
        delivered: delivered, boundary: boundary, unseen: unseen, context: context, asked: asked)
    }
  }

  /// Steps since the last call, of comparisons that are longer than what came.
  public mutating func takeWork() -> Int {
    defer { steps = 0 }
    return steps
  }

  /// Whether the host may end now: all that it had to repeat has come.
  public var isWholeAtEnd: Bool {
    if case .repeating(let repeated) = state { return repeated.isDone }
    return true
  }

  /// Everything from here on is new.
  public var isJoined: Bool {
    if case .joined = state { return true }
    return false
  }

  /// - Returns: what of it the client gets now.
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

  /// The new host has said all it wanted.
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
    let verdict = joint?.verdict(on: held, isFinal: isFinal) ?? .join(start: 0, insert: [])
    steps += joint?.takeWork() ?? 0
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

  /// - Parameter waiting: the state in which more is waited for.
  private mutating func apply(
    _ verdict: Joint.Verdict, _ held: [UInt8], waiting: ([UInt8]) -> State
  ) throws(Rejection) -> [UInt8] {
    switch verdict {
    case .wait:
      // A look costs as much as the text is long. In steps of a sixteenth there are at most some 90.
      nextLook = held.count + max(1, held.count / 16)
      state = waiting(held)
      return []
    case .join(let start, let insert):
      state = .joined
      joint = nil
      return try pass((insert + held[start...])[...])
    case .follow(var repeated, let start):
      joint = nil
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
      throw Rejection("it began the answer again, and in other words")
    }
    guard repeated.isDone, taken < text.count else {
      state = .repeating(repeated)
      return []
    }
    state = .joined
    return try pass(text.dropFirst(taken))
  }

  /// In JSON every byte must fit what is there; behind its end only a fence that was put around it
  /// is forgiven.
  private mutating func pass(_ text: ArraySlice<UInt8>) throws(Rejection) -> [UInt8] {
    guard json != nil else { return Array(text) }
    var passed: [UInt8] = []
    for byte in text {
      if isFenced { break }
      if json?.isComplete == true, byte == UInt8(ascii: "`") {
        isFenced = true
        break
      }
      guard json?.take(byte) == true else {
        throw Rejection("what it says does not fit the JSON that was begun")
      }
      passed.append(byte)
    }
    return passed
  }
}
