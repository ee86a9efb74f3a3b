import Limits

/// Chunks that wait for the next safe boundary, oldest first, with the memory that they take.
struct HeldChunks: Sendable {
  /// A chunk that waits, with the ends of its texts in their channels.
  struct Entry: Sendable {
    var chunk: InferenceChunk
    /// -1 means that it adds no text.
    var channel = -1
    var end = 0
    /// All channels and ends of a chunk that adds to several.
    var more: [(channel: Int, end: Int)] = []
    /// Its first bytes went ahead.
    var isSplit = false
    /// It adds to a part of the answer that is not followed.
    var isForeign = false

    var hasText: Bool { channel >= 0 || !more.isEmpty }

    /// True memory: its buffers and the entry itself.
    fileprivate var memory: Int {
      let facts = chunk.facts
      return MemoryLayout<Entry?>.stride + chunk.data.capacity + (facts.deltaJSON?.capacity ?? 0)
        + facts.text.utf8.count + (facts.finishReason?.utf8.count ?? 0)
        + more.capacity * MemoryLayout<(channel: Int, end: Int)>.stride
    }
  }

  /// Those before `head` have gone.
  private var entries: [Entry?] = []
  private var head = 0
  /// True memory that they take.
  private(set) var memory = 0
  /// The last part of the first one's text that went ahead; later parts are made of it.
  var lastPart: InferenceChunk?

  var first: Entry? { head < entries.count ? entries[head] : nil }

  /// Too much waits. A chunk that is released at once may be larger.
  var overdrawn: Overdrawn? {
    memory > Limits.heldChunkBytes.value ? Overdrawn(Limits.heldChunkBytes) : nil
  }

  mutating func append(_ entry: Entry) {
    var entry = entry
    // A buffer that once held a larger event is not kept.
    if entry.chunk.data.capacity > 2 * entry.chunk.data.count + 1_024 {
      var data: [UInt8] = []
      data.reserveCapacity(entry.chunk.data.count)
      data += entry.chunk.data
      entry.chunk.data = data
    }
    entries.append(entry)
    memory += entry.memory
  }

  mutating func markFirstSplit(_ part: InferenceChunk) {
    guard head < entries.count else { return }
    entries[head]?.isSplit = true
    lastPart = part
  }

  mutating func removeFirst() {
    guard head < entries.count, let entry = entries[head] else { return }
    memory -= entry.memory
    entries[head] = nil
    lastPart = nil
    head += 1
    if head == entries.count {
      entries.removeAll(keepingCapacity: entries.capacity <= 64)
      head = 0
    } else if head >= 64, 2 * head >= entries.count {
      entries.removeFirst(head)
      head = 0
    }
  }

  mutating func removeAll() { self = HeldChunks() }

  /// How many of those that wait satisfy a condition.
  func count(where isCounted: (Entry) -> Bool) -> Int {
    entries[head...].count { $0.map(isCounted) ?? false }
  }
}
