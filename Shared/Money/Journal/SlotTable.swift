/// Free and used slots of the journal, as its process knows them.
struct SlotTable {
  struct Free {
    let slot: Int
    let progress: SlotProgress
  }

  private enum Use {
    case free
    /// The answer is running, and an `OpenBill` writes to the slot.
    case open(request: String)
    /// The entry waits for an acknowledgement.
    case pending(request: String, SlotProgress)
  }

  private var free: [Free]
  /// The use of each slot.
  private var uses: [Use]
  /// The slot of each request that is running or waits for an acknowledgement.
  private var slots: [String: Int]

  /// - Parameter kept: entries of earlier processes, which use the first slots.
  init(slots count: Int, kept: [JournalImage.Kept]) {
    uses = Array(repeating: .free, count: count)
    slots = Dictionary(minimumCapacity: count)
    for kept in kept {
      // The slot's settlement number belongs to an earlier process. It must not count as a number
      // of this process.
      var progress = kept.progress
      progress.setSettlement(0)
      uses[kept.slot] = .pending(request: kept.request, progress)
      slots[kept.request] = kept.slot
    }
    // Slots are taken from the end of the list, so the list is in descending order. The lowest
    // slots are used first, and few pages of the file are written.
    free = (kept.count..<count).reversed().map {
      Free(slot: $0, progress: SlotProgress(slot: $0))
    }
  }

  var usedCount: Int { slots.count }

  mutating func take(for request: String) throws(BillingRefusal) -> Free {
    guard let next = free.popLast() else {
      throw slots[request] == nil ? BillingRefusal.full : BillingRefusal.duplicate
    }
    // One search finds a duplicate and adds the request.
    if let earlier = slots.updateValue(next.slot, forKey: request) {
      slots[request] = earlier
      free.append(next)
      throw .duplicate
    }
    uses[next.slot] = .open(request: request)
    return next
  }

  mutating func finish(_ slot: Int, _ progress: SlotProgress) {
    guard case .open(let request) = uses[slot] else { return }
    uses[slot] = .pending(request: request, progress)
  }

  /// Removes an entry that waits for an acknowledgement, and returns its slot.
  mutating func removePending(_ request: String) -> Free? {
    guard let slot = slots[request], case .pending(_, let progress) = uses[slot] else {
      return nil
    }
    return remove(slot, of: request, progress)
  }

  /// Removes an entry that waits for an acknowledgement, and returns its slot.
  mutating func removePending(_ bill: FinishedBill) -> Free? {
    // After the acknowledgement, another request may use the slot. It has another number.
    guard uses.indices.contains(bill.slot),
      case .pending(let request, let progress) = uses[bill.slot],
      progress.settlement == bill.settlement
    else { return nil }
    return remove(bill.slot, of: request, progress)
  }

  private mutating func remove(
    _ slot: Int, of request: String, _ progress: SlotProgress
  ) -> Free {
    slots[request] = nil
    uses[slot] = .free
    return Free(slot: slot, progress: progress)
  }

  mutating func removeOpen(_ slot: Int) {
    guard case .open(let request) = uses[slot] else { return }
    slots[request] = nil
    uses[slot] = .free
  }

  mutating func release(_ slot: Free) { free.append(slot) }
}
