import ClusterModel
import Limits
import Text

/// Token counts of an answer over all its hosts.
extension AnswerStream {
  /// Estimated tokens that delimit one turn of a conversation. A resume instruction adds two turns.
  private static let turnTokens = 4

  /// Usage over all hosts: the client's prompt once, and the completion tokens that the client got.
  ///
  /// The cached tokens are those of the host that began the answer, because no later host is paid
  /// for the prompt. If that host did not report them, they are 0. If another process delivered the
  /// beginning, the first host of this process counts as the host that began the answer.
  var usage: Usage {
    Usage(
      promptTokens: knownPromptTokens ?? shape.promptTokens,
      cachedTokens: firstCachedTokens ?? hostUsage?.cachedTokens ?? 0,
      completionTokens: priorTokens + tally.total(withoutBytes: droppedBytes),
      estimated: hostUsage == nil || !tally.isReported || hop?.joins == true)
  }

  /// Tokens that the current host has generated, including dropped ones.
  var hostTokens: Int { tally.total }

  /// Number of bytes that the current host sent and the client does not get.
  ///
  /// Kept bytes can exceed sent bytes, because white space that Tutti adds at a joint counts as
  /// kept. The result is then 0.
  private var droppedBytes: Int { max(tally.bytes - keptBytes, 0) }

  private var knownPromptTokens: Int? {
    if let firstPromptTokens { return firstPromptTokens }
    guard let hostUsage else { return nil }
    let tokens = max(hostUsage.promptTokens - (hop?.addedPromptTokens ?? 0), 0)
    return trustsCount ? tokens : min(tokens, shape.mostPromptTokens)
  }

  mutating func count(_ facts: ChunkFacts, _ parts: ChunkDelta?) {
    if facts.tokens > 0 { tally.take(bytes: parts?.textBytes ?? facts.text.utf8.count) }
    deltaBytes = deltaBytes.addingCapped(max(facts.text.utf8.count, facts.deltaJSON?.count ?? 0))
    guard let usage = facts.usage else { return }
    hostUsage = usage
    let most =
      trustsCount
      ? .max : TokenTally.most(bytes: deltaBytes, chunks: tally.chunks, choices: shape.choices)
    tally.report(min(usage.completionTokens, most))
    hasReportedUsage = facts.isOnlyUsage || facts.finishReason != nil
  }

  // MARK: - Failover

  /// Adds the current host's delivered tokens to `priorTokens`, and resets the host's counts.
  /// Tokens of held chunks do not count.
  mutating func countDelivered() {
    firstPromptTokens = knownPromptTokens
    if firstCachedTokens == nil, hostUsage != nil || hasDelivered && tally.total > 0 {
      firstCachedTokens = hostUsage?.cachedTokens ?? 0
    }
    if hasDelivered {
      priorTokens += tally.total(
        withoutBytes: droppedBytes, orLastChunks: held.count(where: { $0.hasText && !$0.isSplit }),
        ofBytes: heldTextBytes)
    }
    tally = TokenTally()
    keptBytes = 0
    deltaBytes = 0
    hostUsage = nil
    hasReportedUsage = false
  }

  /// Estimated tokens in a part of the delivered text, from the part's share of the bytes.
  func deliveredTokens(ofBytes bytes: Int) -> Int {
    let all = channels.reduce(0) { $0 + $1.released }
    guard all > 0 else { return 0 }
    return priorTokens.multipliedCapped(by: bytes).addingCapped(all / 2) / all
  }

  /// Prompt tokens that resumption adds to the client's prompt.
  ///
  /// - Parameter way: `nil` means that the host starts over, which adds no prompt tokens.
  func addedPromptTokens(_ way: ResumeWay?) -> Int {
    guard let way, hop?.isFromStart == false, let content = known(.content) else { return 0 }
    let prefix = channels[content].text[..<(hop?.anchor ?? channels[content].boundary.boundary)]
    let given = deliveredTokens(ofBytes: prefix.count)
    guard way == .instruct else { return given }
    let end = Array(prefix.suffix(2 * ResumeInstruction.anchorBytes))
    return given + ResumeInstruction.tokens(after: end) + 2 * Self.turnTokens
  }

  // MARK: - Ends without a host's report

  /// Completes an answer whose host failed, if the answer already has `max_tokens` tokens.
  ///
  /// - Returns: the remaining chunks and an end chunk. `nil` means that the answer is incomplete.
  mutating func endAtLimit() -> [InferenceChunk]? {
    guard isContinuable, !isTooLong, let limit = shape.maximumTokens,
      usage.completionTokens >= limit
    else { return nil }
    return endCut()
  }

  /// Ends an answer before its host ends it, with the finish reason `length`.
  ///
  /// - Returns: the held chunks and an end chunk. `nil` means that the answer is over already, or
  ///   that a held chunk cannot be read.
  mutating func endCut() -> [InferenceChunk]? {
    guard !isOver, let released = try? releaseAll(), let identity,
      let end = chunk(finishReason: "length", like: identity)
    else { return nil }
    finishReason = "length"
    isOver = true
    return released + [end]
  }

  /// A usage chunk, if the client wants usage and the last host has not sent it. Only for an answer
  /// of several hosts, or one that Tutti ended (`isOver`).
  func lastUsage() -> [InferenceChunk] {
    guard shape.wantsUsage, !hasReportedUsage, isOver || hop?.joins == true, let identity else {
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

  /// A chunk with the stream's identity.
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
  /// OpenAI's `usage` object. It has details only if prompt tokens were cached.
  var json: JSON {
    var members: [(String, JSON)] = [
      ("prompt_tokens", .integer(promptTokens)), ("completion_tokens", .integer(completionTokens)),
      ("total_tokens", .integer(totalTokens)),
    ]
    if cachedTokens > 0 {
      members.append(
        ("prompt_tokens_details", ["cached_tokens": .integer(cachedTokens)]))
    }
    return .object(members)
  }
}
