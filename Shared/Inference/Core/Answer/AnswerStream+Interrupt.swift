public import ClusterModel
import Limits
import Text

/// Failover: a host stops in mid-answer, and another host resumes the answer.
extension AnswerStream {
  /// Gives up the current host. Releases its text up to the last safe boundary, and forgets the
  /// rest of its text.
  ///
  /// - Parameter anchored: whether the next host must repeat some text that the client has. Without
  ///   a repetition, the place of the joint would be unclear.
  /// - Throws: `upstreamFailed` with the reason, if no host can resume this answer.
  public mutating func interrupt(anchored: Bool = false) throws(Failure) -> (
    release: [InferenceChunk], resume: ResumePoint
  ) {
    if hasDelivered {
      if let obstacle = shape.obstacle {
        throw Failure(.upstreamFailed, "it cannot be resumed: \(obstacle)")
      }
      guard !hasForeign else {
        throw Failure(.upstreamFailed, "it cannot be resumed: it has a part that is not text")
      }
      guard !isTooLong else {
        throw Failure(
          .upstreamFailed,
          "it cannot be resumed: it is longer than the \(Limits.continuableBytes.value) bytes "
            + "that are kept")
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
    // Free the old hop first. It shares buffers with the channels, so while it exists, a change to
    // a channel copies the buffer.
    let identity = hop?.identity ?? self.identity
    hop = nil
    for index in channels.indices { channels[index].forgetUnreleased() }
    removeUnseenChannels()
    renewAllowance()
    guard hasDelivered else {
      removeUnseenChannels()
      hop = identity.map { Hop(identity: $0, callsTools: false, isFromStart: true) }
      return ([], ResumePoint())
    }
    let prefix = callsTools ? 0 : known(.content).map { place(in: $0, anchored: anchored) } ?? 0
    var point = ResumePoint()
    if prefix > 0, let content = known(.content) {
      let text = channels[content].text
      point.prefix = Array(text[..<prefix])
      point.spentTokens = priorTokens - deliveredTokens(ofBytes: text.count - prefix)
    }
    hop = Hop(identity: identity, callsTools: callsTools, isFromStart: prefix == 0)
    if anchored, prefix > 0, let content = known(.content) {
      hop?.anchor = prefix
      point.anchor = Array(channels[content].text[prefix...])
    }
    return (releases, point)
  }

  /// Number of bytes of a channel's text after which the next host resumes.
  private mutating func place(in channel: Int, anchored: Bool) -> Int {
    guard anchored else { return channels[channel].boundary.boundary }
    defer { steps += channels[channel].takeSteps() }
    return channels[channel].anchoredPlace()
  }

  /// Releases all safe text. If a chunk cannot be read, the old host is at fault, and this chunk
  /// and all later ones are dropped.
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

  /// Begins the next host's answer at the resume point.
  ///
  /// - Parameter way: how the host was asked to resume. `nil` means that the host starts over.
  public mutating func resume(_ way: ResumeWay?) {
    if way == nil { hop?.isFromStart = true }
    let added = addedPromptTokens(way)
    hop?.addedPromptTokens = added
    hop?.begin(way ?? .instruct, channels: channels, stop: shape.stop)
  }
}
