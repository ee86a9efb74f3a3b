public import Files
internal import Foundation
public import Limits
internal import Synchronization

/// A gateway's record of answers that are running or not yet settled.
///
/// The record is a mapped file. So it survives the end of its process at any moment, even by
/// SIGKILL, and costs no system call per token. After a crash of the machine, the file may lack the
/// latest tokens and answers.
public final class BillingJournal: Sendable {
  /// A journal that this process uses from now on.
  public struct Opened: Sendable {
    public let journal: BillingJournal
    /// Entries of earlier processes. The caller settles each entry and then acknowledges it.
    /// Without an acknowledgement, the entry is returned again after every restart. Each entry has
    /// a settlement number. For answers that were still running, these numbers follow the last
    /// number of their process.
    public let entries: [BillingEntry]
    /// Sentence for the log if the file was damaged. `nil` means that the file was intact or
    /// absent.
    public let notice: String?
  }

  private let lock: JournalLock
  private let mapping: JournalMapping
  private let incarnation: UInt64
  private let table: Mutex<SlotTable>

  private init(
    lock: JournalLock, mapping: JournalMapping, incarnation: UInt64, table: SlotTable
  ) {
    self.lock = lock
    self.mapping = mapping
    self.incarnation = incarnation
    self.table = Mutex(table)
  }

  /// Opens the journal, or creates it.
  /// - Parameters:
  ///   - path: path of the file, in a directory that `PrivateDirectory` has prepared. A damaged
  ///     file is kept next to it under another name.
  ///   - incarnation: incarnation of this process.
  /// - Throws: if the file is a link, belongs to another user, is used by another process, or
  ///   cannot be written.
  public static func open(
    path: String, incarnation: UInt64, slots: Int = Limits.journalSlots.value
  ) throws(FileRefused) -> Opened {
    let lock = try JournalLock(path)
    let file = try JournalFile.read(path)
    // There are more slots than configured only if the predecessor had more entries.
    let slots = max(slots, file.entries.count)
    let image = JournalImage.make(
      entries: file.entries, slots: slots, incarnation: incarnation)
    // The predecessor's file is never written. A new file with allocated blocks replaces it
    // atomically, so at every moment one of the two files has the entries.
    try PrivateFile.replace(path, with: image.bytes)
    let mapping = try JournalMapping(path, bytes: image.bytes.count)
    let journal = BillingJournal(
      lock: lock, mapping: mapping, incarnation: incarnation,
      table: SlotTable(slots: slots, kept: image.kept))
    return Opened(journal: journal, entries: file.entries, notice: file.notice)
  }

  /// Number of slots whose answers are running or wait for an acknowledgement.
  public var usedSlots: Int { table.withLock { $0.usedCount } }

  /// Records an admitted request. On return, the request is in the journal.
  public func begin(_ request: BilledRequest) throws(BillingRefusal) -> OpenBill {
    guard let texts = SlotTexts.words(of: request, incarnation: incarnation) else {
      throw .textTooLong
    }
    let free = try table.withLock { table throws(BillingRefusal) in
      try table.take(for: request.id)
    }
    mapping.store(texts, at: JournalImage.firstWord(ofSlot: free.slot) + SlotLayout.request)
    var progress = free.progress
    progress.begin(request: texts[0])
    publish(&progress, slot: free.slot)
    return OpenBill(journal: self, slot: free.slot, progress: progress)
  }

  /// Records the settlement number of an answer that has no entry, for example because the journal
  /// was full. If this process dies, the numbers of its running answers begin after this number.
  ///
  /// - Parameter settlement: a number above all earlier ones.
  public func recordNumber(_ settlement: UInt64) {
    mapping.store([JournalImage.word(number: settlement)], at: JournalImage.lastNumberWord)
  }

  /// Removes an entry, because the registry has its settlement.
  /// - Returns: `false` if no entry with this id waits for an acknowledgement, for example because
  ///   the acknowledgement arrived before.
  @discardableResult
  public func acknowledge(_ request: String) -> Bool {
    table.withLock { table in
      guard let pending = table.removePending(request) else { return false }
      table.release(freed(pending.slot, pending.progress))
      return true
    }
  }

  /// Removes the entries of answers that this process finished, because the registry has their
  /// settlements. A repeated acknowledgement is ignored.
  public func acknowledge(_ bills: [FinishedBill]) {
    table.withLock { table in
      for bill in bills {
        guard let pending = table.removePending(bill) else { continue }
        table.release(freed(pending.slot, pending.progress))
      }
    }
  }

  // MARK: - For OpenBill

  func publish(_ progress: inout SlotProgress, slot: Int) {
    progress.seal(slot: slot)
    mapping.publish(progress, slot: slot)
  }

  func store(_ words: [UInt64], host index: Int, slot: Int) {
    let first = JournalImage.firstWord(ofSlot: slot) + SlotLayout.hosts
    mapping.store(words, at: first + index * SlotLayout.hostWords)
  }

  func finish(_ progress: SlotProgress, settlement: UInt64, slot: Int) {
    var progress = progress
    progress.finish(settlement: settlement)
    publish(&progress, slot: slot)
    table.withLock { $0.finish(slot, progress) }
  }

  func cancel(_ progress: SlotProgress, slot: Int) {
    table.withLock { table in
      table.removeOpen(slot)
      table.release(freed(slot, progress))
    }
  }

  /// Marks the slot as free in the file, and returns it.
  private func freed(_ slot: Int, _ progress: SlotProgress) -> SlotTable.Free {
    var progress = progress
    progress.free()
    publish(&progress, slot: slot)
    return SlotTable.Free(slot: slot, progress: progress)
  }
}
