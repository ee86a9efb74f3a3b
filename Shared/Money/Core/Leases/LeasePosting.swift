/// A change of leased money that the ledger must record before anything that follows it is sent.
///
/// The issuer's state is the sum of its postings, so a restarted registry rebuilds it from them.
public struct LeasePosting: Hashable, Sendable, CustomStringConvertible {
  public enum Change: Hashable, Sendable {
    /// Moves money from the key's accounts to its holds. The number is the ask's.
    case hold(MicroCredits, ask: UInt64)
    /// Moves unused money back. `total` includes all earlier returns.
    case release(MicroCredits, total: MicroCredits)
    /// Bills a request: one part from the hold, another part (late or above the hold) to `margin`.
    case settle(LeaseSettlement, charged: MicroCredits, toMargin: MicroCredits)
    /// Moves back what the lease still has, and ends it at its gateway's wish.
    case end(MicroCredits)
    /// Moves back what the lease still has, after its validity.
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
  /// Id of the ledger transaction that bills the request, however often it is repeated.
  public var transactionID: String { "settle/\(lease.gateway)/\(number)" }
}
