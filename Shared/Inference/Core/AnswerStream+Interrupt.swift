public import ClusterModel
import Text

/// When the host that answers breaks off, and another is asked.
extension AnswerStream {
  /// The host was given up. What it said up to the last safe place is let go, the rest is forgotten.
  ///
  /// - Throws: `upstreamFailed`, naming why no host can go on with this answer.
  public mutating func interrupt() throws(Failure) -> (
    release: [InferenceChunk], resume: ResumePoint
  ) {
    if hasDelivered {
      if let obstacle = shape.obstacle {
        throw Failure(.upstreamFailed, "the answer broke off, and \(obstacle)")
      }
      guard !isTooLong else {
        throw Failure(
          .upstreamFailed,
          "the answer broke off, and is longer than the \(Self.continuableBytes) bytes that are kept"
        )
      }
    }
    let releases = hasDelivered ? releaseSafe() : []
    countDelivered()
    held = []
    current = -1
    finishReason = nil
    isOver = false
    let hadCalls = channels.contains { $0.part.isCall }
    let callsTools = hadCalls || hop?.callsTools == true
    for index in channels.indices { channels[index].forgetUnreleased() }
    channels.removeAll { $0.released == 0 && !$0.hasHeader }
    guard hasDelivered else {
      channels = []
      hop = firstChunk.map {
        Hop(identity: StreamIdentity(of: $0), callsTools: false, isAnew: true)
      }
      return ([], ResumePoint())
    }
    let identity = hop?.identity ?? StreamIdentity(of: firstChunk ?? [])
    let prefix = callsTools ? 0 : known(.content).map { channels[$0].boundary.boundary } ?? 0
    var point = ResumePoint()
    if prefix > 0, let content = known(.content) {
      let text = channels[content].text
      point.prefix = Array(text[..<prefix])
      point.spentTokens = priorTokens - deliveredTokens(ofBytes: text.count - prefix)
    }
    hop = Hop(identity: identity, callsTools: callsTools, isAnew: prefix == 0)
    return (releases, point)
  }

  private mutating func releaseSafe() -> [InferenceChunk] {
    var released: [InferenceChunk] = []
    while let entry = held.first {
      guard canGo(entry) else {
        if entry.channel >= 0, entry.more.isEmpty {
          let channel = channels[entry.channel]
          let limit = channel.boundaryLimit(window: Self.heldBytes)
          if limit > channel.released, let head = goAhead(to: limit) { released.append(head) }
        }
        break
      }
      if let chunk = goWhole(entry) { released.append(chunk) }
      held.removeFirst()
    }
    return released
  }

  /// The next host was asked at that point, in this way.
  /// - Parameter way: nil: it was asked anew, because nobody can go on with such a request.
  public mutating func resume(_ way: ResumeWay?) {
    if way == nil { hop?.isAnew = true }
    let added = addedPromptTokens(way)
    hop?.addedPromptTokens = added
    hop?.begin(way ?? .instruct, channels: channels, stop: shape.stop)
  }
}
