public import ClusterModel
internal import Limits

/// Admits requests in one gateway from leases of their keys' money.
///
/// A request holds its highest possible cost, or less if the registry has no more money. If its
/// key's lease has enough unused money, the request is admitted at once, without a message.
/// Otherwise it waits in order of arrival while the gateway asks the registry for more. The gateway
/// also asks before a lease that is in use becomes empty, so that a key with enough money seldom
/// waits.
///
/// The shell calls `tick(now:)` about four times per second, and performs directives in order.
public struct LeasedBudget: Sendable {
  public enum Directive: Hashable, Sendable {
    case send(LeaseRequest)
    /// A waiting request may run and spend up to `hold`.
    case admit(UInt64, hold: MicroCredits)
    case refuse(UInt64, BudgetRefusal)
  }

  /// The answer to a new request.
  public enum Admission: Hashable, Sendable {
    case admitted(hold: MicroCredits)
    /// A later directive admits or refuses the request.
    case waiting
    case refused(BudgetRefusal)
  }

  let gateway: PeerID
  let terms: LeaseTerms
  var lines: [AccountID: KeyLease] = [:]
  var leaseKeys: [LeaseID: AccountID] = [:]
  var running: [UInt64: Hold] = [:]
  /// The key of each waiting request.
  var waitingKeys: [UInt64: AccountID] = [:]
  /// Keys with waiting requests, unconfirmed returns, or a recall.
  var restless: Set<AccountID> = []
  /// Keys whose last request left little money in the lease.
  var low: Set<AccountID> = []
  var lastLease: UInt64 = 0
  var settlements = SettlementOutbox()
  var renewals = RenewalClock()
  private var lastTick: Instant?
  var directives: [Directive] = []

  /// - Parameter gateway: this process. A restarted gateway is another peer with its own leases.
  public init(gateway: PeerID, terms: LeaseTerms = LeaseTerms()) {
    self.gateway = gateway
    self.terms = terms
  }

  public var runningCount: Int { running.count }
  public var waitingCount: Int { waitingKeys.count }
  /// Keys with a lease.
  public var leaseCount: Int { lines.count }
  /// Whether any key has waiting requests, unconfirmed returns, or a recall. If so, other gateways
  /// may wait for its money.
  public var isRestless: Bool { !restless.isEmpty }
  /// Number of settlements that the registry has not confirmed.
  var unconfirmedSettlements: Int { settlements.count }

  /// The lease from which a running request holds money. `nil` means that the request does not run.
  public func lease(of request: UInt64) -> LeaseID? { running[request]?.lease }

  /// The ceiling for which a running request holds less than its worst case. `nil` means that there
  /// is none, or that it is not known.
  public func ceiling(of request: UInt64) -> Ceiling? { running[request]?.ceiling }

  // MARK: - Requests

  /// Decides whether a request may run.
  ///
  /// - Parameter request: a number that this process uses for one request only.
  public mutating func admit(
    _ request: UInt64, of key: AccountID, cost: RequestCost, patience: Duration, now: Instant
  ) -> (Admission, [Directive]) {
    guard running[request] == nil, waitingKeys[request] == nil else {
      return (.refused(.repeated), [])
    }
    if lines[key] == nil {
      guard lines.count < Limits.leasedKeys.value else { return (.refused(.queueIsFull), []) }
      let lease = newLease()
      leaseKeys[lease] = key
      lines[key] = KeyLease(lease: lease, now: now)
    }
    if admitAtOnce(request, of: key, cost: cost, now: now) != nil {
      return (.admitted(hold: cost.worst), [])
    }
    lines[key]?.lastUse = now
    guard lines[key]?.queue.count ?? 0 < Limits.waitingForMoney.value else {
      return (.refused(.queueIsFull), [])
    }
    lines[key]?.queue.append(
      WaitingRequest(number: request, cost: cost, patienceEnds: now.advanced(by: patience)))
    waitingKeys[request] = key
    restless.insert(key)
    serve(key, now: now)
    renewIfDue(now: now)
    return (.waiting, takeDirectives())
  }

  /// Admits a request at once, if its key's lease has enough unused money and no request waits.
  ///
  /// - Parameter request: a number that this process uses for one request only.
  /// - Returns: the lease. `nil` means that the request was not admitted, and the caller must call
  ///   `admit`.
  public mutating func admitAtOnce(
    _ request: UInt64, of key: AccountID, cost: RequestCost, now: Instant
  ) -> LeaseID? {
    guard let place = lines.index(forKey: key), canSpend(now) || cost.worst == .zero,
      let lease = lines.values[place].admit(cost.worst, now: now)
    else { return nil }
    // All holds of a key share its text. The caller's text ends with the admission.
    let key = lines.keys[place]
    running[request] = Hold(key: key, lease: lease, amount: cost.worst)
    if lines.values[place].isLow { low.insert(key) }
    return lease
  }

  /// Bills a request that has ended. The unused part of its hold stays in the lease.
  ///
  /// The registry charges an amount above the hold to `margin` and not to the account.
  public mutating func settle(_ request: UInt64, billed: MicroCredits, now: Instant)
    -> [Directive]
  {
    guard let (settlement, others) = bill(request, billed: billed, now: now) else { return [] }
    return [.send(.settle(settlement))] + others
  }

  /// As `settle`, but returns the settlement and the other directives separately. There are usually
  /// no other directives.
  ///
  /// - Returns: `nil` if the request does not run.
  public mutating func bill(
    _ request: UInt64, billed: MicroCredits, now: Instant
  ) -> (settlement: LeaseSettlement, others: [Directive])? {
    guard let hold = running.removeValue(forKey: request) else { return nil }
    let settlement = settlements.append(
      lease: hold.lease, key: hold.key, request: request, hold: hold.amount,
      billed: billed.orZero, now: now)
    guard let place = lines.index(forKey: hold.key) else { return (settlement, []) }
    let isQuiet = lines.values[place].settle(hold, settlement, now: now)
    if !isQuiet { serve(hold.key, now: now) }
    return (settlement, takeDirectives())
  }

  /// Removes a waiting request whose client has left.
  public mutating func leave(_ request: UInt64, now: Instant) -> [Directive] {
    guard let key = waitingKeys.removeValue(forKey: request) else { return [] }
    lines[key]?.queue.remove(request)
    serve(key, now: now)
    return takeDirectives()
  }

  // MARK: - Time

  public mutating func tick(now: Instant) -> [Directive] {
    // Time in which this process was suspended is not waiting time, because no answer could arrive.
    let stall = (lastTick?.duration(to: now) ?? .zero) - terms.retry
    lastTick = now
    for key in restless where stall > .zero { lines[key]?.queue.extendPatience(by: stall) }
    for key in restless.sorted() {
      endPatience(key, now: now)
      serve(key, now: now)
      repeatMessages(key, now: now)
      if lines[key]?.isRestless(now: now) != true { restless.remove(key) }
    }
    for key in low.sorted() { askAhead(key, now: now) }
    low = []
    renewIfDue(now: now)
    return takeDirectives()
  }

  /// Gives all unused money back to the registry, and later the unused money of requests that end.
  /// A gateway calls it when it stops.
  public mutating func drain(now: Instant) -> [Directive] {
    for key in lines.keys.sorted() {
      lines[key]?.frugalUntil = now.advanced(by: .seconds(86_400))
      restless.insert(key)
      serve(key, now: now)
      closeIfIdle(key, after: .zero, now: now)
    }
    return takeDirectives()
  }

  mutating func newLease() -> LeaseID {
    lastLease += 1
    return LeaseID(gateway: gateway, number: lastLease)
  }

  /// Whether the gateway may spend money of its leases. The registry must have confirmed the leases
  /// recently, and the number of unconfirmed settlements must be below its limit.
  func canSpend(_ now: Instant) -> Bool {
    renewals.isValid(now) && settlements.count < Limits.unconfirmedSettlements.value
  }

  mutating func takeDirectives() -> [Directive] {
    guard !directives.isEmpty else { return [] }
    defer { directives = [] }
    return directives
  }
}

/// Bounds of a request's cost.
public struct RequestCost: Hashable, Sendable {
  /// Cost of the prompt and the shortest useful answer.
  public let minimum: MicroCredits
  /// Cost of the prompt and the longest answer.
  public let worst: MicroCredits

  /// Negative amounts count as zero, and `worst` is at least `minimum`.
  public init(minimum: MicroCredits, worst: MicroCredits) {
    self.minimum = minimum.orZero
    self.worst = max(minimum, worst).orZero
  }
}

/// Reason why a request is not admitted.
public enum BudgetRefusal: Hashable, Sendable {
  /// The ceiling cannot pay for the request, even if all requests in flight cost nothing.
  case exhausted(Ceiling)
  /// The request's patience ended while holds of other requests used up the ceiling. A later try
  /// may succeed. `nil` means that the ceiling is not known.
  case outOfPatience(Ceiling?)
  /// The registry did not answer or opened no lease, and the key's lease has too little left or has
  /// ended.
  case registryAway
  /// Too many requests of the key wait, or too many keys have a lease.
  case queueIsFull
  /// The registry does not know the key, or the key was revoked.
  case keyRevoked
  /// Another request uses the same number.
  case repeated
}
