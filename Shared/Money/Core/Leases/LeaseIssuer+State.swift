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
    /// `nil` means that the ceiling is not set yet or was removed. No money is then left below it.
    var ceiling: Ceiling?
    var leased: MicroCredits = .zero
    /// Leases with money, by gateway.
    var holders: [PeerID: Set<UInt64>] = [:]
    /// Waiting asks by order of arrival.
    var queue: [Place] = []
    var recalledAt: Instant?
    /// Where the next round of recalls begins.
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

  /// Totals of one lease. Each only grows, so that repeated and reordered messages do no harm.
  struct Lease: Sendable {
    let key: AccountID
    var granted: MicroCredits = .zero
    var returned: MicroCredits = .zero
    var settled: MicroCredits = .zero
    /// Asks up to this number were granted or withdrawn. A refused ask that is repeated is judged
    /// again, because money may have returned.
    var answered: UInt64 = 0
    /// The last grant, for a repeated ask.
    var grant: LeaseGrant?

    init(key: AccountID) { self.key = key }

    /// Held by running requests, or unused.
    var outstanding: MicroCredits {
      granted.subtractingCapped(returned).subtractingCapped(settled)
    }
  }

  /// A gateway process.
  struct Gateway: Sendable {
    var validUntil: Instant
    /// Place in the order of all gateways' last messages.
    var lastSeen: UInt64 = 0
    /// Highest lease number seen.
    private(set) var highest: UInt64 = 0
    /// Leases up to this number were ended by the registry.
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
    /// The ceiling in whose queue it is.
    var ceiling: CeilingID?
    /// Whether the gateway was informed that this ask waits.
    var isNoticed = false
  }

  // MARK: - Postings

  /// Applies a posting of an earlier registry process. Ceilings count its settlements already.
  ///
  /// Postings are restored in their order, then `finishRestoring()` is called.
  public mutating func restore(_ posting: LeasePosting, now: Instant) {
    let id = posting.lease
    if gateways[id.gateway] == nil {
      // Only at twice the limit, because it looks at all gateways.
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
      // The grant may not have reached the gateway, which then repeats the ask.
      leases[id]?.grant = LeaseGrant(lease: id, ask: ask, total: lease.granted)
    }
  }

  /// Removes leases without money: the end of such a lease has no posting. A gateway that still uses
  /// one of them receives `unknown` and opens another.
  public mutating func finishRestoring() {
    for (id, lease) in leases where lease.outstanding == .zero { remove(id) }
    forgetGateways()
    changed = []
  }

  /// Forgets gateways without money until `lease.gateways` are left. The gateway whose last message
  /// is oldest goes first.
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

  /// Whether a lease of the gateway has money.
  func hasMoney(_ id: PeerID) -> Bool {
    gateways[id]?.leases.contains { number in
      leases[LeaseID(gateway: id, number: number)].map { $0.outstanding > .zero } ?? false
    } ?? false
  }

  /// Records that a message of the gateway arrived after all others.
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

  /// A key that is not known gets no money either.
  mutating func forgetKeyIfUnused(_ key: AccountID) {
    if let entry = keys[key], !entry.isActive, entry.leases.isEmpty { keys[key] = nil }
  }

  /// Moves the ceilings of a lease's key from one outstanding amount to another.
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

  /// Forgets a ceiling that was removed, when the last lease below it has ended.
  mutating func dropIfUnused(_ id: CeilingID) {
    guard levels[id]?.isUnused == true else { return }
    levels[id] = nil
    scarce.remove(id)
  }
}
