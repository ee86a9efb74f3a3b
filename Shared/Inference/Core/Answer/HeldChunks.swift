import Limits

/// Chunks held until the next safe boundary, oldest first, with their memory.
struct HeldChunks: Sendable {
  /// A held chunk. `end` is the end of its text in its channel.
  struct Entry: Sendable {
    var chunk: InferenceChunk
    /// The only channel that the chunk adds to. -1 means that the chunk adds to no channel, or to
    /// several (`more`).
    var channel = -1
    var end = 0
    /// The channels and ends of a chunk that adds to several channels. Otherwise empty.
    var more: [(channel: Int, end: Int)] = []
    /// Whether the first part of the text has been sent.
    var isSplit = false
    /// Whether the chunk adds to a part that is not tracked.
    var isForeign = false

    var hasText: Bool { channel >= 0 || !more.isEmpty }

    /// Memory in use: the capacity of the chunk's buffers, and the entry itself.
    fileprivate var memory: Int {
      let facts = chunk.facts
      return MemoryLayout<Entry?>.stride + chunk.data.capacity + (facts.deltaJSON?.capacity ?? 0)
        + facts.text.utf8.count + (facts.finishReason?.utf8.count ?? 0)
        + more.capacity * MemoryLayout<(channel: Int, end: Int)>.stride
    }
  }

  /// The held chunks. Entries before `head` have been released.
  private var entries: [Entry?] = []
  private var head = 0
  /// Memory in use by the held chunks.
  private(set) var memory = 0
  /// The part of the first held chunk that was sent last. The next part is made from this part.
  var lastPart: InferenceChunk?

  var first: Entry? { head < entries.count ? entries[head] : nil }

  /// The limit that the memory of the held chunks exceeds. `nil` means none. A chunk may be larger
  /// than the limit if it is released before the limit is checked.
  var overdrawn: Overdrawn? {
    memory > Limits.heldChunkBytes.value ? Overdrawn(Limits.heldChunkBytes) : nil
  }

  mutating func append(_ entry: Entry) {
    var entry = entry
    // The buffer may have held a larger event. Copy the data if the buffer is much too large.
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

  /// Number of held chunks that satisfy a condition.
  func count(where isCounted: (Entry) -> Bool) -> Int {
    entries[head...].count { $0.map(isCounted) ?? false }
  }
}
