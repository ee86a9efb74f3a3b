public import ClusterModel
internal import Limits

/// Divides the money of accounts among gateways, at the registry.
///
/// Money of a lease is subtracted from all ceilings of its key at once. If a ceiling has too little
/// left, the issuer recalls unused money and lets the asking gateway wait. It refuses an ask if the
/// request could not be paid even if all requests in flight cost nothing. It refuses a last call
/// if too little money is left now.
///
/// The caller performs directives in order. A posting must be durable before the next message is
/// sent. If a posting fails, the caller makes a new issuer from the ledger.
public struct LeaseIssuer: Sendable {
  public enum Directive: Hashable, Sendable {
    case post(LeasePosting)
    case send(LeaseAnswer, to: PeerID)
  }

  let terms: LeaseTerms
  var keys: [AccountID: Key] = [:]
  var levels: [CeilingID: Level] = [:]
  var leases: [LeaseID: Lease] = [:]
  var gateways: [PeerID: Gateway] = [:]
  /// Asks that wait for money, by lease. Each ask is also in the queue of one ceiling.
  var waiters: [LeaseID: Waiter] = [:]
  /// Next number in the order of waiting asks and of gateways' messages.
  var nextOrder: UInt64 = 0
  /// Ceilings with a queue, or with more leased money than their `remaining`.
  var scarce: Set<CeilingID> = []
  /// Ceilings whose queues must be served before the current event ends.
  var changed: Set<CeilingID> = []
  var directives: [Directive] = []

  /// - Parameter postings: earlier postings in order. They include at least the postings of all
  ///   leases that have not ended, and the last `end` of each gateway. Ceilings and keys are set
  ///   afterwards.
  public init(
    terms: LeaseTerms = LeaseTerms(), restoring postings: [LeasePosting] = [],
    now: Instant
  ) {
    self.terms = terms
    for posting in postings { restore(posting, now: now) }
    changed = []
  }

  /// Money in all leases.
  public var totalLeased: MicroCredits {
    leases.values.reduce(.zero) { $0.addingCapped($1.outstanding) }
  }

  /// Money below a ceiling that is neither spent nor leased.
  public func left(below ceiling: CeilingID) -> MicroCredits { levels[ceiling]?.left ?? .zero }

  public var waitingCount: Int { waiters.count }

  /// Number up to which all settlements of the gateway were received.
  public func settledThrough(by gateway: PeerID) -> UInt64 {
    gateways[gateway]?.settled.through ?? 0
  }

  // MARK: - Accounts

  /// Sets a ceiling, for example after a new period, new credits or a changed limit.
  public mutating func setCeiling(_ ceiling: Ceiling, now: Instant) -> [Directive] {
    levels[ceiling.id, default: Level()].ceiling = ceiling
    changed.insert(ceiling.id)
    if levels[ceiling.id, default: Level()].left < .zero {
      scarce.insert(ceiling.id)
      recall(ceiling.id, now: now)
    }
    return finish(now: now)
  }

  /// Removes a ceiling that no active key has.
  public mutating func removeCeiling(_ id: CeilingID) {
    levels[id]?.ceiling = nil
    dropIfUnused(id)
  }

  /// Sets the ceilings of a key: its own and those of its team and organisation.
  ///
  /// An empty path means no limit. The key's leases count below the new ceilings from now on. A
  /// request below a ceiling that is not set yet waits until it is set.
  public mutating func setKey(_ key: AccountID, path: [CeilingID], now: Instant) -> [Directive] {
    let old = keys[key, default: Key()]
    if old.path != path {
      for id in old.leases {
        guard let lease = leases[id] else { continue }
        count(id, from: lease.outstanding, to: .zero)
      }
      keys[key] = Key(path: path, isActive: true, leases: old.leases)
      for id in old.leases {
        guard let lease = leases[id] else { continue }
        count(id, from: .zero, to: lease.outstanding)
      }
      changed.formUnion(old.path)
      changed.formUnion(path)
      // The waiting asks were judged by the old ceilings, so they are judged again.
      for id in old.leases.sorted() where waiters[id] != nil { judge(id, now: now) }
    } else {
      keys[key, default: Key()].isActive = true
    }
    return finish(now: now)
  }

  /// Ends a key. The key gets no more money, and gateways return the money of its leases. The key
  /// is forgotten when its last lease ends.
  public mutating func revokeKey(_ key: AccountID, now: Instant) -> [Directive] {
    keys[key, default: Key()].isActive = false
    for id in keys[key, default: Key()].leases.sorted() {
      send(.recalled(id), to: id.gateway)
      if waiters[id] != nil { judge(id, now: now) }
    }
    forgetKeyIfUnused(key)
    return finish(now: now)
  }

  // MARK: - Gateways

  public mutating func receive(_ request: LeaseRequest, now: Instant) -> [Directive] {
    switch request {
    case .ask(let ask): receive(ask, now: now)
    case .giveBack(let giveBack): receive(giveBack, now: now)
    case .settle(let settlement): receive(settlement, now: now)
    case .renew(let renewal): receive(renewal, now: now)
    }
    return finish(now: now)
  }

  /// Records that a gateway process has ended.
  ///
  /// Its requests no longer wait. But its money returns only after the validity of its leases,
  /// because the process may only be unreachable, or may have left settlements on disk.
  public mutating func gatewayLeft(_ gateway: PeerID, now: Instant) -> [Directive] {
    guard let state = gateways[gateway] else { return [] }
    for number in state.leases.sorted() {
      dropWaiter(LeaseID(gateway: gateway, number: number))
    }
    return finish(now: now)
  }

  /// Ends leases after their validity, forgets asks that are no longer repeated, and repeats
  /// recalls. The caller calls it about once per second.
  public mutating func tick(now: Instant) -> [Directive] {
    let silent = gateways.filter { $0.value.validUntil <= now && !$0.value.leases.isEmpty }
    for id in silent.keys.sorted() { endLeases(of: id) }
    let abandoned = waiters.filter { $0.value.lastSeen.advanced(by: terms.waiting) < now }
    for id in abandoned.keys.sorted() { dropWaiter(id) }
    for id in scarce.sorted() {
      let level = levels[id, default: Level()]
      if level.queue.isEmpty && level.left >= .zero {
        scarce.remove(id)
      } else {
        recall(id, now: now)
      }
    }
    return finish(now: now)
  }

  // MARK: - Messages

  private mutating func receive(_ ask: LeaseAsk, now: Instant) {
    let id = ask.lease
    guard ask.isValid else {
      return send(.refused(id, ask: ask.number, .invalid), to: id.gateway)
    }
    guard knowGateway(id.gateway, now: now) else { return }
    if leases[id] == nil {
      // A number up to the highest one was used before, so its lease has ended.
      guard id.number > gateways[id.gateway]?.highest ?? 0 else {
        return send(.unknown(id), to: id.gateway)
      }
      guard leases.count < Limits.openLeases.value else {
        return send(.waiting(id, ask: ask.number, .tooManyLeases), to: id.gateway)
      }
      open(id, key: ask.key, now: now)
    }
    guard let lease = leases[id], lease.key == ask.key else {
      return send(.refused(id, ask: ask.number, .invalid), to: id.gateway)
    }
    takeBack(ask.returned, of: id)
    guard ask.number >= lease.answered else { return }
    if ask.number == lease.answered {
      guard let grant = lease.grant else { return }
      return send(.granted(grant), to: id.gateway)
    }
    guard ask.granted >= lease.granted else {
      let grant = LeaseGrant(lease: id, ask: ask.number, total: lease.granted)
      return send(.granted(grant), to: id.gateway)
    }
    if let waiter = waiters[id] {
      guard ask.number >= waiter.ask.number else { return }
      waiters[id]?.isNoticed = false
      waiters[id]?.ask = ask
      waiters[id]?.lastSeen = now
    } else {
      waiters[id] = Waiter(ask: ask, order: nextOrder, lastSeen: now)
      nextOrder += 1
    }
    judge(id, now: now)
  }

  private mutating func receive(_ giveBack: LeaseReturn, now: Instant) {
    let id = giveBack.lease
    if leases[id] != nil {
      takeBack(giveBack.returned, of: id)
      if let waiter = waiters[id], waiter.ask.number <= giveBack.withdrawn { dropWaiter(id) }
      if let lease = leases[id], lease.answered < giveBack.withdrawn {
        leases[id]?.answered = giveBack.withdrawn
        leases[id]?.grant = nil
      }
      if giveBack.closes { end(id, { .end($0) }) }
    } else if giveBack.closes {
      // The lease's first ask may arrive after its end, and must not open the lease again.
      gateways[id.gateway]?.see(id.number)
    }
    send(.returned(giveBack), to: id.gateway)
  }

  private mutating func receive(_ settlement: LeaseSettlement, now: Instant) {
    let id = settlement.lease
    guard knowGateway(id.gateway, now: now) else { return }
    guard gateways[id.gateway]?.settled.insert(settlement.number) == true else {
      if let through = gateways[id.gateway]?.settled.through, settlement.number <= through {
        send(.settled(id.gateway, through: through), to: id.gateway)
      }
      return
    }
    let billed = settlement.billed.orZero
    let lease = leases[id]
    let available = min(settlement.hold.orZero, lease?.outstanding ?? .zero)
    // If the lease has ended, its money is back in the account, and the margin pays the charge.
    let charged = lease?.key == settlement.key ? min(billed, available) : .zero
    let toMargin = billed.subtractingCapped(charged)
    post(
      LeasePosting(
        lease: id, key: settlement.key,
        .settle(settlement, charged: charged, toMargin: toMargin)))
  }

  private mutating func receive(_ renewal: LeaseRenewal, now: Instant) {
    let id = renewal.gateway
    guard knowGateway(id, now: now), let gateway = gateways[id] else { return }
    guard renewal.oldest > gateway.endedThrough else {
      return send(.ended(id, through: gateway.endedThrough), to: id)
    }
    gateways[id]?.validUntil = terms.kept(from: now)
    gateways[id]?.settled.skip(through: renewal.confirmed)
    for number in gateway.leases.sorted() where number < renewal.oldest {
      end(LeaseID(gateway: id, number: number), { .end($0) })
    }
    send(.renewed(renewal, settledThrough: gateways[id]?.settled.through ?? 0), to: id)
  }

  /// Records the number of a settlement that the ledger has, even if the issuer had forgotten its
  /// gateway.
  public mutating func recordSettled(_ settlement: LeaseSettlement, now: Instant) {
    let id = settlement.lease.gateway
    guard knowGateway(id, now: now) else { return }
    _ = gateways[id]?.settled.insertAccepted(settlement.number)
  }

  // MARK: - Steps

  /// Makes sure that the gateway is in the table.
  /// - Returns: `false` if the table is full of gateways with leases.
  private mutating func knowGateway(_ id: PeerID, now: Instant) -> Bool {
    if gateways[id] == nil {
      if gateways.count >= Limits.leasingGateways.value {
        let idle = gateways.filter { $0.value.leases.isEmpty }
        guard let oldest = idle.min(by: { $0.value.lastSeen < $1.value.lastSeen }) else {
          return false
        }
        gateways[oldest.key] = nil
      }
      gateways[id] = Gateway(validUntil: terms.kept(from: now))
    }
    see(id)
    return true
  }

  private mutating func open(_ id: LeaseID, key: AccountID, now: Instant) {
    if gateways[id.gateway]?.leases.isEmpty == true {
      gateways[id.gateway]?.validUntil = terms.kept(from: now)
    }
    addLease(id, key: key)
  }

  /// Records a lease without money.
  mutating func addLease(_ id: LeaseID, key: AccountID) {
    leases[id] = Lease(key: key)
    keys[key, default: Key(isActive: false)].leases.insert(id)
    gateways[id.gateway]?.leases.insert(id.number)
    gateways[id.gateway]?.see(id.number)
  }

  private mutating func takeBack(_ total: MicroCredits, of id: LeaseID) {
    guard let lease = leases[id], total > lease.returned else { return }
    // A gateway cannot return more than it has.
    let amount = min(total.subtractingCapped(lease.returned), lease.outstanding)
    guard amount > .zero else { return }
    post(
      LeasePosting(
        lease: id, key: lease.key,
        .release(amount, total: lease.returned.addingCapped(amount))))
  }

  private mutating func endLeases(of gateway: PeerID) {
    guard let state = gateways[gateway] else { return }
    for number in state.leases.sorted() {
      end(LeaseID(gateway: gateway, number: number), { .expire($0) })
    }
    gateways[gateway]?.endThrough(state.highest)
  }

  private mutating func end(
    _ id: LeaseID, _ change: (MicroCredits) -> LeasePosting.Change
  ) {
    guard let lease = leases[id] else { return }
    dropWaiter(id)
    if lease.outstanding > .zero {
      post(LeasePosting(lease: id, key: lease.key, change(lease.outstanding)))
    } else {
      remove(id)
    }
  }

  mutating func send(_ answer: LeaseAnswer, to gateway: PeerID) {
    directives.append(.send(answer, to: gateway))
  }

  mutating func post(_ posting: LeasePosting) {
    directives.append(.post(posting))
    apply(posting, spends: true)
  }

  private mutating func finish(now: Instant) -> [Directive] {
    serveQueues(now: now)
    defer { directives = [] }
    return directives
  }
}
