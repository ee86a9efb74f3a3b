/// Free and used slots of the journal, as its process knows them.
struct SlotTable {
  struct Free {
    let slot: Int
    let progress: SlotProgress
  }

  private enum Use {
    /// An `OpenBill` writes the slot.
    case open
    /// The entry waits for an acknowledgement.
    case pending(slot: Int, SlotProgress)
  }

  private var free: [Free]
  private var uses: [String: Use]

  /// - Parameter kept: entries of predecessors, in the first slots.
  init(slots: Int, kept: [JournalImage.Kept]) {
    uses = Dictionary(minimumCapacity: slots)
    for kept in kept {
      // The slot's number belongs to a predecessor, and must not count as this process's.
      var progress = kept.progress
      progress.setSettlement(0)
      uses[kept.request] = .pending(slot: kept.slot, progress)
    }
    // The lowest slot is at the end and is used first, so that few pages of the file are written.
    free = (kept.count..<slots).reversed().map {
      Free(slot: $0, progress: SlotProgress(slot: $0))
    }
  }

  var usedCount: Int { uses.count }

  mutating func take(for request: String) throws(BillingRefusal) -> Free {
    guard uses[request] == nil else { throw .duplicate }
    guard let slot = free.popLast() else { throw .full }
    uses[request] = .open
    return slot
  }

  mutating func finish(_ request: String, _ progress: SlotProgress, slot: Int) {
    uses[request] = .pending(slot: slot, progress)
  }

  /// Returns the slot of an entry that waits for an acknowledgement, and forgets the entry.
  mutating func removePending(_ request: String) -> Free? {
    guard case .pending(let slot, let progress) = uses[request] else { return nil }
    uses[request] = nil
    return Free(slot: slot, progress: progress)
  }

  mutating func removeOpen(_ request: String) { uses[request] = nil }

  mutating func release(_ slot: Free) { free.append(slot) }
}
