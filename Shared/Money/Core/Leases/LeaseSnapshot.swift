public import ClusterModel
internal import Limits

/// Leases and gateways at one place in the ledger, for a checkpoint.
public struct LeaseSnapshot: Hashable, Codable, Sendable {
  public struct Lease: Hashable, Codable, Sendable {
    public let number: UInt64
    public let key: AccountID
    /// Totals since the lease began.
    public let granted: MicroCredits
    public let returned: MicroCredits
    public let settled: MicroCredits
    /// Asks up to this number were granted or withdrawn.
    let answered: UInt64
    /// Number of the ask that the last grant answered. `nil` means that there is no grant.
    let granting: UInt64?

    /// Money of the lease that is unused or held by running requests.
    public var outstanding: MicroCredits {
      granted.subtractingCapped(returned).subtractingCapped(settled)
    }

    fileprivate var isValid: Bool {
      let amounts = [granted, returned, settled]
      // The sum has 128 bits, because a damaged checkpoint may have any numbers.
      let rest = Int128(granted.count) - Int128(returned.count) - Int128(settled.count)
      return amounts.allSatisfy { $0 >= .zero } && rest >= 0 && granting ?? 0 <= answered
    }
  }

  public struct Gateway: Hashable, Codable, Sendable {
    let name: String
    let incarnation: UInt64
    /// Highest lease number seen.
    let highest: UInt64
    /// The registry has ended leases up to this number.
    let endedThrough: UInt64
    /// All settlements up to this number were recorded.
    public let settledThrough: UInt64
    /// Numbers of recorded settlements above `settledThrough`, ascending.
    public let settledBeyond: [UInt64]
    public let leases: [Lease]

    public var id: PeerID { PeerID(name: name, incarnation: incarnation) }
  }

  /// Gateways in the order of their last messages.
  public let gateways: [Gateway]

  /// All leases with their ids.
  public var leases: [(id: LeaseID, lease: Lease)] {
    gateways.flatMap { gateway in
      gateway.leases.map { (LeaseID(gateway: gateway.id, number: $0.number), $0) }
    }
  }
}

extension LeaseIssuer {
  /// Leases and gateways. Waiting asks are left out, because gateways repeat them.
  ///
  /// All gateways with money are included. Other gateways are included up to `lease.gateways` in
  /// all, the gateway with the latest message first.
  public var snapshot: LeaseSnapshot {
    let paying = gateways.filter { hasMoney($0.key) }
    let room = max(0, Limits.leasingGateways.value - paying.count)
    let idle = gateways.filter { paying[$0.key] == nil }
      .sorted { $0.value.lastSeen > $1.value.lastSeen }
    let known = Array(paying) + idle.prefix(room)
    return LeaseSnapshot(
      gateways: known.sorted { $0.value.lastSeen < $1.value.lastSeen }.map { id, gateway in
        LeaseSnapshot.Gateway(
          name: id.name, incarnation: id.incarnation, highest: gateway.highest,
          endedThrough: gateway.endedThrough, settledThrough: gateway.settled.through,
          settledBeyond: gateway.settled.numbersBeyond,
          leases: gateway.leases.sorted().compactMap { number in
            leases[LeaseID(gateway: id, number: number)].map { lease in
              LeaseSnapshot.Lease(
                number: number, key: lease.key, granted: lease.granted,
                returned: lease.returned, settled: lease.settled, answered: lease.answered,
                granting: lease.grant?.ask)
            }
          })
      })
  }

  /// Restores leases and gateways into an issuer that has none. The caller then restores later
  /// postings one by one.
  public mutating func restore(
    _ snapshot: LeaseSnapshot, now: Instant
  ) throws(CheckpointFault) {
    guard snapshot.gateways.count <= Limits.leasingGateways.value,
      snapshot.gateways.reduce(0, { $0 + $1.leases.count }) <= Limits.openLeases.value
    else { throw CheckpointFault("it has too many gateways or leases") }
    for stored in snapshot.gateways {
      let id = stored.id
      guard gateways[id] == nil,
        let settled = NumberWindow(through: stored.settledThrough, beyond: stored.settledBeyond)
      else { throw CheckpointFault("its record of gateway \(id) is impossible") }
      var gateway = Gateway(validUntil: terms.kept(from: now))
      gateway.see(stored.highest)
      gateway.endThrough(stored.endedThrough)
      gateway.settled = settled
      gateways[id] = gateway
      see(id)
      for lease in stored.leases { try restore(lease, of: stored) }
    }
    changed = []
  }

  private mutating func restore(
    _ stored: LeaseSnapshot.Lease, of gateway: LeaseSnapshot.Gateway
  ) throws(CheckpointFault) {
    let id = LeaseID(gateway: gateway.id, number: stored.number)
    guard stored.isValid, leases[id] == nil, stored.number <= gateway.highest
    else { throw CheckpointFault("its lease \(id) is impossible") }
    addLease(id, key: stored.key)
    leases[id]?.granted = stored.granted
    leases[id]?.returned = stored.returned
    leases[id]?.settled = stored.settled
    leases[id]?.answered = stored.answered
    if let ask = stored.granting {
      leases[id]?.grant = LeaseGrant(lease: id, ask: ask, total: stored.granted)
    }
  }
}
