public import ClusterModel
import Limits
import Text

/// What an answer costs, whoever made which part of it.
extension AnswerStream {
  /// What ends one turn of a conversation and begins another, in tokens: two turns are added when a
  /// host is told in words to go on.
  private static let turnTokens = 4

  /// Right over all hosts: the client's prompt once, and the completion tokens that the client got.
  public var usage: Usage {
    Usage(
      promptTokens: knownPromptTokens ?? shape.promptTokens,
      completionTokens: priorTokens + tally.total(withoutBytes: droppedBytes),
      estimated: hostUsage == nil || !tally.isReported || hop?.joins == true)
  }

  /// What the host that answers now has made, dropped or not.
  var hostTokens: Int { tally.total }

  /// Of what it said, what the client is not to have. White space that was put in at a joint counts
  /// for nothing.
  private var droppedBytes: Int { max(tally.bytes - keptBytes, 0) }

  private var knownPromptTokens: Int? {
    firstPromptTokens
      ?? hostUsage.map { max($0.promptTokens - (hop?.addedPromptTokens ?? 0), 0) }
  }

  mutating func count(_ facts: ChunkFacts, _ parts: DeltaParts?) {
    if facts.tokens > 0 { tally.take(bytes: parts?.textBytes ?? facts.text.utf8.count) }
    guard let usage = facts.usage else { return }
    hostUsage = usage
    tally.report(usage.completionTokens)
    hasToldUsage = facts.isOnlyUsage || facts.finishReason != nil
  }

  // MARK: - When a host breaks off

  /// Adds to the tokens that the client has what it got of this host; what is held is forgotten.
  mutating func countDelivered() {
    firstPromptTokens = knownPromptTokens
    if hasDelivered {
      priorTokens += tally.total(
        withoutBytes: droppedBytes, orLastChunks: held.count(where: { $0.hasText && !$0.isSplit }),
        ofBytes: heldTextBytes)
    }
    tally = TokenTally()
    keptBytes = 0
    hostUsage = nil
    hasToldUsage = false
  }

  /// How many of the tokens that the client has lie in so many of the bytes that it has.
  func deliveredTokens(ofBytes bytes: Int) -> Int {
    let all = channels.reduce(0) { $0 + $1.released }
    guard all > 0 else { return 0 }
    return priorTokens.multipliedCapped(by: bytes).addingCapped(all / 2) / all
  }

  /// Tokens of the next host's prompt that the client's has not.
  /// - Parameter way: nil: it is asked anew, and given nothing.
  func addedPromptTokens(_ way: ResumeWay?) -> Int {
    guard let way, hop?.isAnew == false, let content = known(.content) else { return 0 }
    let prefix = channels[content].text[..<(hop?.anchor ?? channels[content].boundary.boundary)]
    let given = deliveredTokens(ofBytes: prefix.count)
    guard way == .instruct else { return given }
    let end = Array(prefix.suffix(2 * ResumeInstruction.anchorBytes))
    return given + ResumeInstruction.tokens(after: end) + 2 * Self.turnTokens
  }

  // MARK: - Ends that no host tells

  /// The host broke off. If it had nothing left to send within `max_tokens`, the answer is whole.
  ///
  /// - Returns: what is left of it, with its end; `nil` means that the answer may go on.
  mutating func endAtLimit() -> [InferenceChunk]? {
    guard isContinuable, !isTooLong, !isOver, let limit = shape.maximumTokens,
      usage.completionTokens >= limit, let released = try? releaseAll(),
      let identity, let end = chunk(finishReason: "length", like: identity)
    else { return nil }
    finishReason = "length"
    isOver = true
    return released + [end]
  }

  /// For a client that is sent the usage of an answer whose last host did not report it.
  func lastUsage() -> [InferenceChunk] {
    guard shape.wantsUsage, !hasToldUsage, isOver || hop?.joins == true, let identity else {
      return []
    }
    return chunk(choices: .array([]), [("usage", usage.json)], like: identity).map { [$0] } ?? []
  }

  func chunk(finishReason: String, like identity: StreamIdentity) -> InferenceChunk? {
    let gain: (String, JSON) = identity.isChat ? ("delta", .object([])) : ("text", "")
    return chunk(
      choices: .array([
        .object([("index", 0), gain, ("finish_reason", .string(finishReason))])
      ]), [], like: identity)
  }

  /// A chunk like those that the client got.
  private func chunk(
    choices: JSON, _ more: [(String, JSON)], like identity: StreamIdentity
  ) -> InferenceChunk? {
    var common = identity.members.map { ($0.name, JSON.raw($0.json)) }
    if let object = identity.object { common.append(("object", .raw(object))) }
    let data = JSON.object(common + [("choices", choices)] + more).encoded
    guard let facts = try? ChunkFacts(parsing: data) else { return nil }
    return InferenceChunk(data: data, facts: facts)
  }
}

extension Usage {
  var json: JSON {
    .object([
      ("prompt_tokens", .integer(promptTokens)), ("completion_tokens", .integer(completionTokens)),
      ("total_tokens", .integer(totalTokens)),
    ])
  }
}
