public import Access
public import ClusterModel
public import Money

/// Selects transactions of the ledger by facts for which the store has no index.
public struct LedgerFilter: Hashable, Sendable {
  /// Kind of the transactions. `nil` means every kind. The same applies to the other members.
  public var kind: LedgerTransaction.Kind?
  /// Key for which a gateway held, released or spent credits.
  public var key: KeyID?
  /// Trace of the request that a settlement bills.
  public var trace: TraceID?

  public init(
    kind: LedgerTransaction.Kind? = nil, key: KeyID? = nil, trace: TraceID? = nil
  ) {
    self.kind = kind
    self.key = key
    self.trace = trace
  }

  /// Whether the filter selects every transaction.
  public var isEmpty: Bool { kind == nil && key == nil && trace == nil }

  public func matches(_ transaction: LedgerTransaction) -> Bool {
    if let kind, transaction.kind != kind { return false }
    guard key != nil || trace != nil else { return true }
    guard let note = PostingNote(transaction.note) else { return false }
    if let key, note.key != .key("\(key)") { return false }
    if let trace, note.details?.trace != "\(trace)" { return false }
    return true
  }
}
