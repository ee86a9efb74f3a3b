internal import Limits

/// Ids of recent transactions, so that a repeated one is recognised.
///
/// Two generations of ids are kept. When the newer one is full, the older one is dropped, and the
/// latest time in it becomes the horizon: ids of transactions up to that time are uncertain. If a
/// dropped id is used again for a later transaction, only the store's unique key finds the
/// conflict.
struct TransactionMemory: Sendable {
  enum Recollection: Hashable {
    case new, repeated, conflict
    /// The id may be one that was dropped.
    case unsure
  }

  /// Fingerprint of each transaction by id.
  private var newer: [String: Int] = [:]
  private var older: [String: Int] = [:]
  private var latestOfNewer = Int64.min
  private var latestOfOlder = Int64.min
  /// Latest time of a dropped transaction. `nil` means that none was dropped.
  private var horizon: Int64?
  private let generationSize: Int

  init(limit: Int = Limits.rememberedTransactions.value) {
    generationSize = max(1, limit / 2)
  }

  func recall(_ transaction: LedgerTransaction) -> Recollection {
    if let fingerprint = newer[transaction.id] ?? older[transaction.id] {
      return fingerprint == transaction.fingerprint ? .repeated : .conflict
    }
    if let horizon, transaction.time <= horizon { return .unsure }
    return .new
  }

  mutating func remember(_ transaction: LedgerTransaction) {
    if newer.count >= generationSize { dropOlder() }
    newer[transaction.id] = transaction.fingerprint
    latestOfNewer = max(latestOfNewer, transaction.time)
  }

  mutating func forget(_ transaction: LedgerTransaction) {
    newer[transaction.id] = nil
    older[transaction.id] = nil
  }

  private mutating func dropOlder() {
    if !older.isEmpty { horizon = max(horizon ?? .min, latestOfOlder) }
    older = newer
    latestOfOlder = latestOfNewer
    newer = [:]
    latestOfNewer = .min
  }
}

extension LedgerTransaction {
  /// Hash of kind and entries: a repeat may have another time and note, but not another effect.
  ///
  /// It is compared within one process only.
  fileprivate var fingerprint: Int {
    var hasher = Hasher()
    hasher.combine(kind)
    hasher.combine(entries)
    return hasher.finalize()
  }
}
