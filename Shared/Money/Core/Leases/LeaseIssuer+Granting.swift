internal import ClusterModel
internal import Limits

extension LeaseIssuer {
  private enum Verdict {
    /// `lacking` is the ceiling for which the amount is below the request's worst case. `nil` means
    /// that the amount pays the worst case.
    case grant(MicroCredits, lacking: CeilingID?)
    case wait(CeilingID)
    case refuse(LeaseRefusal)
  }

  /// Answers a waiting ask, or moves the ask to the queue of the ceiling that lacks money.
  mutating func judge(_ id: LeaseID, now: Instant) {
    guard let waiter = waiters[id] else { return }
    switch verdict(for: waiter) {
    case .grant(let amount, let lacking):
      dropWaiter(id)
      guard let lease = leases[id] else { return }
      if amount > .zero {
        post(LeasePosting(lease: id, key: lease.key, .hold(amount, ask: waiter.ask.number)))
      }
      let grant = LeaseGrant(
        lease: id, ask: waiter.ask.number, total: leases[id]?.granted ?? .zero,
        isRest: lacking != nil, ceiling: lacking.map { ceiling($0) })
      leases[id]?.answered = grant.ask
      leases[id]?.grant = grant
      send(.granted(grant), to: id.gateway)
    case .refuse(let refusal):
      dropWaiter(id)
      send(.refused(id, ask: waiter.ask.number, refusal), to: id.gateway)
    case .wait(let ceiling):
      if waiter.ceiling != ceiling {
        leaveQueue(waiter)
        waiters[id]?.ceiling = ceiling
        enqueue(Place(order: waiter.order, lease: id), below: ceiling)
      }
      if waiter.ceiling != ceiling || !waiter.isNoticed {
        waiters[id]?.isNoticed = true
        send(.waiting(id, ask: waiter.ask.number, refusal(ceiling)), to: id.gateway)
      }
      recall(ceiling, now: now)
    }
  }

  /// Decides whether an ask is granted, waits or is refused.
  ///
  /// It is refused if its key is not active, or if a ceiling could not pay its minimum even if all
  /// requests in flight cost nothing. It waits if too little money is left now, or if an older ask
  /// waits. A last call never waits. An ask for a reserve only waits only for a new ceiling.
  private func verdict(for waiter: Waiter) -> Verdict {
    let ask = waiter.ask
    guard let lease = leases[ask.lease], let key = keys[lease.key], key.isActive else {
      return .refuse(.key)
    }
    // Maximum that the request can get if all requests in flight turn out to cost nothing.
    var target = ask.worst
    var lacking: CeilingID?
    for id in key.path {
      let level = levels[id] ?? Level()
      // An admin has just set this ceiling. Its amount follows with the next event.
      if level.ceiling == nil, !ask.isLastCall { return .wait(id) }
      var possible = level.left
      if !ask.isLastCall {
        let others = level.leased.subtractingCapped(lease.outstanding).orZero
        possible = possible.addingCapped(others).addingCapped(ask.held)
      }
      guard possible.orZero >= ask.minimum else { return .refuse(refusal(id)) }
      if possible < target { (target, lacking) = (possible, id) }
    }
    target = target.orZero
    var share = ask.want
    var hasQueue = false
    for id in key.path {
      let level = levels[id] ?? Level()
      if level.left.orZero < target { return .wait(id) }
      if let first = level.queue.first, first.lease != ask.lease, !ask.isLastCall {
        if !ask.isAhead, first.order < waiter.order { return .wait(id) }
        hasQueue = true
      }
      share = min(share, slice(of: level, for: ask.lease.gateway))
    }
    // While other asks wait, a grant contains no reserve.
    let amount = hasQueue || target < ask.worst ? target : max(target, share)
    return .grant(amount, lacking: target < ask.worst ? lacking : nil)
  }

  /// Maximum of a grant that includes a reserve. Only the request's own need may exceed it.
  ///
  /// It is half of the money that is left, divided by the number of gateways that hold money below
  /// the ceiling. The asking gateway counts, too. So a grant with a reserve leaves at least half of
  /// the money for other gateways.
  private func slice(of level: Level, for gateway: PeerID) -> MicroCredits {
    let users = level.holders.count + (level.holders[gateway] == nil ? 1 : 0)
    return MicroCredits(level.left.count / Int64(max(2 * users, 2)))
  }

  private func refusal(_ id: CeilingID) -> LeaseRefusal {
    .ceiling(ceiling(id))
  }

  private func ceiling(_ id: CeilingID) -> Ceiling {
    levels[id]?.ceiling ?? Ceiling(id: id, remaining: .zero)
  }

  // MARK: - Queues

  /// Serves the queues of all ceilings that changed, each up to the first ask that must wait.
  mutating func serveQueues(now: Instant) {
    while let id = changed.min() {
      changed.remove(id)
      while let first = levels[id]?.queue.first {
        judge(first.lease, now: now)
        if levels[id]?.queue.first == first { break }
      }
    }
  }

  mutating func dropWaiter(_ id: LeaseID) {
    guard let waiter = waiters.removeValue(forKey: id) else { return }
    leaveQueue(waiter)
  }

  private mutating func leaveQueue(_ waiter: Waiter) {
    guard let ceiling = waiter.ceiling else { return }
    let place = Place(order: waiter.order, lease: waiter.ask.lease)
    if let index = levels[ceiling]?.queue.firstIndex(of: place) {
      levels[ceiling]?.queue.remove(at: index)
      changed.insert(ceiling)
    }
  }

  private mutating func enqueue(_ place: Place, below ceiling: CeilingID) {
    let queue = levels[ceiling]?.queue ?? []
    let index = queue.lastIndex { $0 < place }.map { $0 + 1 } ?? 0
    levels[ceiling, default: Level()].queue.insert(place, at: index)
    scarce.insert(ceiling)
  }

  // MARK: - Recalls

  /// Recalls money of at most `lease.recalls_at_once` leases below a ceiling, unless the last
  /// recall is recent.
  ///
  /// A recalled lease returns all its unused money, and not only the missing amount. The registry
  /// can then grant the money in order of arrival, and can pay a request that no single lease could
  /// pay.
  mutating func recall(_ ceiling: CeilingID, now: Instant) {
    guard let level = levels[ceiling] else { return }
    if let last = level.recalledAt, now < last.advanced(by: terms.recall) { return }
    // The first ask in the queue already accounts for the unused money of its own lease.
    let first = level.queue.first?.lease
    var holders: [LeaseID] = []
    for (gateway, numbers) in level.holders {
      for number in numbers { holders.append(LeaseID(gateway: gateway, number: number)) }
    }
    holders.removeAll { $0 == first }
    guard !holders.isEmpty else { return }
    holders.sort()
    let count = min(holders.count, Limits.recallsAtOnce.value)
    let start = level.nextRecall % holders.count
    for offset in 0..<count {
      let id = holders[(start + offset) % holders.count]
      send(.recalled(id), to: id.gateway)
    }
    levels[ceiling]?.recalledAt = now
    levels[ceiling]?.nextRecall = (start + count) % holders.count
  }
}
