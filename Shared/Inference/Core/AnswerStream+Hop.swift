import ClusterModel
import Text

extension AnswerStream {
  /// A host that goes on with what another began: how its words become the answer's.
  struct Hop: Sendable {
    let identity: StreamIdentity
    /// The answer calls tools: it is said again from its start.
    let callsTools: Bool
    var isAnew: Bool
    /// Tokens of its prompt that the client's has not: the answer so far, and the words that ask it to
    /// go on.
    var addedPromptTokens = 0

    /// The client has some text already.
    var joins = false
    /// nil: what it says is new from the first word on.
    var content: JointFilter?
    /// Watches the first words that pass it. nil: they are known, or anything may begin there.
    var restart: Restart?
    /// Its words, said anew before the calls, went another way.
    var dropsContent = false
    var reasoning: JointFilter?
    var dropsReasoning = false
    /// The calls that the client knows, in its order, and what it has of their arguments.
    var known: [KnownCall] = []
    /// This host's calls in the order in which they came.
    var order: [Int] = []
    /// The end of what the client has and the first bytes behind it: a stop sequence may span them.
    var stopTail: [UInt8]?
    var stopText: [UInt8] = []

    struct KnownCall: Sendable {
      let index: Int
      let name: String
      var saidName = ""
      var filter: JointFilter?
    }

    init(identity: StreamIdentity, callsTools: Bool, isAnew: Bool) {
      self.identity = identity
      self.callsTools = callsTools
      self.isAnew = isAnew
    }

    mutating func begin(_ way: ResumeWay, channels: [AnswerChannel], stop: [[UInt8]]) {
      let asked: JointFilter.Asked =
        isAnew ? .anew : way == .instruct ? .instruction : .completion
      joins = !channels.isEmpty
      for channel in channels {
        let boundary = isAnew ? 0 : channel.boundary.boundary
        func filter(_ asked: JointFilter.Asked) -> JointFilter {
          JointFilter(
            delivered: channel.text, boundary: boundary, unseen: channel.unseen,
            context: channel.boundary, asked: asked)
        }
        switch channel.part {
        case .content:
          dropsReasoning = true
          content = filter(asked)
          if !isAnew, !callsTools { restart = Restart(after: channel) }
          let longest = stop.map(\.count).max() ?? 0
          if longest > 1, !callsTools { stopTail = channel.text.suffix(longest - 1) }
        case .reasoning:
          reasoning = filter(.anew)
        case .call(let index):
          known.append(
            KnownCall(index: index, name: channel.name, filter: filter(.anew)))
        }
      }
      if callsTools, !known.isEmpty { dropsReasoning = true }
    }
  }

  /// A chunk of the new host as the client shall see it; nil: there is nothing in it for the client.
  mutating func rejoined(
    _ chunk: InferenceChunk, _ parts: DeltaParts
  ) throws(AttemptFailure) -> InferenceChunk? {
    guard var hop else { return chunk }
    defer { self.hop = hop }
    // Nobody knows by what name another process's host spoke: this one's own stays.
    var rewrite = ChunkRewrite(identity: hop.identity.members.isEmpty ? nil : hop.identity)
    rewrite.keepsRole = firstChunk == nil
    // What waits to be understood comes before the calls.
    let isLast = chunk.facts.finishReason != nil || !parts.calls.isEmpty
    do {
      for (part, text) in parts.texts where !part.isCall {
        rewrite.texts[part, default: []] += try hop.joined(part, text)
      }
      if isLast, !hop.callsTools, let rest = try hop.content?.finish() {
        rewrite.texts[.content, default: []] += try hop.checked(rest)
      }
      for call in parts.calls { try hop.meet(call, &rewrite) }
      for (part, text) in parts.texts where part.isCall {
        rewrite.texts[part, default: []] += try hop.joined(part, text)
      }
    } catch {
      throw AttemptFailure(.badJoint, error.reason)
    }
    if hop.stopTail != nil { stopAtJoint(&hop, &rewrite, isLast: isLast) }
    keptBytes += rewrite.texts.values.reduce(0) { $0 + $1.count }
    if hop.joins, chunk.facts.usage != nil { rewrite.usage = usage }
    return rewrite.apply(to: chunk)
  }

  /// Looks for a stop sequence that begins in what the client has, or in what an old host held back
  /// because of it, and ends in what is new: the host need not see it as one.
  private mutating func stopAtJoint(
    _ hop: inout Hop, _ rewrite: inout ChunkRewrite, isLast: Bool
  ) {
    guard let tail = hop.stopTail, isLast || rewrite.texts[.content] != nil else { return }
    hop.stopText += rewrite.texts[.content] ?? []
    let longest = shape.stop.map(\.count).max() ?? 0
    if let start = Self.stopStart(tail, hop.stopText, shape.stop) {
      rewrite.texts = [.content: Array(hop.stopText.prefix(max(start, 0)))]
      rewrite.finishReason = "stop"
      isOver = true
      hop.stopTail = nil
    } else if isLast || hop.stopText.count >= longest + min(longest, Self.heldBytes) {
      rewrite.texts[.content] = hop.stopText
      hop.stopTail = nil
    } else {
      rewrite.texts[.content] = nil
    }
  }

  /// Where in the new text the first stop sequence begins; below zero: in what the client has.
  private static func stopStart(_ tail: [UInt8], _ text: [UInt8], _ stops: [[UInt8]]) -> Int? {
    let window = tail + text
    return window.indices.first { index in
      stops.contains {
        index + $0.count > tail.count && window[index...].starts(with: $0)
      }
    }.map { $0 - tail.count }
  }

  /// Whether the answer may end now.
  mutating func checkEnd(_ reason: String) throws(AttemptFailure) {
    guard let hop, hop.joins, !isOver else { return }
    guard hop.order.count >= hop.known.count, !hop.callsTools || !hop.order.isEmpty else {
      throw AttemptFailure(.badJoint, "it does not make the tool calls that were begun")
    }
    for call in hop.known {
      var filter = call.filter
      do { _ = try filter?.finish() } catch { throw AttemptFailure(.badJoint, error.reason) }
    }
    guard reason != "length" else { return }
    for channel in channels {
      if let json = channel.boundary.json, !json.isComplete, channel.part != .reasoning {
        throw AttemptFailure(.badJoint, "it ended before the JSON was whole")
      }
    }
  }
}

extension AnswerStream.Hop {
  /// A call by which the client knows it, or a new one.
  private mutating func position(of index: Int) -> Int {
    if let position = order.firstIndex(of: index) { return position }
    order.append(index)
    return order.count - 1
  }

  /// A new call gets the next index that the client does not know.
  private func clientIndex(_ position: Int) -> Int {
    guard position >= known.count else { return known[position].index }
    return (known.map(\.index).max() ?? -1) + 1 + position - known.count
  }

  mutating func meet(
    _ call: DeltaParts.Call, _ rewrite: inout ChunkRewrite
  ) throws(JointFilter.Rejection) {
    let position = position(of: call.index)
    var change =
      rewrite.calls[call.index]
      ?? ChunkRewrite.Call(index: clientIndex(position), keepsHeader: true, name: nil)
    if position >= known.count {
      if let name = call.name { change.name = (change.name ?? "") + name }
    } else {
      change.keepsHeader = false
      known[position].saidName += call.name ?? ""
      let (said, wanted) = (known[position].saidName, known[position].name)
      guard wanted.hasPrefix(said) else {
        throw JointFilter.Rejection("it calls \(said) where \(wanted) was called")
      }
    }
    rewrite.calls[call.index] = change
  }

  /// The first words that pass the joint must be words that can follow.
  mutating func checked(_ passed: [UInt8]) throws(JointFilter.Rejection) -> [UInt8] {
    guard let restart, !passed.isEmpty else { return passed }
    self.restart = nil
    guard !restart.shows(in: passed) else {
      throw JointFilter.Rejection("it began the answer again, and in other words")
    }
    return passed
  }

  mutating func joined(
    _ part: AnswerPart, _ text: [UInt8]
  ) throws(JointFilter.Rejection) -> [UInt8] {
    switch part {
    case .content:
      if dropsContent { return [] }
      restart?.hear(text)
      guard callsTools, content != nil else { return try checked(content?.take(text) ?? text) }
      // What is said before calls is not the answer: the client keeps the words it has.
      guard let rest = try? content?.take(text) else {
        dropsContent = true
        return []
      }
      return rest
    case .reasoning:
      if dropsReasoning { return [] }
      guard reasoning != nil else { return text }
      // Thoughts that go another way are not the answer: the client keeps those it has.
      guard let rest = try? reasoning?.take(text) else {
        dropsReasoning = true
        return []
      }
      return rest
    case .call(let index):
      let position = position(of: index)
      guard position < known.count else { return text }
      guard known[position].saidName == known[position].name else {
        throw JointFilter.Rejection(
          "it calls \(known[position].saidName) where \(known[position].name) was called")
      }
      return try known[position].filter?.take(text) ?? text
    }
  }
}
