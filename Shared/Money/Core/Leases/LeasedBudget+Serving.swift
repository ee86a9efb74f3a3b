public import ClusterModel
internal import Limits

extension LeasedBudget {
  // MARK: - Answers of the registry

  public mutating func receive(_ answer: LeaseAnswer, now: Instant) -> [Directive] {
    switch answer {
    case .granted(let grant): receive(grant, now: now)
    case .refused(let lease, let number, let refusal):
      refuse(lease, ask: number, refusal, now: now)
    case .waiting(let lease, let number, let refusal):
      guard let key = key(of: lease), lines[key]?.ask?.number == number else { break }
      lines[key]?.notice = refusal
    case .recalled(let lease):
      guard let key = key(of: lease) else { break }
      lines[key]?.frugalUntil = now.advanced(by: terms.frugality)
      restless.insert(key)
      serve(key, now: now)
    case .returned(let giveBack): confirm(giveBack, now: now)
    case .renewed(let renewal, let settledThrough):
      receive(renewal, settledThrough: settledThrough, now: now)
    case .settled(let peer, let through):
      guard peer == gateway else { break }
      settlements.confirm(through: through)
      // After a loss, each confirmation repeats the next settlements. If only renewals repeated
      // them, new settlements would arrive faster. Only some are repeated at once, because the
      // registry accepts a limited number of settlements after a gap.
      repeatSettlements(sentBefore: now.advanced(by: .zero - terms.retry), now: now)
    case .ended(let peer, let through):
      if peer == gateway { restartLeases(through: through, now: now) }
    case .unknown(let lease):
      guard let key = key(of: lease) else { break }
      restart(key, now: now)
    }
    return takeDirectives()
  }

  /// The key of a lease that is in use.
  private func key(of lease: LeaseID) -> AccountID? { leaseKeys[lease] }

  private mutating func receive(_ grant: LeaseGrant, now: Instant) {
    guard let key = key(of: grant.lease), var line = lines.removeValue(forKey: key) else { return }
    line.granted = max(line.granted, grant.total)
    guard let ask = line.ask, ask.number == grant.ask else {
      lines[key] = line
      return serve(key, now: now)
    }
    if ask.isAhead, grant.total.subtractingCapped(ask.granted) < ask.want {
      // The registry cannot spare the reserve. Without this, the reserve would double with each
      // ask, although the use of the key does not grow.
      line.reserve = max(line.leastReserve, line.room)
    }
    line.ask = nil
    line.notice = nil
    let first = line.queue.first
    lines[key] = line
    if grant.isRest, let first, canSpend(now), line.room < first.cost.worst,
      line.room >= first.cost.minimum
    {
      admitFirst(key, hold: line.room, ceiling: grant.ceiling)
    }
    serve(key, now: now)
  }

  /// Refuses the first request, and all other requests for which the registry would give the same
  /// answer. If each of many requests sent its own ask, the last one would wait for as many round
  /// trips.
  private mutating func refuse(
    _ lease: LeaseID, ask number: UInt64, _ refusal: LeaseRefusal, now: Instant
  ) {
    guard let key = key(of: lease), let line = lines[key], let ask = line.ask, ask.number == number
    else { return }
    lines[key]?.ask = nil
    lines[key]?.notice = nil
    let refused = lines[key]?.queue.removeAll { request in
      switch refusal {
      case .ceiling:
        line.asked?.shareRefusal(with: request) == true
          && (!ask.isLastCall || request.patienceEnds <= now)
      case .key: true
      case .invalid, .tooManyLeases: request.number == line.queue.first?.number
      }
    }
    for request in refused ?? [] {
      waitingKeys[request.number] = nil
      directives.append(
        .refuse(request.number, refusal.reason(for: request, isLastCall: ask.isLastCall)))
    }
    serve(key, now: now)
  }

  private mutating func confirm(_ giveBack: LeaseReturn, now: Instant) {
    guard let key = key(of: giveBack.lease), let line = lines[key], line.unconfirmed == giveBack
    else { return }
    lines[key]?.unconfirmed = nil
    guard giveBack.closes else { return }
    if line.queue.isEmpty {
      leaseKeys[line.lease] = nil
      lines[key] = nil
      restless.remove(key)
    } else {
      restart(key, now: now)
    }
  }

  private mutating func receive(
    _ renewal: LeaseRenewal, settledThrough: UInt64, now: Instant
  ) {
    guard renewal.gateway == gateway else { return }
    settlements.confirm(through: settledThrough)
    guard let sent = renewals.confirm(renewal.number, validity: terms.validity) else { return }
    // A settlement that was sent before the renewal and is still unconfirmed may be lost, so it is
    // repeated.
    repeatSettlements(sentBefore: sent, now: now)
    for key in restless.sorted() { serve(key, now: now) }
  }

  private mutating func repeatSettlements(sentBefore time: Instant, now: Instant) {
    for settlement in settlements.takeSent(
      before: time, limit: Limits.repeatedSettlements.value, now: now)
    {
      directives.append(.send(.settle(settlement)))
    }
  }

  private mutating func restartLeases(through: UInt64, now: Instant) {
    let ended = lines.filter { $0.value.lease.number <= through }.keys.sorted()
    guard !ended.isEmpty else { return }
    renewals.end()
    for key in ended { restart(key, now: now) }
    renewIfDue(now: now)
  }

  private mutating func restart(_ key: AccountID, now: Instant) {
    guard var line = lines.removeValue(forKey: key) else { return }
    leaseKeys[line.lease] = nil
    guard !line.queue.isEmpty else {
      restless.remove(key)
      return
    }
    line.restart(as: newLease(), now: now)
    leaseKeys[line.lease] = key
    lines[key] = line
    serve(key, now: now)
  }

  // MARK: - The queue of a key

  /// Admits waiting requests whose cost fits into the lease, and sends an ask for the next one.
  /// After a recall, it returns unused money.
  mutating func serve(_ key: AccountID, now: Instant) {
    while let line = lines[key], !line.isClosing, let first = line.queue.first,
      canSpend(now) || first.cost.worst == .zero, line.room >= first.cost.worst
    {
      admitFirst(key, hold: first.cost.worst)
    }
    guard let line = lines[key], !line.isClosing else { return }
    // An ask for a reserve stays. If its grant was lost, only a repetition of the ask shows how much
    // money a recall must return.
    if line.queue.isEmpty, line.ask?.isAhead == false { withdrawAsk(key, now: now) }
    if line.isFrugal(now), line.room > .zero, canSpendOrIsEmpty(line, now) {
      lines[key]?.returned = line.returned.addingCapped(line.room)
      // If requests wait, the next ask carries the return.
      if line.queue.isEmpty { sendReturn(key, now: now) }
    }
    ask(key, now: now)
  }

  /// Whether unused money may be returned. The money is kept if it pays for the first request and
  /// this request waits only for a renewal.
  private func canSpendOrIsEmpty(_ line: KeyLease, _ now: Instant) -> Bool {
    guard let first = line.queue.first else { return true }
    return canSpend(now) || line.room < first.cost.worst
  }

  /// - Parameter ceiling: the ceiling for which the hold is below the request's worst case.
  private mutating func admitFirst(
    _ key: AccountID, hold: MicroCredits, ceiling: Ceiling? = nil
  ) {
    guard let line = lines[key], let first = line.queue.first else { return }
    lines[key]?.queue.dropFirst()
    lines[key]?.held = line.held.addingCapped(hold)
    waitingKeys[first.number] = nil
    running[first.number] = Hold(
      key: key, lease: line.lease, amount: hold, ceiling: ceiling)
    directives.append(.admit(first.number, hold: hold))
  }

  /// Sends an ask for the first waiting request, unless the same ask was already sent.
  private mutating func ask(_ key: AccountID, now: Instant) {
    guard var line = lines[key], let first = line.queue.first else { return }
    let worst = first.cost.worst.subtractingCapped(line.room)
    // If the lease has enough money, the request waits only for a renewal.
    guard worst > .zero else { return }
    // Without a renewal, the gateway cannot use a grant, so one ask per retry is enough.
    let isRecent = line.askedAt.map { now < $0.advanced(by: terms.retry) } ?? false
    guard canSpend(now) || !isRecent else { return }
    var ask = LeaseAsk(
      lease: line.lease, key: key, number: line.lastAsk, granted: line.granted,
      returned: line.returned, held: line.held,
      minimum: first.cost.minimum.subtractingCapped(line.room).orZero, worst: worst, want: worst,
      isLastCall: first.patienceEnds <= now)
    if let last = line.ask, last.asksTheSame(as: ask) { return }
    line.leastReserve = first.cost.worst.times(4)
    line.reserve = line.nextReserve(now: now, terms)
    let reserve = line.isFrugal(now) ? .zero : line.reserve
    ask.want = max(worst, line.queue.worst.addingCapped(reserve).subtractingCapped(line.room))
    send(ask, for: first.cost.minimum, of: line, now: now)
    restless.insert(key)
  }

  /// Asks for another reserve although no request waits. The registry grants such an ask at once,
  /// and grants nothing while other asks wait for the same money.
  mutating func askAhead(_ key: AccountID, now: Instant) {
    guard var line = lines[key], line.isLow, line.queue.isEmpty, !line.isClosing,
      !line.isFrugal(now), canSpend(now)
    else { return }
    if let time = line.askedAt, now < time.advanced(by: terms.retry) { return }
    if let ask = line.ask { return repeatAsk(ask, now: now) }
    line.reserve = line.nextReserve(now: now, terms)
    let ask = LeaseAsk(
      lease: line.lease, key: key, number: line.lastAsk, granted: line.granted,
      returned: line.returned, held: line.held, minimum: .zero, worst: .zero,
      want: line.reserve.subtractingCapped(line.room).orZero)
    send(ask, for: .zero, of: line, now: now)
  }

  /// Sends an ask under the next number of its lease.
  ///
  /// - Parameter minimum: the minimum cost of the request for which the ask is sent.
  private mutating func send(
    _ ask: LeaseAsk, for minimum: MicroCredits, of line: KeyLease, now: Instant
  ) {
    var (ask, line) = (ask, line)
    line.lastAsk += 1
    ask.number = line.lastAsk
    line.ask = ask
    line.asked = AskedRequests(lastArrival: line.queue.lastArrival, minimum: minimum)
    line.askedAt = now
    line.notice = nil
    lines[ask.key] = line
    directives.append(.send(.ask(ask)))
  }

  private mutating func repeatAsk(_ ask: LeaseAsk, now: Instant) {
    lines[ask.key]?.askedAt = now
    directives.append(.send(.ask(ask)))
  }

  private mutating func withdrawAsk(_ key: AccountID, now: Instant) {
    guard lines[key]?.ask != nil else { return }
    lines[key]?.ask = nil
    sendReturn(key, now: now)
  }

  private mutating func sendReturn(_ key: AccountID, closes: Bool = false, now: Instant) {
    guard let line = lines[key] else { return }
    let withdrawn = line.ask.map { $0.number - 1 } ?? line.lastAsk
    let giveBack = LeaseReturn(
      lease: line.lease, returned: line.returned, withdrawn: withdrawn, closes: closes)
    lines[key]?.unconfirmed = giveBack
    lines[key]?.returnedAt = now
    restless.insert(key)
    directives.append(.send(.giveBack(giveBack)))
  }

  // MARK: - Time

  /// Decides about requests whose patience has ended.
  ///
  /// The ask of the first request becomes a last call, for the money that is left now. If it gets
  /// no answer within one retry, the request is admitted with the lease's money or refused. Other
  /// requests are refused after the same time.
  mutating func endPatience(_ key: AccountID, now: Instant) {
    guard let line = lines[key] else { return }
    let ended = line.queue.all.filter { $0.patienceEnds.advanced(by: terms.retry) <= now }
    for request in ended {
      guard let line = lines[key] else { return }
      let isFirst = line.queue.first?.number == request.number
      if isFirst, canSpend(now), !line.isClosing, line.room >= request.cost.minimum {
        var ceiling: Ceiling?
        if case .ceiling(let known) = line.notice, line.room < request.cost.worst {
          ceiling = known
        }
        admitFirst(key, hold: min(line.room, request.cost.worst), ceiling: ceiling)
      } else {
        // Usually the request is the first one. Its removal moves no other request, but a removal
        // from the middle moves all later ones.
        if isFirst {
          lines[key]?.queue.dropFirst()
        } else {
          lines[key]?.queue.remove(request.number)
        }
        waitingKeys[request.number] = nil
        directives.append(.refuse(request.number, line.reasonToGiveUp(request, isFirst: isFirst)))
      }
      if isFirst { withdrawAsk(key, now: now) }
    }
  }

  /// Sends messages again that got no answer.
  mutating func repeatMessages(_ key: AccountID, now: Instant) {
    guard let line = lines[key] else { return }
    if let ask = line.ask, let time = line.askedAt, time.advanced(by: terms.retry) <= now {
      repeatAsk(ask, now: now)
    }
    if let giveBack = line.unconfirmed, let time = line.returnedAt,
      time.advanced(by: terms.retry) <= now
    {
      lines[key]?.returnedAt = now
      directives.append(.send(.giveBack(giveBack)))
    }
  }

  /// Renews all leases, and closes unused leases.
  mutating func renewIfDue(now: Instant) {
    guard !lines.isEmpty || settlements.count > 0,
      renewals.isDue(now, pause: renewals.isValid(now) ? terms.renewal : terms.retry)
    else { return }
    let idle = lines.filter { isIdle($0.value, after: terms.idle, now: now) }
    for key in idle.keys.sorted() { closeIfIdle(key, after: terms.idle, now: now) }
    let inUse = lines.values.lazy.map(\.lease.number).min()
    let oldest = inUse ?? lastLease + 1
    directives.append(
      .send(
        .renew(
          LeaseRenewal(
            gateway: gateway, number: renewals.send(now: now), oldest: oldest,
            confirmed: settlements.confirmed))))
  }

  /// Whether a lease has been unused for this time and all its settlements are confirmed.
  private func isIdle(_ line: KeyLease, after pause: Duration, now: Instant) -> Bool {
    line.queue.isEmpty && line.held == .zero && !line.isClosing
      && line.lastSettlement <= settlements.confirmed && line.lastUse.advanced(by: pause) <= now
  }

  mutating func closeIfIdle(_ key: AccountID, after pause: Duration, now: Instant) {
    guard let line = lines[key], isIdle(line, after: pause, now: now) else { return }
    lines[key]?.returned = line.returned.addingCapped(line.room)
    // An ask for a reserve may be unanswered. A grant for a lease that closes would be lost.
    lines[key]?.ask = nil
    sendReturn(key, closes: true, now: now)
  }
}

extension LeaseAsk {
  /// Whether two asks of a lease differ at most in their numbers and in `want`.
  fileprivate func asksTheSame(as other: LeaseAsk) -> Bool {
    granted == other.granted && returned == other.returned && held == other.held
      && minimum == other.minimum
      && worst == other.worst && isLastCall == other.isLastCall
  }
}

extension LeasedBudget.KeyLease {
  /// Reserve of the next ask, at least `leastReserve`, at most 1,024 times this. It doubles if the
  /// last ask was sent within a renewal's pause, and is halved otherwise. So the number of asks
  /// grows only with the logarithm of the use, up to the maximum reserve.
  fileprivate func nextReserve(now: Instant, _ terms: LeaseTerms) -> MicroCredits {
    let isSoon = askedAt.map { now < $0.advanced(by: terms.renewal) } ?? false
    let next = isSoon ? reserve.times(2) : MicroCredits(reserve.count / 2)
    return min(max(next, leastReserve), leastReserve.times(1_024))
  }

  /// Reason for the refusal of a request whose patience has ended.
  fileprivate func reasonToGiveUp(
    _ request: LeasedBudget.WaitingRequest, isFirst: Bool
  ) -> BudgetRefusal {
    switch notice {
    case .ceiling(let ceiling):
      ceiling.remaining >= request.cost.minimum ? .outOfPatience(ceiling) : .exhausted(ceiling)
    case .key: .keyRevoked
    case nil, .invalid, .tooManyLeases: isFirst ? .registryAway : .outOfPatience(nil)
    }
  }
}

extension LeaseRefusal {
  /// Reason for the refusal of a waiting request. Unlike other asks, a last call is also refused if
  /// the ceiling would pay after the end of running requests.
  fileprivate func reason(
    for request: LeasedBudget.WaitingRequest, isLastCall: Bool
  ) -> BudgetRefusal {
    switch self {
    case .ceiling(let ceiling):
      isLastCall && ceiling.remaining >= request.cost.minimum
        ? .outOfPatience(ceiling) : .exhausted(ceiling)
    case .key: .keyRevoked
    case .invalid, .tooManyLeases: .registryAway
    }
  }
}

extension MicroCredits {
  fileprivate func times(_ factor: Int64) -> MicroCredits {
    MicroCredits(count.multipliedCapped(by: factor))
  }
}
