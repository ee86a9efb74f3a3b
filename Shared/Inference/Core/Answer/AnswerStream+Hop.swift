import ClusterModel
import Limits
import Text

extension AnswerStream {
  /// Joins the text of a resuming host to the answer so far.
  struct Hop: Sendable {
    /// Identity of the first host's chunks. `nil` means that another process received these chunks,
    /// so that their identity is unknown.
    let identity: StreamIdentity?
    /// Whether the answer has tool calls. The next host then sends the answer again from the start.
    let callsTools: Bool
    var isFromStart: Bool
    /// Length of the beginning of the client's text that the host continues. The host must repeat
    /// the rest of the client's text. `nil` means that the host continues the text up to the last
    /// safe boundary.
    var anchor: Int?
    /// Prompt tokens added by resumption: the answer so far and the resume instruction.
    var addedPromptTokens = 0

    /// Whether the host's text is joined to text that the client already has.
    var joins = false
    /// Removes repeated text from the host's content. `nil` means that all of the content is new.
    private var content: ResumeFilter?
    /// Checks the first words after the joint for a restart. `nil` means that the check has been
    /// made, or that no restart can be detected.
    private var restartDetector: RestartDetector?
    /// Whether the host's content before the tool calls is dropped, because it differs from the
    /// client's content.
    private var dropsContent = false
    private var reasoning: ResumeFilter?
    private var dropsReasoning = false
    /// Tool calls that the client already has, in the client's order. Each has a filter that
    /// removes repeated arguments.
    private(set) var known: [KnownCall] = []
    /// Position of each call in the order in which this host's calls arrived, by the host's index.
    private(set) var positions: [Int: Int] = [:]
    /// The client's index for the host's first new call: one above the highest known index.
    private var nextIndex = 0
    /// Finds a stop sequence that spans the joint. `nil` means that no sequence can.
    var stopWatch: StopWatch?
    /// Steps that are not charged yet.
    private var steps = 0

    struct KnownCall: Sendable {
      let index: Int
      let name: String
      var sentName = ""
      var filter: ResumeFilter?
    }

    init(identity: StreamIdentity?, callsTools: Bool, isFromStart: Bool) {
      self.identity = identity
      self.callsTools = callsTools
      self.isFromStart = isFromStart
    }

    mutating func begin(_ way: ResumeWay, channels: [AnswerChannel], stop: [[UInt8]]) {
      let mode: ResumeFilter.Mode =
        isFromStart
        ? .fromStart : anchor != nil ? .anchored : way == .instruct ? .instruction : .completion
      joins = !channels.isEmpty
      for channel in channels {
        let boundary = isFromStart ? 0 : anchor ?? channel.boundary.boundary
        func filter(_ mode: ResumeFilter.Mode) -> ResumeFilter {
          ResumeFilter(
            delivered: channel.text, boundary: boundary, unseen: channel.unseen,
            context: channel.boundary, mode: mode)
        }
        switch channel.part {
        case .content:
          dropsReasoning = true
          content = filter(mode)
          if !isFromStart, anchor == nil, !callsTools {
            restartDetector = RestartDetector(after: channel)
          }
          if !callsTools { stopWatch = StopWatch(stop, after: channel.text) }
        case .reasoning:
          reasoning = filter(.fromStart)
        case .call(let index):
          known.append(
            KnownCall(index: index, name: channel.name, filter: filter(.fromStart)))
          nextIndex = max(nextIndex, index + 1)
        }
      }
      if callsTools, !known.isEmpty { dropsReasoning = true }
    }

    /// Steps since the last call.
    mutating func takeSteps() -> Int {
      defer { steps = 0 }
      return steps
    }
  }

  /// Finds a stop sequence that spans the joint. Holds the first new bytes back while a sequence
  /// may still span the joint.
  struct StopWatch: Sendable {
    private var matcher: StopMatcher
    private let longest: Int
    private(set) var text: [UInt8] = []

    /// - Returns: `nil` if no sequence can span the joint.
    init?(_ stop: [[UInt8]], after delivered: [UInt8]) {
      longest = stop.map(\.count).max() ?? 0
      guard longest > 1 else { return nil }
      matcher = StopMatcher(stop)
      for byte in delivered.suffix(longest - 1) { matcher.take(byte) }
    }

    /// Whether so many bytes have arrived that no sequence can span the joint any more.
    var isOver: Bool { text.count >= longest + min(longest, AnswerStream.heldBytes) }

    /// - Returns: offset in `text` at which the first stop sequence begins. A negative offset lies
    ///   in the text of the old host. `nil` means that no sequence was found.
    mutating func append(_ bytes: [UInt8]) -> Int? {
      var first: Int?
      for byte in bytes {
        text.append(byte)
        let length = matcher.take(byte)
        if length > 0 { first = min(first ?? .max, text.count - length) }
      }
      return first
    }

    mutating func takeSteps() -> Int { matcher.takeWork() }
  }

  /// Rewrites a chunk of the new host for the client. `nil` means that the rewritten chunk would be
  /// empty.
  mutating func rejoined(
    _ chunk: InferenceChunk, _ parts: ChunkDelta
  ) throws(AttemptFailure) -> InferenceChunk? {
    var rewrite = ChunkRewrite()
    // If another process began the answer, the first identity is unknown, and the chunk keeps its
    // own.
    if let identity = hop?.identity, !identity.members.isEmpty { rewrite.identity = identity }
    rewrite.keepsRole = !hasBegun
    // Content that is held for the joint must be released before tool calls and before the end.
    let isLast = chunk.facts.finishReason != nil || !parts.calls.isEmpty
    do throws(ResumeFilter.Rejection) {
      try hop?.join(parts, isLast: isLast, &rewrite)
    } catch {
      var failure = AttemptFailure(.badJoint, error.reason)
      failure.isUnclear = error.isUnclear
      throw failure
    }
    if hop?.stopWatch != nil { stopAtJoint(&rewrite, isLast: isLast) }
    try charge(hop?.takeSteps() ?? 0)
    keptBytes += rewrite.texts.values.reduce(0) { $0 + $1.count }
    if hop?.joins == true, chunk.facts.usage != nil { rewrite.usage = usage }
    return try rewrite.apply(to: chunk)
  }

  /// Ends the answer at a stop sequence that spans the joint, or that follows soon after it.
  ///
  /// A sequence that spans the joint begins in the old host's text and ends in the new host's text.
  /// Neither host sees all of it.
  private mutating func stopAtJoint(_ rewrite: inout ChunkRewrite, isLast: Bool) {
    guard isLast || rewrite.texts[.content] != nil else { return }
    let start = hop?.stopWatch?.append(rewrite.texts[.content] ?? [])
    let text = hop?.stopWatch?.text ?? []
    if let start {
      rewrite.texts = [.content: Array(text.prefix(max(start, 0)))]
      rewrite.finishReason = "stop"
      isOver = true
      hop?.stopWatch = nil
    } else if isLast || hop?.stopWatch?.isOver == true {
      rewrite.texts[.content] = text
      hop?.stopWatch = nil
    } else {
      rewrite.texts[.content] = nil
    }
  }

  /// Checks that a joined answer may end here: its tool calls must be complete. Its JSON must be
  /// complete too, unless the host reports that it reached its maximum length.
  mutating func checkEnd(_ reason: String) throws(AttemptFailure) {
    guard let hop, hop.joins, !isOver else { return }
    try charge(hop.known.count + channels.count)
    guard hop.positions.count >= hop.known.count, !hop.callsTools || !hop.positions.isEmpty else {
      throw AttemptFailure(.badJoint, "it does not make the tool calls that the answer began with")
    }
    for call in hop.known where call.filter?.isWholeAtEnd == false {
      throw AttemptFailure(.badJoint, ResumeFilter.endedTooSoon)
    }
    guard reason != "length" else { return }
    for channel in channels where channel.part != .reasoning {
      if channel.boundary.isUnfinished {
        let format = channel.boundary.format.name
        throw AttemptFailure(.badJoint, "it ended before the \(format) was whole")
      }
    }
  }
}

extension AnswerStream.Hop {
  /// Removes repeated text from the host's texts, and adds the new text to `rewrite`.
  mutating func join(
    _ parts: ChunkDelta, isLast: Bool, _ rewrite: inout ChunkRewrite
  ) throws(ResumeFilter.Rejection) {
    for (part, text) in parts.texts where !part.isCall {
      rewrite.texts[part, default: []] += try joined(part, text)
    }
    if isLast, !callsTools, let rest = try finishContent() {
      rewrite.texts[.content, default: []] += try checked(rest)
    }
    for call in parts.calls { try match(call, &rewrite) }
    for (part, text) in parts.texts where part.isCall {
      rewrite.texts[part, default: []] += try joined(part, text)
    }
    steps += content?.takeWork() ?? 0
    steps += parts.texts.reduce(0) { $0 + $1.text.count } + parts.calls.count
  }

  private mutating func finishContent() throws(ResumeFilter.Rejection) -> [UInt8]? {
    try content?.finish()
  }

  /// Place of a call in the order in which this host's calls arrived.
  private mutating func position(of index: Int) -> Int {
    if let position = positions[index] { return position }
    positions[index] = positions.count
    return positions.count - 1
  }

  /// The client's index of a call. A new call gets the next unused index.
  private func clientIndex(_ position: Int) -> Int {
    position < known.count ? known[position].index : nextIndex + position - known.count
  }

  private mutating func match(
    _ call: ChunkDelta.Call, _ rewrite: inout ChunkRewrite
  ) throws(ResumeFilter.Rejection) {
    let position = position(of: call.index)
    guard clientIndex(position) < Limits.toolCalls.value else {
      throw ResumeFilter.Rejection("it makes more than \(Limits.toolCalls.value) tool calls")
    }
    var change =
      rewrite.calls[call.index]
      ?? ChunkRewrite.Call(index: clientIndex(position), keepsHeader: true, name: nil)
    if position >= known.count {
      if let name = call.name { change.name = (change.name ?? "") + name }
    } else {
      change.keepsHeader = false
      try match(known: position, call.name ?? "")
    }
    rewrite.calls[call.index] = change
  }

  /// Matches the name of a known call, which may arrive in pieces.
  private mutating func match(
    known position: Int, _ piece: String
  ) throws(ResumeFilter.Rejection) {
    guard !piece.isEmpty else { return }
    let expectedName = known[position].name
    // Some hosts send the whole name again with each piece of the arguments.
    if piece == expectedName, known[position].sentName == expectedName { return }
    // Bytes are compared, because a piece may end inside a character.
    guard known[position].sentName.utf8.count + piece.utf8.count <= expectedName.utf8.count,
      expectedName.utf8.dropFirst(known[position].sentName.utf8.count).starts(with: piece.utf8)
    else {
      throw Self.otherCall(known[position].sentName + piece, expectedName)
    }
    known[position].sentName += piece
  }

  private static func otherCall(_ name: String, _ expectedName: String) -> ResumeFilter.Rejection {
    let bytes = Array(name.utf8.prefix(Limits.nameBytes.value))
    let short = String(
      decoding: bytes.dropLast(UTF8Bytes.incompleteTailLength(of: bytes)), as: UTF8.self)
    return ResumeFilter.Rejection("it calls \(short) instead of \(expectedName)")
  }

  /// Checks that the first words after the joint do not restart the answer.
  private mutating func checked(_ passed: [UInt8]) throws(ResumeFilter.Rejection) -> [UInt8] {
    guard let restartDetector, !passed.isEmpty else { return passed }
    self.restartDetector = nil
    guard !restartDetector.detectsRestart(in: passed) else {
      throw ResumeFilter.Rejection("it restarted the answer in other words")
    }
    return passed
  }

  private mutating func joined(
    _ part: AnswerPart, _ text: [UInt8]
  ) throws(ResumeFilter.Rejection) -> [UInt8] {
    switch part {
    case .content:
      if dropsContent { return [] }
      restartDetector?.append(text)
      guard callsTools, content != nil else { return try checked(content?.take(text) ?? text) }
      // Content before tool calls is not the answer, so it may differ. The client keeps the content
      // that it has.
      guard let rest = try? content?.take(text) else {
        dropsContent = true
        return []
      }
      return rest
    case .reasoning:
      if dropsReasoning { return [] }
      guard reasoning != nil else { return text }
      // Reasoning is not the answer, so it may differ. The client keeps the reasoning that it has.
      guard let rest = try? reasoning?.take(text) else {
        dropsReasoning = true
        return []
      }
      return rest
    case .call(let index):
      let position = position(of: index)
      guard position < known.count else { return text }
      guard known[position].sentName == known[position].name else {
        throw Self.otherCall(known[position].sentName, known[position].name)
      }
      return try known[position].filter?.take(text) ?? text
    }
  }
}
