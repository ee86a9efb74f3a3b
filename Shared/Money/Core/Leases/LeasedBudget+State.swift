internal import ClusterModel

extension LeasedBudget {
  /// The money that a running request may still spend.
  struct Hold: Sendable {
    let key: AccountID
    let lease: LeaseID
    let amount: MicroCredits
  }

  struct WaitingRequest: Sendable {
    let number: UInt64
    let cost: RequestCost
    var patienceEnds: Instant
    /// Place in the order of arrival; grows with every request of the key.
    var arrival: UInt64 = 0
  }

  /// The requests that waited when an ask was sent. If the registry refuses the ask, the refusal
  /// applies to some of them.
  struct AskedRequests: Sendable {
    /// Number of the last request that waited when the ask was sent.
    let lastArrival: UInt64
    /// Minimum cost of the first request.
    let minimum: MicroCredits

    /// Whether the registry, which refused the first request, would refuse this one, too.
    func shareRefusal(with request: WaitingRequest) -> Bool {
      request.arrival <= lastArrival && request.cost.minimum >= minimum
    }
  }

  /// One key's lease and the requests that wait for it.
  struct KeyLease: Sendable {
    var lease: LeaseID
    var granted: MicroCredits = .zero
    var returned: MicroCredits = .zero
    var settled: MicroCredits = .zero
    /// Sum of the holds of running requests from this lease.
    var held: MicroCredits = .zero
    var queue = WaitingQueue()
    /// The ask without an answer.
    var ask: LeaseAsk?
    /// The requests of the last ask.
    var asked: AskedRequests?
    var askedAt: Instant?
    var lastAsk: UInt64 = 0
    /// Money to ask for beyond the waiting requests.
    var reserve: MicroCredits = .zero
    /// Why the registry lets the first request wait. `nil` means that it has not answered.
    var notice: LeaseRefusal?
    /// Returns unused money at once until then.
    var frugalUntil: Instant?
    /// The return that the registry has not confirmed.
    var unconfirmed: LeaseReturn?
    var returnedAt: Instant?
    /// Number of the last settlement from this lease.
    var lastSettlement: UInt64 = 0
    var lastUse: Instant

    init(lease: LeaseID, now: Instant) {
      self.lease = lease
      lastUse = now
    }

    /// Unused money.
    var room: MicroCredits {
      granted.subtractingCapped(returned).subtractingCapped(settled).subtractingCapped(held)
    }

    var isClosing: Bool { unconfirmed?.closes == true }

    /// Holds an amount for a new request.
    /// - Returns: the lease. `nil` means that the request must wait.
    mutating func admit(_ amount: MicroCredits, now: Instant) -> LeaseID? {
      guard queue.isEmpty, room >= amount else { return nil }
      lastUse = now
      held = held.addingCapped(amount)
      return lease
    }

    /// Counts a settlement, and releases its hold.
    /// - Returns: `true` if nothing else is to be done, because no request waits and no money has
    ///   to return to the registry.
    mutating func settle(_ hold: Hold, _ settlement: LeaseSettlement, now: Instant) -> Bool {
      if lease == hold.lease {
        held = held.subtractingCapped(hold.amount)
        settled = settled.addingCapped(min(settlement.billed, hold.amount))
        lastSettlement = settlement.number
      }
      lastUse = now
      return queue.isEmpty && ask == nil && !isFrugal(now)
    }

    func isFrugal(_ now: Instant) -> Bool { frugalUntil.map { now < $0 } ?? false }

    func isRestless(now: Instant) -> Bool {
      !queue.isEmpty || unconfirmed != nil || isFrugal(now)
    }

    /// Begins another lease. Running requests keep their holds from the old one.
    mutating func restart(as new: LeaseID, now: Instant) {
      var next = KeyLease(lease: new, now: lastUse)
      next.queue = queue
      next.reserve = reserve
      next.frugalUntil = frugalUntil
      self = next
    }
  }

  /// Requests in order of arrival, with the sum of their worst cases.
  struct WaitingQueue: Sendable {
    private var requests: [WaitingRequest] = []
    private var start = 0
    private(set) var worst: MicroCredits = .zero
    /// Number of requests that ever arrived.
    private(set) var lastArrival: UInt64 = 0

    var isEmpty: Bool { start == requests.count }
    var count: Int { requests.count - start }
    var first: WaitingRequest? { isEmpty ? nil : requests[start] }
    var all: ArraySlice<WaitingRequest> { requests[start...] }

    mutating func append(_ request: WaitingRequest) {
      lastArrival += 1
      requests.append(request)
      requests[requests.count - 1].arrival = lastArrival
      worst = worst.addingCapped(request.cost.worst)
    }

    mutating func dropFirst() {
      guard let first else { return }
      worst = worst.subtractingCapped(first.cost.worst)
      start += 1
      if start > 32, 2 * start > requests.count {
        requests.removeSubrange(..<start)
        start = 0
      }
    }

    mutating func remove(_ number: UInt64) {
      guard let index = requests[start...].firstIndex(where: { $0.number == number }) else {
        return
      }
      worst = worst.subtractingCapped(requests[index].cost.worst)
      requests.remove(at: index)
    }

    /// Removes the requests for which `isRemoved` is true.
    /// - Returns: them, in order of arrival.
    mutating func removeAll(where isRemoved: (WaitingRequest) -> Bool) -> [WaitingRequest] {
      let removed = all.filter(isRemoved)
      guard !removed.isEmpty else { return [] }
      requests = all.filter { !isRemoved($0) }
      start = 0
      for request in removed { worst = worst.subtractingCapped(request.cost.worst) }
      return removed
    }

    mutating func extendPatience(by duration: Duration) {
      for index in start..<requests.count {
        requests[index].patienceEnds = requests[index].patienceEnds.advanced(by: duration)
      }
    }
  }
}

/// Until when the leases of a gateway are valid.
struct RenewalClock: Sendable {
  private(set) var lastNumber: UInt64 = 0
  private(set) var lastSent: Instant?
  private var validUntil: Instant?
  /// The last 32 renewals without an answer, with the times at which they were sent.
  private var sent: [(number: UInt64, time: Instant)] = []

  func isValid(_ now: Instant) -> Bool { validUntil.map { now < $0 } ?? false }

  func isDue(_ now: Instant, pause: Duration) -> Bool {
    lastSent.map { $0.advanced(by: pause) <= now } ?? true
  }

  mutating func send(now: Instant) -> UInt64 {
    lastNumber += 1
    lastSent = now
    if sent.count >= 32 { sent.removeSubrange(..<16) }
    sent.append((lastNumber, now))
    return lastNumber
  }

  /// Records a confirmation. The validity counts from when the renewal was sent, so that it ends
  /// here before it ends at the registry.
  /// - Returns: when the renewal was sent. `nil` means that it was too long ago.
  mutating func confirm(_ number: UInt64, validity: Duration) -> Instant? {
    guard let time = sent.first(where: { $0.number == number })?.time else { return nil }
    sent.removeAll { $0.number <= number }
    let end = time.advanced(by: validity)
    validUntil = validUntil.map { max($0, end) } ?? end
    return time
  }

  /// The registry has ended all leases.
  mutating func end() {
    validUntil = nil
    lastSent = nil
    sent = []
  }
}

/// Settlements until the registry confirms them.
struct SettlementOutbox: Sendable {
  private var entries: [(settlement: LeaseSettlement, sent: Instant)] = []
  private var start = 0
  private var lastNumber: UInt64 = 0
  private(set) var confirmed: UInt64 = 0

  var count: Int { entries.count - start }

  mutating func append(
    lease: LeaseID, key: AccountID, request: UInt64, hold: MicroCredits, billed: MicroCredits,
    now: Instant
  ) -> LeaseSettlement {
    lastNumber += 1
    let settlement = LeaseSettlement(
      lease: lease, key: key, number: lastNumber, request: request, hold: hold, billed: billed)
    entries.append((settlement, now))
    return settlement
  }

  mutating func confirm(through number: UInt64) {
    confirmed = max(confirmed, min(number, lastNumber))
    while start < entries.count, entries[start].settlement.number <= confirmed { start += 1 }
    if start > 32, 2 * start > entries.count {
      entries.removeSubrange(..<start)
      start = 0
    }
  }

  /// The oldest settlements that were sent before a time, to be sent again. Empty if the oldest one
  /// was sent after that time.
  mutating func takeSent(before time: Instant, limit: Int, now: Instant) -> [LeaseSettlement] {
    guard start < entries.count, entries[start].sent <= time else { return [] }
    var found: [LeaseSettlement] = []
    for index in entries[start...].indices.prefix(limit) where entries[index].sent <= time {
      entries[index].sent = now
      found.append(entries[index].settlement)
    }
    return found
  }
}
