/// Free and used slots of the journal, as its process knows them.
struct SlotTable {
  struct Free {
    let slot: Int
    let progress: SlotProgress
  }

  private enum Use {
    /// The answer is running, and an `OpenBill` writes to the slot.
    case open
    /// The entry waits for an acknowledgement.
    case pending(slot: Int, SlotProgress)
  }

  private var free: [Free]
  private var uses: [String: Use]

  /// - Parameter kept: entries of earlier processes, which use the first slots.
  init(slots: Int, kept: [JournalImage.Kept]) {
    uses = Dictionary(minimumCapacity: slots)
    for kept in kept {
      // The slot's settlement number belongs to an earlier process. It must not count as a number
      // of this process.
      var progress = kept.progress
      progress.setSettlement(0)
      uses[kept.request] = .pending(slot: kept.slot, progress)
    }
    // Slots are taken from the end of the list, so the list is in descending order. The lowest
    // slots are used first, and few pages of the file are written.
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

  /// Removes an entry that waits for an acknowledgement, and returns its slot.
  mutating func removePending(_ request: String) -> Free? {
    guard case .pending(let slot, let progress) = uses[request] else { return nil }
    uses[request] = nil
    return Free(slot: slot, progress: progress)
  }

  mutating func removeOpen(_ request: String) { uses[request] = nil }

  mutating func release(_ slot: Free) { free.append(slot) }
}
