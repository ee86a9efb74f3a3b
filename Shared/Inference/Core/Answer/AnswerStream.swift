import ClusterModel
import Limits
import Text

/// State of one answer: the delivered text, the held chunks, and how another host resumes it.
///
/// Chunks of a healthy host pass unchanged and slightly delayed. Delivered text cannot be taken
/// back, so text after the last safe boundary is held until the next boundary. The stream keeps up
/// to `Limits.continuableBytes` of the answer's text, because the next host needs the text to
/// resume. A longer answer is not kept and cannot be resumed.
///
/// A host's cost is bounded. Its steps are charged to an allowance that grows with the number of
/// bytes that the host sends. The memory of held chunks is limited.
public struct AnswerStream: Sendable {
  /// Maximum bytes of one token that are held back, enough for a long word. If a token is longer,
  /// its older bytes are released. A host that resumes the answer must then repeat these bytes
  /// exactly.
  static let heldBytes = 64

  let shape: AnswerShape
  var channels: [AnswerChannel] = []
  /// Index in `channels` of the text of each part.
  private var places: [AnswerPart: Int] = [:]
  var held = HeldChunks()
  /// Index of the channel that was written last; -1 before the first write.
  var current = -1
  let isContinuable: Bool
  private(set) var isTooLong = false
  /// Whether the client has data of a part that is not tracked, such as a picture.
  private(set) var hasForeign = false
  /// Whether the host sent more of the answer after a `finish_reason`. The host's finish reasons
  /// then do not mark the end.
  var hasFalseEnd = false
  /// The first short chunk that any host sent. If Tutti must make an end chunk before the client
  /// has any chunk, the end chunk gets the identity of this sample.
  private var sample: [UInt8]?
  /// The first chunk that the client got, if it is short. Chunks of later hosts get its identity.
  private var firstChunk: [UInt8]?
  private var firstIdentity: StreamIdentity?
  var hasDelivered = false
  /// Tokens of the current host. `keptBytes` counts the bytes of this host that were not dropped.
  var tally = TokenTally()
  var keptBytes = 0
  /// Bytes of the current host's text. A delta that holds more than text counts with its JSON.
  var deltaBytes = 0
  /// Whether the operator trusts the current host's count of tokens. A host is paid by this count,
  /// so the count of an untrusted host is limited by the lengths of its text and of its prompt.
  var trustsCount = true
  /// Tokens that the client had before the current host.
  var priorTokens = 0
  /// Whether the usage of the whole answer was sent.
  var hasReportedUsage = false
  /// State of the host that resumes the answer. `nil` means that the client has no chunk of an
  /// earlier host.
  var hop: Hop?

  /// Why the host ended the answer. Set when the reason is read, even if its chunk is still held.
  public internal(set) var finishReason: String?
  var hostUsage: Usage?
  var firstPromptTokens: Int?
  /// Cached prompt tokens of the host that began the answer. They are stored when another host
  /// replaces it, and are `nil` before.
  var firstCachedTokens: Int?
  /// Whether the answer ended at a stop sequence that spans a joint, at `max_tokens`, or because its
  /// host repeated itself. Later chunks are then ignored.
  var isOver = false

  /// Charges the current host's steps and the memory of the text.
  private var allowance = AnswerStream.newAllowance()
  /// Bytes of all kept texts.
  private var textBytes = 0
  private var chunkNumber = 0
  /// Steps that are not charged yet. They are charged with the next chunk. If an immediate charge
  /// failed, released chunks would be lost.
  var steps = 0
  /// Failure that the next call of `take(_:)` throws.
  private var failure: AttemptFailure?
  private let stops: StopMatcher?

  public init(shape: AnswerShape) {
    self.shape = shape
    isContinuable = shape.obstacle == nil
    stops = StopMatcher(beginningsOf: shape.stop, longest: Self.heldBytes)
  }

  /// Creates the state of an answer that another process began. The next step is `interrupt`.
  ///
  /// - Parameter prefix: the text that the client has, as UTF-8.
  public init(shape: AnswerShape, after prefix: [UInt8]) {
    self.init(shape: shape)
    guard !prefix.isEmpty else { return }
    let index = write(.content, prefix)
    recordReleased(index, prefix.count)
    // The tokens of the prefix are unknown, so estimate them.
    priorTokens = TokenEstimate.tokens(bytes: prefix.count)
    // The other process releases text up to a safe boundary, so the prefix usually ends at one.
    // There are two exceptions. The prefix may end in a token that was too long to be held back. It
    // may also end in white space, which belongs to the next word.
    let channel = channels[index]
    let endsInSpace = prefix.last.map { [0x09, 0x0A, 0x0D, 0x20].contains($0) } ?? true
    if !endsInSpace, prefix.count - channel.boundary.boundary <= Self.heldBytes {
      channels[index].markBoundary()
    }
  }

  /// Whether the format of the content hides repetitions (`AnswerFormat.hidesRepetitions`).
  var hidesRepetitions: Bool {
    known(.content).map { channels[$0].boundary.format.hidesRepetitions } ?? false
  }

  /// Bytes of the kept text that the client does not have yet.
  public var heldTextBytes: Int { channels.reduce(0) { $0 + $1.text.count - $1.released } }

  // MARK: - Cost

  /// Steps charged to the current host.
  public var work: Int { allowance.worked + steps }
  /// Memory in use by the kept text and the held chunks.
  public var memory: Int { allowance.kept + held.memory }

  private static func newAllowance() -> Allowance {
    Allowance(memory: Limits.answerMemory, freeWork: Limits.answerFreeWork)
  }

  /// Gives the next host an allowance of its own. The allowance includes the work to compare the
  /// host's text with the kept text.
  mutating func renewAllowance() {
    allowance = Self.newAllowance()
    steps = 0
    failure = nil
    textBytes = channels.reduce(0) { $0 + $1.text.count }
    // Charge the kept text and the memory that is needed to compare it with the next host's text.
    let memory = channels.reduce(0) { $0 + $1.memory + MemoryLayout<Hop.KnownCall>.stride }
    do { try allowance.keep(memory) } catch { isTooLong = true }
    // Credit the work that is needed to compare a repetition with all of the kept text.
    allowance.receive(textBytes)
  }

  private func overdrawn(_ limit: Overdrawn) -> AttemptFailure {
    AttemptFailure(.garbage, "reading its answer takes \(limit)")
  }

  /// - Throws: `garbage` if the host costs more than its bytes pay for.
  mutating func charge(_ steps: Int) throws(AttemptFailure) {
    do throws(Overdrawn) {
      try allowance.work(steps)
    } catch {
      throw overdrawn(error)
    }
  }

  /// Steps charged for each event, in addition to its length.
  private static let eventSteps = 64

  // MARK: - Events

  /// Takes a chunk of the current host.
  ///
  /// - Returns: chunks for the client now, in order.
  /// - Throws: `badJoint` if the host's text cannot be joined to the client's, `garbage` if a chunk
  ///   cannot be read or costs too much. The next step is `interrupt`.
  public mutating func take(_ chunk: InferenceChunk) throws(AttemptFailure) -> [InferenceChunk] {
    guard !isOver else { return [] }
    if let failure { throw failure }
    allowance.receive(chunk.data.count)
    try charge(steps + Self.eventSteps + chunk.data.count)
    steps = 0
    if sample == nil, chunk.data.count <= Self.shortChunk { sample = chunk.data }
    if finishReason != nil, chunk.facts.tokens > 0 { hasFalseEnd = true }
    var parts = try chunk.facts.deltaJSON == nil ? nil : ChunkDelta(chunk.facts)
    count(chunk.facts, parts)
    var chunk = chunk
    if hop != nil {
      let read: ChunkDelta
      if let parts { read = parts } else { read = try ChunkDelta(chunk.facts) }
      guard let joined = try rejoined(chunk, read) else { return [] }
      chunk = joined
      parts = try chunk.facts.deltaJSON == nil ? nil : ChunkDelta(chunk.facts)
      try charge(8 * chunk.data.count)
    } else {
      keptBytes = tally.bytes
    }
    if let reason = chunk.facts.finishReason { try end(reason) }
    guard isContinuable, !isTooLong else {
      return [pass(chunk)]
    }
    guard chunk.data.count <= Limits.largeChunkBytes.value else {
      isTooLong = true
      let waiting = try release()
      return failure == nil ? waiting + [pass(chunk)] : waiting
    }
    try hold(chunk, parts)
    if hop != nil, let reason = finishReason { try checkEnd(reason) }
    return try release()
  }

  /// Passes a chunk to the client without keeping its text.
  private mutating func pass(_ chunk: InferenceChunk) -> InferenceChunk {
    hasDelivered = hasDelivered || chunk.facts.isValidToken
    begin(with: chunk)
    return chunk
  }

  private mutating func end(_ reason: String) throws(AttemptFailure) {
    guard reason.utf8.count <= Limits.nameBytes.value else {
      throw AttemptFailure(
        .garbage, "its finish_reason is longer than \(Limits.nameBytes.value) bytes")
    }
    finishReason = reason
  }

  /// Ends a complete answer. Releases all held chunks, and adds a missing `finish_reason` and the
  /// usage of several hosts together (`lastUsage()`).
  ///
  /// - Throws: `garbage` if a held chunk cannot be read.
  public mutating func finish() throws(AttemptFailure) -> [InferenceChunk] {
    try endWithoutReason() + releaseAll() + lastUsage()
  }

  /// Adds a `finish_reason` after the held text, if the host completed its stream without one. Only
  /// for an answer with one choice.
  private mutating func endWithoutReason() throws(AttemptFailure) -> [InferenceChunk] {
    guard finishReason == nil, !isOver, shape.choices == 1 else { return [] }
    let calls = channels.contains { $0.part.isCall }
    let likeness = identity ?? StreamIdentity(of: sample ?? [])
    guard let end = chunk(finishReason: calls ? "tool_calls" : "stop", like: likeness) else {
      return []
    }
    return try take(end)
  }

  mutating func releaseAll() throws(AttemptFailure) -> [InferenceChunk] {
    for index in channels.indices { channels[index].isClosed = true }
    return try release()
  }

  // MARK: - Holding back

  private mutating func hold(
    _ chunk: InferenceChunk, _ parts: ChunkDelta?
  ) throws(AttemptFailure) {
    var entry = HeldChunks.Entry(chunk: chunk)
    entry.isForeign = parts?.isForeign ?? false
    chunkNumber += 1
    if let parts {
      entry.more = try write(parts)
      if entry.more.count == 1 {
        (entry.channel, entry.end) = entry.more[0]
        entry.more = []
      }
    } else if !chunk.facts.text.isEmpty {
      entry.channel = write(.content, chunk.facts.text.utf8)
      entry.end = channels[entry.channel].text.count
    }
    held.append(entry)
    // Only the current channel can still be open.
    if chunk.facts.finishReason != nil, !hasFalseEnd, current >= 0 {
      channels[current].isClosed = true
    }
  }

  /// - Returns: the channels that grew, each with its new end.
  private mutating func write(
    _ parts: ChunkDelta
  ) throws(AttemptFailure) -> [(channel: Int, end: Int)] {
    var grown: [(channel: Int, end: Int)] = []
    for (part, text) in parts.texts where !part.isCall { touch(write(part, text), &grown) }
    for call in parts.calls {
      let index = channel(.call(call.index))
      try name(index, call)
      begin(index)
      touch(index, &grown)
    }
    for (part, text) in parts.texts where part.isCall { touch(write(part, text), &grown) }
    for place in grown.indices { grown[place].end = channels[grown[place].channel].text.count }
    steps += parts.texts.count + parts.calls.count + grown.count
    return grown
  }

  /// Adds a piece to a call's name. Some hosts send the whole name again with each piece of the
  /// arguments.
  private mutating func name(
    _ index: Int, _ call: ChunkDelta.Call
  ) throws(AttemptFailure) {
    guard let piece = call.name, !piece.isEmpty else { return }
    let hasArguments = call.hasArguments || !channels[index].text.isEmpty
    if hasArguments, channels[index].name == piece { return }
    channels[index].name += piece
    guard channels[index].name.utf8.count <= Limits.nameBytes.value else {
      throw AttemptFailure(
        .garbage, "the name of its tool call is longer than \(Limits.nameBytes.value) bytes")
    }
  }

  private mutating func touch(_ index: Int, _ grown: inout [(channel: Int, end: Int)]) {
    guard channels[index].lastChunk != chunkNumber else { return }
    channels[index].lastChunk = chunkNumber
    grown.append((index, 0))
  }

  private mutating func write(_ part: AnswerPart, _ text: some Collection<UInt8>) -> Int {
    let index = channel(part)
    begin(index)
    let (capacity, count) = (channels[index].text.capacity, channels[index].text.count)
    channels[index].append(text)
    steps += channels[index].takeSteps()
    textBytes += channels[index].text.count - count
    keep(channels[index].text.capacity - capacity)
    if textBytes > Limits.continuableBytes.value { isTooLong = true }
    return index
  }

  /// Charges memory of the text. An answer that takes too much memory is passed on without
  /// being kept, and cannot be resumed.
  private mutating func keep(_ bytes: Int) {
    do { try allowance.keep(bytes) } catch { isTooLong = true }
  }

  /// Makes a channel the current one, and closes the channel that was current.
  private mutating func begin(_ index: Int) {
    guard index != current else { return }
    if channels.indices.contains(current) { channels[current].isClosed = true }
    channels[index].isClosed = false
    current = index
  }

  func known(_ part: AnswerPart) -> Int? {
    if channels.indices.contains(current), channels[current].part == part { return current }
    return places[part]
  }

  private mutating func channel(_ part: AnswerPart) -> Int {
    if let index = known(part) { return index }
    let channel = AnswerChannel(part, isOneDocument: shape.wantsJSON, stops: stops)
    channels.append(channel)
    places[part] = channels.count - 1
    keep(channel.memory)
    return channels.count - 1
  }

  /// Removes channels of which the client has neither text nor header.
  mutating func removeUnseenChannels() {
    channels.removeAll { $0.released == 0 && !$0.hasHeader }
    places = [:]
    for (index, channel) in channels.enumerated() { places[channel.part] = index }
  }

  private mutating func release() throws(AttemptFailure) -> [InferenceChunk] {
    if isTooLong {
      for index in channels.indices { channels[index].isClosed = true }
    }
    var released: [InferenceChunk] = []
    do throws(AttemptFailure) {
      while let entry = held.first, canRelease(entry) {
        if let chunk = try releaseWhole(entry) { released.append(chunk) }
        held.removeFirst()
      }
      if let part = try releasePart() { released.append(part) }
      if let limit = held.overdrawn { throw overdrawn(limit) }
    } catch {
      // The client must get the released chunks first, so the next call throws the failure.
      guard !released.isEmpty else { throw error }
      failure = error
    }
    if isTooLong { dropTexts() }
    return released
  }

  /// Releases the safe bytes of the first held chunk, if more than `heldBytes` bytes of its
  /// channel's text are held.
  private mutating func releasePart() throws(AttemptFailure) -> InferenceChunk? {
    guard let first = held.first, first.channel >= 0 else { return nil }
    let channel = first.channel
    let limit = limit(channel)
    guard channels[channel].text.count - channels[channel].released > Self.heldBytes,
      limit > channels[channel].released
    else { return nil }
    return try releasePart(of: first, to: limit)
  }

  private mutating func dropTexts() {
    for index in channels.indices { channels[index].dropText() }
    textBytes = 0
    allowance.release(allowance.kept)
  }

  mutating func canRelease(_ entry: HeldChunks.Entry) -> Bool {
    steps += 1 + entry.more.count
    guard entry.hasText else { return true }
    if entry.channel >= 0 { return fits(entry.channel, entry.end) }
    for (channel, end) in entry.more where !fits(channel, end) { return false }
    return true
  }

  private mutating func fits(_ channel: Int, _ end: Int) -> Bool {
    end <= limit(channel)
  }

  private mutating func limit(_ channel: Int) -> Int {
    defer { steps += channels[channel].takeSteps() }
    return channels[channel].limit(window: Self.heldBytes)
  }

  mutating func releaseWhole(_ entry: HeldChunks.Entry) throws(AttemptFailure) -> InferenceChunk? {
    let chunk = try entry.isSplit ? rest(of: entry) : entry.chunk
    begin(with: entry.chunk)
    if entry.channel >= 0 { recordReleased(entry.channel, entry.end) }
    for (channel, end) in entry.more { recordReleased(channel, end) }
    if entry.isForeign {
      hasForeign = true
      hasDelivered = true
    }
    return chunk
  }

  private mutating func recordReleased(_ channel: Int, _ end: Int) {
    channels[channel].released = max(channels[channel].released, end)
    channels[channel].hasHeader = true
    hasDelivered = true
  }

  /// Releases part of the first held chunk's text, as a separate chunk.
  mutating func releasePart(
    of entry: HeldChunks.Entry, to limit: Int
  ) throws(AttemptFailure) -> InferenceChunk? {
    var rewrite = ChunkRewrite()
    rewrite.keepsRole = !entry.isSplit
    rewrite.keepsEnd = false
    rewrite.isPart = true
    let channel = channels[entry.channel]
    rewrite.texts[channel.part] = Array(channel.text[channel.released..<limit])
    if case .call(let index) = channel.part {
      let name =
        try entry.isSplit ? nil : ChunkDelta(entry.chunk.facts).calls.compactMap(\.name).joined()
      rewrite.calls[index] = ChunkRewrite.Call(
        index: index, keepsHeader: !entry.isSplit, name: name)
    }
    // Rewrite the part that was sent last, because it is shorter than the whole chunk.
    let source = held.lastPart ?? entry.chunk
    steps += 8 * source.data.count
    guard let part = try rewrite.apply(to: source) else { return nil }
    begin(with: entry.chunk)
    held.markFirstSplit(part)
    recordReleased(entry.channel, limit)
    return part
  }

  private mutating func rest(
    of entry: HeldChunks.Entry
  ) throws(AttemptFailure) -> InferenceChunk? {
    var rewrite = ChunkRewrite()
    rewrite.keepsRole = false
    let channel = channels[entry.channel]
    rewrite.texts[channel.part] = Array(channel.text[channel.released..<entry.end])
    if case .call(let index) = channel.part {
      rewrite.calls[index] = ChunkRewrite.Call(index: index, keepsHeader: false, name: nil)
    }
    steps += 8 * entry.chunk.data.count
    return try rewrite.apply(to: entry.chunk)
  }

  // MARK: - The first chunk

  /// Whether the client has received a chunk.
  var hasBegun: Bool { firstChunk != nil || firstIdentity != nil }

  /// The identity of the first chunk, which chunks of later hosts also get. `nil` means that the
  /// client has no chunk.
  var identity: StreamIdentity? {
    firstIdentity ?? firstChunk.map { StreamIdentity(of: $0) }
  }

  /// Records the first chunk. A short chunk is stored as it is, and parsed only if its identity is
  /// needed.
  private mutating func begin(with chunk: InferenceChunk) {
    guard !hasBegun else { return }
    if chunk.data.capacity <= Self.shortChunk {
      firstChunk = chunk.data
    } else {
      firstIdentity = StreamIdentity(of: chunk.data)
    }
  }

  private static let shortChunk = 4_096
}
