import ClusterModel
import Limits
import Text

/// What the client has of an answer, what is held back of it, and how another host resumes it.
///
/// Chunks of a healthy host go through whole and byte for byte, only a little later: what follows
/// the last safe place waits until the next one is known, because what the client has cannot be
/// taken back. The answer's text is kept once, because the next host must be given it: as many bytes
/// as the client got, up to `Limits.continuableBytes`; of a longer answer nothing is kept, and it
/// cannot be resumed.
///
/// What a host can cost is bounded: its steps are charged to an allowance that grows with its bytes,
/// and chunks that wait have a limit of true memory.
public struct AnswerStream: Sendable {
  /// Bytes that are held back at most: a long word. Within a longer token the older bytes are
  /// released, and the next host must repeat them exactly.
  public static let heldBytes = 64

  let shape: AnswerShape
  var channels: [AnswerChannel] = []
  /// The place of each text in `channels`.
  private var places: [AnswerPart: Int] = [:]
  var held = HeldChunks()
  /// The channel that was written last.
  var current = -1
  let isContinuable: Bool
  private(set) var isTooLong = false
  /// The client has some of a part that is not followed, such as a picture.
  private(set) var hasForeign = false
  /// The host went on after a `finish_reason`: its reasons are no ends.
  var hasFalseEnd = false
  /// The first chunk that any host sent; `nil` if it was long.
  private var sample: [UInt8]?
  /// The first chunk that the client got: every later one looks like it.
  private var firstChunk: [UInt8]?
  private var firstIdentity: StreamIdentity?
  var hasDelivered = false
  /// What the host that answers now has sent, and bytes of that which were not dropped.
  var tally = TokenTally()
  var keptBytes = 0
  /// Tokens that the client had before it.
  var priorTokens = 0
  /// The usage of the whole answer was sent.
  var hasToldUsage = false
  /// The host that resumes the answer; `nil` means that the first host answers.
  var hop: Hop?

  /// Known as soon as it was read, even while its chunk is held.
  public internal(set) var finishReason: String?
  var hostUsage: Usage?
  var firstPromptTokens: Int?
  /// A stop sequence was completed across a joint, or nothing is left of `max_tokens`: the answer is
  /// over, whatever the host sends.
  public internal(set) var isOver = false

  /// Steps of the host that answers now, and memory of the text.
  private var allowance = AnswerStream.newAllowance()
  /// Bytes of all texts that are kept.
  private var textBytes = 0
  private var chunkNumber = 0
  /// Steps since they were charged: what is released must not be lost, so they are charged with the
  /// next chunk.
  var steps = 0
  /// Thrown with the next chunk.
  private var failure: AttemptFailure?
  private let stops: StopMatcher?

  public init(shape: AnswerShape) {
    self.shape = shape
    isContinuable = shape.obstacle == nil
    stops = StopMatcher(beginningsOf: shape.stop, longest: Self.heldBytes)
  }

  /// An answer that another process began. The next step is `interrupt`.
  ///
  /// - Parameter prefix: what the client has of it, as UTF-8.
  public init(shape: AnswerShape, after prefix: [UInt8]) {
    self.init(shape: shape)
    guard !prefix.isEmpty else { return }
    let index = write(.content, prefix)
    told(index, prefix.count)
    // Its tokens are unknown.
    priorTokens = TokenTally.tokens(prefix.count)
    // The other process released what lies before a safe place, so its end is one. Only a token that
    // was too long to be held back is cut anywhere, and white space belongs to the word after it.
    let channel = channels[index]
    let endsInSpace = prefix.last.map { [0x09, 0x0A, 0x0D, 0x20].contains($0) } ?? true
    if !endsInSpace, prefix.count - channel.boundary.boundary <= Self.heldBytes {
      channels[index].markBoundary()
    }
  }

  /// Whether the content is one JSON text, as far as it has come.
  var isJSON: Bool { known(.content).map { channels[$0].boundary.json != nil } ?? false }

  /// Bytes that wait: what a cut would cost.
  public var heldTextBytes: Int { channels.reduce(0) { $0 + $1.text.count - $1.released } }

  // MARK: - What it costs

  /// Steps charged to the host that answers now.
  public var work: Int { allowance.worked + steps }
  /// True memory of text and chunks that are kept.
  public var memory: Int { allowance.kept + held.memory }

  private static func newAllowance() -> Allowance {
    Allowance(memory: Limits.answerMemory, freeWork: Limits.answerFreeWork)
  }

  /// A host that resumes the answer gets its own work, and pays for none of what is kept.
  mutating func renewAllowance() {
    allowance = Self.newAllowance()
    steps = 0
    failure = nil
    textBytes = channels.reduce(0) { $0 + $1.text.count }
    // Each may have to be compared with what the next host sends.
    let memory = channels.reduce(0) { $0 + $1.memory + MemoryLayout<Hop.KnownCall>.stride }
    do { try allowance.keep(memory) } catch { isTooLong = true }
    // A host that repeats the text is compared with all of it.
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

  /// Steps of an event besides those that depend on its length.
  private static let eventSteps = 64

  // MARK: - Events

  /// A chunk of the host that answers now.
  ///
  /// - Returns: chunks for the client now, in order.
  /// - Throws: `badJoint` when the host's text cannot be joined to what the client has, `garbage`
  ///   when a chunk cannot be read or costs too much; the next step is `interrupt`.
  public mutating func take(_ chunk: InferenceChunk) throws(AttemptFailure) -> [InferenceChunk] {
    guard !isOver else { return [] }
    if let failure { throw failure }
    allowance.receive(chunk.data.count)
    try charge(steps + Self.eventSteps + chunk.data.count)
    steps = 0
    if sample == nil, chunk.data.count <= Self.shortChunk { sample = chunk.data }
    if finishReason != nil, chunk.facts.tokens > 0 { hasFalseEnd = true }
    var parts = try chunk.facts.deltaJSON == nil ? nil : DeltaParts(chunk.facts)
    count(chunk.facts, parts)
    var chunk = chunk
    if hop != nil {
      let read: DeltaParts
      if let parts { read = parts } else { read = try DeltaParts(chunk.facts) }
      guard let joined = try rejoined(chunk, read) else { return [] }
      chunk = joined
      parts = try chunk.facts.deltaJSON == nil ? nil : DeltaParts(chunk.facts)
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

  /// A chunk that is not kept.
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

  /// The answer is whole: everything held is released, and usage is added that no host can report.
  ///
  /// - Throws: `garbage` when a chunk that waits cannot be read.
  public mutating func finish() throws(AttemptFailure) -> [InferenceChunk] {
    try endWithoutReason() + releaseAll() + lastUsage()
  }

  /// The host said that its stream is complete, and gave no `finish_reason`: the client gets one,
  /// after what waits.
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
    _ chunk: InferenceChunk, _ parts: DeltaParts?
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
    // All others are closed already.
    if chunk.facts.finishReason != nil, !hasFalseEnd, current >= 0 {
      channels[current].isClosed = true
    }
  }

  /// - Returns: the texts that grow, with their ends.
  private mutating func write(
    _ parts: DeltaParts
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

  /// Names come in pieces, or whole with each piece of the arguments.
  private mutating func name(
    _ index: Int, _ call: DeltaParts.Call
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

  /// Memory of the text. An answer that takes too much is passed on and cannot be resumed.
  private mutating func keep(_ bytes: Int) {
    do { try allowance.keep(bytes) } catch { isTooLong = true }
  }

  /// Another text than before is written: that one had come to an end.
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

  /// Forgets channels of which the client has nothing.
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
      // What was released before it must reach the client.
      guard !released.isEmpty else { throw error }
      failure = error
    }
    if isTooLong { dropTexts() }
    return released
  }

  /// The first bytes of a chunk that waits, if it is a part of a long word.
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
    if entry.channel >= 0 { told(entry.channel, entry.end) }
    for (channel, end) in entry.more { told(channel, end) }
    if entry.isForeign {
      hasForeign = true
      hasDelivered = true
    }
    return chunk
  }

  private mutating func told(_ channel: Int, _ end: Int) {
    channels[channel].released = max(channels[channel].released, end)
    channels[channel].hasHeader = true
    hasDelivered = true
  }

  /// The first part of the chunk that comes next, up to a place in its text.
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
        try entry.isSplit ? nil : DeltaParts(entry.chunk.facts).calls.compactMap(\.name).joined()
      rewrite.calls[index] = ChunkRewrite.Call(
        index: index, keepsHeader: !entry.isSplit, name: name)
    }
    // Made of the last part, which is short, and not of the whole chunk again.
    let source = held.lastPart ?? entry.chunk
    steps += 8 * source.data.count
    guard let part = try rewrite.apply(to: source) else { return nil }
    begin(with: entry.chunk)
    held.markFirstSplit(part)
    told(entry.channel, limit)
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

  /// Whether the client has a chunk.
  var hasBegun: Bool { firstChunk != nil || firstIdentity != nil }

  /// What later chunks have in common with the first; `nil` means that there is none.
  var identity: StreamIdentity? {
    firstIdentity ?? firstChunk.map { StreamIdentity(of: $0) }
  }

  /// A short chunk is kept as it is and read only if another host resumes the answer.
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
