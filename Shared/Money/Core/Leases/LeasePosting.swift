/// A change of leased money. The ledger must record it before any later message is sent.
///
/// The issuer's state is the sum of its postings, so a restarted registry rebuilds it from them.
public struct LeasePosting: Hashable, Sendable, CustomStringConvertible {
  public enum Change: Hashable, Sendable {
    /// Moves money from the organisation to its holds, for the lease. `ask` is the number of the
    /// ask.
    case hold(MicroCredits, ask: UInt64)
    /// Moves unused money back to the organisation. `total` includes all earlier returns.
    case release(MicroCredits, total: MicroCredits)
    /// Bills a request. `charged` is paid from the lease. `toMargin` is paid from the margin,
    /// because the bill exceeds the hold or the lease has ended.
    case settle(LeaseSettlement, charged: MicroCredits, toMargin: MicroCredits)
    /// Moves the rest of the lease's money back, and ends the lease at its gateway's request.
    case end(MicroCredits)
    /// Moves the rest of the lease's money back, and ends the lease after its validity.
    case expire(MicroCredits)
  }

  public let lease: LeaseID
  public let key: AccountID
  public let change: Change

  public init(lease: LeaseID, key: AccountID, _ change: Change) {
    self.lease = lease
    self.key = key
    self.change = change
  }

  /// Unique id of the ledger transaction. A repeated posting has the same id.
  public var description: String {
    switch change {
    case .hold(_, let ask): "lease/\(lease)/hold/\(ask)"
    case .release(_, let total): "lease/\(lease)/release/\(total.count)"
    case .settle(let settlement, _, _): settlement.transactionID
    case .end: "lease/\(lease)/end"
    case .expire: "lease/\(lease)/expire"
    }
  }
}

extension LeaseSettlement {
  /// Id of the ledger transaction that bills the request. It is the same for every repetition.
  public var transactionID: String { "settle/\(lease.gateway)/\(number)" }
}
