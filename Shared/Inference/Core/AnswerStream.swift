import ClusterModel
import Text

/// What the client has of an answer, what is held back of it, and how another host goes on with it.
///
/// Chunks of a healthy host go through whole and byte for byte, only a little later: what follows
/// the last safe place waits until the next one is known, because what the client has cannot be
/// taken back. It keeps the answer's text once, for the next host must be given it: as many bytes as
/// the client got, up to `continuableBytes`; beyond that nothing is kept, and nothing continued.
public struct AnswerStream: Sendable {
  /// What is held back at most: a long word. Within a longer token the older bytes go, and the next
  /// host must say them again exactly.
  public static let heldBytes = 64
  /// 4 MiB are a million tokens, more than any model writes or reads again.
  public static let continuableBytes = 4 << 20

  /// A chunk that waits, with the ends of its texts in their channels.
  struct Held: Sendable {
    var chunk: InferenceChunk
    /// -1: it adds no text.
    var channel = -1
    var end = 0
    /// Of a chunk that adds to several channels, the others.
    var more: [(channel: Int, end: Int)] = []
    /// Its first bytes went ahead.
    var isSplit = false

    var hasText: Bool { channel >= 0 || !more.isEmpty }

    mutating func grow(_ channel: Int, _ channels: [AnswerChannel]) {
      more.removeAll { $0.channel == channel }
      more.append((channel, channels[channel].text.count))
    }
  }

  let shape: AnswerShape
  var channels: [AnswerChannel] = []
  var held: [Held] = []
  /// The channel that was written last.
  var current = -1
  let isContinuable: Bool
  private(set) var isTooLong = false
  /// The first chunk that the client got: every later one looks like it.
  var firstChunk: [UInt8]?
  var hasDelivered = false
  /// What the host that answers now has said, and bytes of that which were not dropped.
  var tally = TokenTally()
  var keptBytes = 0
  /// Tokens that the client had before it.
  var priorTokens = 0
  /// The usage of the whole answer was told.
  var hasToldUsage = false
  /// What another host is asked for; nil: the first host speaks.
  var hop: Hop?

  /// Known as soon as it was read, even while its chunk is held.
  public internal(set) var finishReason: String?
  var hostUsage: Usage?
  var firstPromptTokens: Int?
  /// A stop sequence was completed across a joint, or nothing is left of `max_tokens`: the answer is
  /// over, whatever the host says.
  public internal(set) var isOver = false

  public init(shape: AnswerShape) {
    self.shape = shape
    isContinuable = shape.obstacle == nil
  }

  /// An answer that another process began. The next step is `interrupt`.
  ///
  /// - Parameter prefix: what the client has of it, as UTF-8.
  public init(shape: AnswerShape, after prefix: [UInt8]) {
    self.init(shape: shape)
    guard !prefix.isEmpty else { return }
    let index = write(.content, prefix)
    told(index, prefix.count)
    // Nobody counted its tokens.
    priorTokens = TokenTally.tokens(prefix.count)
    // The other process let go what lies before a safe place, so its end is one. Only a token that
    // was too long to be held back is cut anywhere, and white space belongs to what follows it.
    let channel = channels[index]
    let endsInSpace = prefix.last.map { [0x09, 0x0A, 0x0D, 0x20].contains($0) } ?? true
    if !endsInSpace, prefix.count - channel.boundary.boundary <= Self.heldBytes {
      channels[index].boundary.markBoundary()
    }
  }

  /// Bytes that wait: what a cut would cost.
  public var heldTextBytes: Int { channels.reduce(0) { $0 + $1.text.count - $1.released } }

  // MARK: - Events

  /// A chunk of the host that answers now.
  ///
  /// - Returns: chunks for the client now, in order.
  /// - Throws: `badJoint` when what the host says cannot be joined to what the client has; the next
  ///   step is `interrupt`.
  public mutating func take(_ chunk: InferenceChunk) throws(AttemptFailure) -> [InferenceChunk] {
    guard !isOver else { return [] }
    let parts = chunk.facts.deltaJSON == nil ? nil : DeltaParts(chunk.facts)
    count(chunk.facts, parts)
    var chunk = chunk
    if hop != nil {
      guard let joined = try rejoined(chunk, parts ?? DeltaParts(chunk.facts)) else { return [] }
      chunk = joined
    } else {
      keptBytes = tally.bytes
    }
    finishReason = chunk.facts.finishReason ?? finishReason
    guard isContinuable, !isTooLong else {
      hasDelivered = hasDelivered || chunk.facts.isValidToken
      return [chunk]
    }
    hold(chunk)
    if hop != nil, let reason = finishReason { try checkEnd(reason) }
    return release()
  }

  /// The answer is whole: everything held is let go, and the usage told that no host can tell.
  public mutating func finish() -> [InferenceChunk] { letGo() + lastUsage() }

  mutating func letGo() -> [InferenceChunk] {
    for index in channels.indices { channels[index].isClosed = true }
    return release()
  }

  // MARK: - Holding back

  private mutating func hold(_ chunk: InferenceChunk) {
    var entry = Held(chunk: chunk)
    if chunk.facts.deltaJSON == nil {
      if !chunk.facts.text.isEmpty {
        entry.channel = write(.content, chunk.facts.text.utf8)
        entry.end = channels[entry.channel].text.count
      }
    } else {
      let parts = DeltaParts(chunk.facts)
      for (part, text) in parts.texts where !part.isCall {
        entry.grow(write(part, text), channels)
      }
      for call in parts.calls {
        let index = channel(.call(call.index))
        channels[index].name += call.name ?? ""
        begin(index)
        entry.grow(index, channels)
      }
      for (part, text) in parts.texts where part.isCall {
        entry.grow(write(part, text), channels)
      }
      if entry.more.count == 1 {
        (entry.channel, entry.end) = entry.more.removeLast()
      }
    }
    held.append(entry)
    if chunk.facts.finishReason != nil {
      for index in channels.indices { channels[index].isClosed = true }
    }
  }

  private mutating func write(_ part: AnswerPart, _ text: some Collection<UInt8>) -> Int {
    let index = channel(part)
    begin(index)
    channels[index].append(text)
    if channels[index].text.count > Self.continuableBytes { isTooLong = true }
    return index
  }

  /// Another text than before is written: that one had come to an end.
  private mutating func begin(_ index: Int) {
    guard index != current else { return }
    if channels.indices.contains(current) { channels[current].isClosed = true }
    channels[index].isClosed = false
    current = index
  }

  func known(_ part: AnswerPart) -> Int? { channels.firstIndex { $0.part == part } }

  private mutating func channel(_ part: AnswerPart) -> Int {
    if let index = known(part) { return index }
    channels.append(AnswerChannel(part, isOneDocument: shape.wantsJSON, stop: shape.stop))
    return channels.count - 1
  }

  private mutating func release() -> [InferenceChunk] {
    if isTooLong {
      for index in channels.indices { channels[index].isClosed = true }
    }
    var released: [InferenceChunk] = []
    var count = 0
    while count < held.count, canGo(held[count]) {
      if let chunk = goWhole(held[count]) { released.append(chunk) }
      count += 1
    }
    held.removeFirst(count)
    if let first = held.first, first.channel >= 0, first.more.isEmpty {
      let channel = first.channel
      let limit = channels[channel].limit(window: Self.heldBytes)
      if channels[channel].text.count - channels[channel].released > Self.heldBytes,
        limit > channels[channel].released, let head = goAhead(to: limit)
      {
        released.append(head)
      }
    }
    if isTooLong {
      for index in channels.indices {
        channels[index].text = []
        channels[index].released = 0
      }
    }
    return released
  }

  mutating func canGo(_ entry: Held) -> Bool {
    guard entry.hasText else { return true }
    func fits(_ channel: Int, _ end: Int) -> Bool {
      end <= channels[channel].limit(window: Self.heldBytes)
    }
    if entry.channel >= 0, !fits(entry.channel, entry.end) { return false }
    return entry.more.allSatisfy { fits($0.channel, $0.end) }
  }

  mutating func goWhole(_ entry: Held) -> InferenceChunk? {
    if firstChunk == nil { firstChunk = entry.chunk.data }
    var chunk: InferenceChunk? = entry.chunk
    if entry.channel >= 0 {
      if entry.isSplit { chunk = rest(of: entry) }
      told(entry.channel, entry.end)
    } else if !entry.more.isEmpty {
      for (channel, end) in entry.more { told(channel, end) }
    }
    return chunk
  }

  private mutating func told(_ channel: Int, _ end: Int) {
    channels[channel].released = max(channels[channel].released, end)
    channels[channel].hasHeader = true
    hasDelivered = true
  }

  /// The first part of the chunk that comes next, up to a place in its text.
  mutating func goAhead(to limit: Int) -> InferenceChunk? {
    let entry = held[0]
    var rewrite = ChunkRewrite()
    rewrite.keepsRole = !entry.isSplit
    rewrite.keepsEnd = false
    let channel = channels[entry.channel]
    rewrite.texts[channel.part] = Array(channel.text[channel.released..<limit])
    if case .call(let index) = channel.part {
      let name = DeltaParts(entry.chunk.facts).calls.compactMap(\.name).joined()
      rewrite.calls[index] = ChunkRewrite.Call(
        index: index, keepsHeader: !entry.isSplit, name: entry.isSplit ? nil : name)
    }
    if firstChunk == nil { firstChunk = entry.chunk.data }
    held[0].isSplit = true
    told(entry.channel, limit)
    return rewrite.apply(to: entry.chunk)
  }

  private func rest(of entry: Held) -> InferenceChunk? {
    var rewrite = ChunkRewrite()
    rewrite.keepsRole = false
    let channel = channels[entry.channel]
    rewrite.texts[channel.part] = Array(channel.text[channel.released..<entry.end])
    if case .call(let index) = channel.part {
      rewrite.calls[index] = ChunkRewrite.Call(index: index, keepsHeader: false, name: nil)
    }
    return rewrite.apply(to: entry.chunk)
  }
}
