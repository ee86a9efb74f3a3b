public import ClusterModel
import Limits
import Text

/// When the host that answers breaks off, and another is asked.
extension AnswerStream {
  /// The host was given up. What it said up to the last safe place is let go, the rest is forgotten.
  ///
  /// - Parameter anchored: the next host is to say again some of what the client has, because it is
  ///   unclear how another host's words join it.
  /// - Throws: `upstreamFailed`, naming why no host can go on with this answer.
  public mutating func interrupt(anchored: Bool = false) throws(Failure) -> (
    release: [InferenceChunk], resume: ResumePoint
  ) {
    if hasDelivered {
      if let obstacle = shape.obstacle {
        throw Failure(.upstreamFailed, "the answer broke off, and \(obstacle)")
      }
      guard !hasForeign else {
        throw Failure(
          .upstreamFailed,
          "the answer broke off, and has a part that is no text, which no host can go on with")
      }
      guard !isTooLong else {
        throw Failure(
          .upstreamFailed,
          "the answer broke off, and is longer than the \(Limits.continuableBytes.value) bytes that are kept"
        )
      }
    }
    let releases = hasDelivered ? releaseSafe() : []
    countDelivered()
    held.removeAll()
    current = -1
    finishReason = nil
    hasFalseEnd = false
    isOver = false
    let hadCalls = channels.contains { $0.part.isCall }
    let callsTools = hadCalls || hop?.callsTools == true
    // The old hop shares buffers with the channels.
    let identity = hop?.identity ?? self.identity
    hop = nil
    for index in channels.indices { channels[index].forgetUnreleased() }
    removeUnseenChannels()
    renewAllowance()
    guard hasDelivered else {
      removeUnseenChannels()
      hop = identity.map { Hop(identity: $0, callsTools: false, isAnew: true) }
      return ([], ResumePoint())
    }
    let prefix = callsTools ? 0 : known(.content).map { place(in: $0, anchored: anchored) } ?? 0
    var point = ResumePoint()
    if prefix > 0, let content = known(.content) {
      let text = channels[content].text
      point.prefix = Array(text[..<prefix])
      point.spentTokens = priorTokens - deliveredTokens(ofBytes: text.count - prefix)
    }
    hop = Hop(identity: identity, callsTools: callsTools, isAnew: prefix == 0)
    if anchored, prefix > 0, let content = known(.content) {
      hop?.anchor = prefix
      point.anchor = Array(channels[content].text[prefix...])
    }
    return (releases, point)
  }

  /// How much of a text the next host is given.
  private mutating func place(in channel: Int, anchored: Bool) -> Int {
    guard anchored else { return channels[channel].boundary.boundary }
    defer { steps += channels[channel].takeSteps() }
    return channels[channel].anchoredPlace()
  }

  /// All that is safe. A chunk that cannot be read is the old host's fault, and is forgotten.
  private mutating func releaseSafe() -> [InferenceChunk] {
    var released: [InferenceChunk] = []
    while let entry = held.first {
      guard canRelease(entry) else {
        if entry.channel >= 0 {
          let limit = channels[entry.channel].boundaryLimit(window: Self.heldBytes)
          if limit > channels[entry.channel].released,
            let part = try? releasePart(of: entry, to: limit)
          {
            released.append(part)
          }
        }
        break
      }
      do throws(AttemptFailure) {
        if let chunk = try releaseWhole(entry) { released.append(chunk) }
      } catch {
        break
      }
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
