public import ClusterModel
internal import Limits

extension LeaseIssuer {
  /// A key and its leases.
  struct Key: Sendable {
    var path: [CeilingID] = []
    var isActive = true
    var leases: Set<LeaseID> = []
  }

  /// A ceiling with its leases and the asks that wait for it.
  struct Level: Sendable {
    /// `nil` means that the ceiling is not set yet or was removed. Then no money is left below it.
    var ceiling: Ceiling?
    var leased: MicroCredits = .zero
    /// Leases with money, by gateway.
    var holders: [PeerID: Set<UInt64>] = [:]
    /// Waiting asks by order of arrival.
    var queue: [Place] = []
    var recalledAt: Instant?
    /// Index of the lease at which the next recall begins, among the leases with money.
    var nextRecall = 0

    var left: MicroCredits { (ceiling?.remaining ?? .zero).subtractingCapped(leased) }

    /// Whether the level has no ceiling, no leases with money and no waiting asks.
    var isUnused: Bool { ceiling == nil && holders.isEmpty && queue.isEmpty }
  }

  struct Place: Hashable, Comparable, Sendable {
    let order: UInt64
    let lease: LeaseID

    static func < (left: Place, right: Place) -> Bool { left.order < right.order }
  }

  /// Totals of one lease. Each total only grows, so repeated and reordered messages do no harm.
  struct Lease: Sendable {
    let key: AccountID
    var granted: MicroCredits = .zero
    var returned: MicroCredits = .zero
    var settled: MicroCredits = .zero
    /// Asks up to this number were granted or withdrawn. A refused ask is not counted. If it is
    /// repeated, it is judged again, because money may have returned.
    var answered: UInt64 = 0
    /// The last grant, which is sent again if its ask is repeated.
    var grant: LeaseGrant?

    init(key: AccountID) { self.key = key }

    /// Money of the lease that is unused or held by running requests.
    var outstanding: MicroCredits {
      granted.subtractingCapped(returned).subtractingCapped(settled)
    }
  }

  /// A gateway process.
  struct Gateway: Sendable {
    var validUntil: Instant
    /// Place of the gateway's last message in the order of all gateways' messages.
    var lastSeen: UInt64 = 0
    /// Highest lease number seen.
    private(set) var highest: UInt64 = 0
    /// The registry has ended leases up to this number.
    private(set) var endedThrough: UInt64 = 0
    var settled = NumberWindow()
    /// Numbers of open leases.
    var leases: Set<UInt64> = []

    init(validUntil: Instant) { self.validUntil = validUntil }

    mutating func see(_ number: UInt64) { highest = max(highest, number) }

    mutating func endThrough(_ number: UInt64) { endedThrough = max(endedThrough, number) }
  }

  struct Waiter: Sendable {
    var ask: LeaseAsk
    let order: UInt64
    var lastSeen: Instant
    /// The ceiling in whose queue the ask waits. `nil` means that it is in no queue yet.
    var ceiling: CeilingID?
    /// Whether the issuer has informed the gateway that this ask waits.
    var isNoticed = false
  }

  // MARK: - Postings

  /// Applies a posting of an earlier registry process. The charge of a settlement is already
  /// subtracted from the ceilings.
  ///
  /// Postings are restored in their order. After the last one, the caller calls
  /// `finishRestoring()`.
  public mutating func restore(_ posting: LeasePosting, now: Instant) {
    let id = posting.lease
    if gateways[id.gateway] == nil {
      // Gateways are forgotten only at twice the limit, because the search covers all gateways.
      if gateways.count >= 2 * Limits.leasingGateways.value { forgetGateways() }
      gateways[id.gateway] = Gateway(validUntil: terms.kept(from: now))
    }
    see(id.gateway)
    switch posting.change {
    case .hold(_, let ask):
      if leases[id] == nil { addLease(id, key: posting.key) }
      leases[id]?.answered = ask
    case .release: break
    case .settle(let settlement, _, _):
      guard gateways[id.gateway]?.settled.insertAccepted(settlement.number) == true else { return }
    case .end: gateways[id.gateway]?.see(id.number)
    case .expire:
      gateways[id.gateway]?.see(id.number)
      gateways[id.gateway]?.endThrough(id.number)
    }
    apply(posting, spends: false)
    if case .hold(_, let ask) = posting.change, let lease = leases[id] {
      // The gateway may not have received the grant. It then repeats the ask.
      leases[id]?.grant = LeaseGrant(lease: id, ask: ask, total: lease.granted)
    }
  }

  /// Removes leases without money, because the end of such a lease has no posting. If a gateway
  /// still uses one of them, it receives `unknown` and opens another lease.
  public mutating func finishRestoring() {
    for (id, lease) in leases where lease.outstanding == .zero { remove(id) }
    forgetGateways()
    changed = []
  }

  /// Forgets gateways without money until at most `lease.gateways` are left. The gateway whose last
  /// message is the oldest is forgotten first.
  private mutating func forgetGateways() {
    let excess = gateways.count - Limits.leasingGateways.value
    guard excess > 0 else { return }
    let idle = gateways.filter { !hasMoney($0.key) }
      .sorted { $0.value.lastSeen < $1.value.lastSeen }
    for (gateway, state) in idle.prefix(excess) {
      for number in state.leases { remove(LeaseID(gateway: gateway, number: number)) }
      gateways[gateway] = nil
    }
  }

  /// Whether any lease of the gateway has money.
  func hasMoney(_ id: PeerID) -> Bool {
    gateways[id]?.leases.contains { number in
      leases[LeaseID(gateway: id, number: number)].map { $0.outstanding > .zero } ?? false
    } ?? false
  }

  /// Records that the gateway's message is the latest of all gateways' messages.
  mutating func see(_ id: PeerID) {
    gateways[id]?.lastSeen = nextOrder
    nextOrder += 1
  }

  mutating func apply(_ posting: LeasePosting, spends: Bool) {
    let id = posting.lease
    guard var lease = leases[id] else { return }
    let before = lease.outstanding
    switch posting.change {
    case .hold(let amount, _): lease.granted = lease.granted.addingCapped(amount)
    case .release(_, let total): lease.returned = max(lease.returned, total)
    case .settle(_, let charged, _):
      lease.settled = lease.settled.addingCapped(charged)
      if spends {
        for ceiling in keys[lease.key]?.path ?? [] {
          guard let remaining = levels[ceiling]?.ceiling?.remaining else { continue }
          levels[ceiling]?.ceiling?.remaining = remaining.subtractingCapped(charged)
        }
      }
    case .end(let amount), .expire(let amount):
      lease.returned = lease.returned.addingCapped(amount)
    }
    leases[id] = lease
    count(id, from: before, to: lease.outstanding)
    switch posting.change {
    case .end, .expire: remove(id)
    case .hold, .release, .settle: break
    }
  }

  /// Removes a lease without money.
  mutating func remove(_ id: LeaseID) {
    guard let lease = leases.removeValue(forKey: id) else { return }
    gateways[id.gateway]?.leases.remove(id.number)
    keys[lease.key]?.leases.remove(id)
    forgetKeyIfUnused(lease.key)
  }

  /// Forgets an inactive key without leases. An unknown key gets no money, so the effect is the
  /// same.
  mutating func forgetKeyIfUnused(_ key: AccountID) {
    if let entry = keys[key], !entry.isActive, entry.leases.isEmpty { keys[key] = nil }
  }

  /// Replaces the lease's outstanding amount in all ceilings of its key.
  mutating func count(
    _ id: LeaseID, from: MicroCredits, to: MicroCredits
  ) {
    guard let key = leases[id]?.key else { return }
    for ceiling in keys[key]?.path ?? [] {
      var level = levels.removeValue(forKey: ceiling) ?? Level()
      level.leased = level.leased.addingCapped(to.subtractingCapped(from))
      if to > .zero {
        level.holders[id.gateway, default: []].insert(id.number)
      } else if level.holders[id.gateway]?.remove(id.number) != nil,
        level.holders[id.gateway]?.isEmpty == true
      {
        level.holders[id.gateway] = nil
      }
      levels[ceiling] = level
      changed.insert(ceiling)
      dropIfUnused(ceiling)
    }
  }

  /// Forgets a ceiling that is not set, if no lease below it has money and no ask waits for it.
  mutating func dropIfUnused(_ id: CeilingID) {
    guard levels[id]?.isUnused == true else { return }
    levels[id] = nil
    scarce.remove(id)
  }
}
