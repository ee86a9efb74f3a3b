internal import ClusterModel

extension LeasedBudget {
  /// The money that a running request may spend.
  struct Hold: Sendable {
    let key: AccountID
    let lease: LeaseID
    let amount: MicroCredits
    /// The ceiling for which the amount is below the request's worst case. `nil` means that it pays
    /// the worst case, or that the ceiling is not known.
    var ceiling: Ceiling?
  }

  struct WaitingRequest: Sendable {
    let number: UInt64
    let cost: RequestCost
    var patienceEnds: Instant
    /// Place in the order of arrival. It grows with every request of the key.
    var arrival: UInt64 = 0
  }

  /// The requests that waited when an ask was sent. If the registry refuses the ask, the refusal
  /// applies to some of them.
  struct AskedRequests: Sendable {
    /// Place of the last request that waited when the ask was sent.
    let lastArrival: UInt64
    /// Minimum cost of the first request, for which the ask was sent.
    let minimum: MicroCredits

    /// Whether the registry would refuse this request, too, after it refused the first request.
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
    /// The ask that is neither granted nor refused. `nil` means that there is none.
    var ask: LeaseAsk?
    /// The requests that waited when the last ask was sent.
    var asked: AskedRequests?
    var askedAt: Instant?
    var lastAsk: UInt64 = 0
    /// Money to ask for in addition to the needs of the waiting requests.
    var reserve: MicroCredits = .zero
    /// Smallest reserve: the worst case of four requests like the last one that had to wait.
    var leastReserve: MicroCredits = .zero
    /// Why the registry lets the first request wait. `nil` means that the registry has not
    /// answered.
    var notice: LeaseRefusal?
    /// Until this time, the gateway returns unused money at once. `nil` means that it keeps the
    /// money.
    var frugalUntil: Instant?
    /// The return that the registry has not confirmed. `nil` means that there is none.
    var unconfirmed: LeaseReturn?
    var returnedAt: Instant?
    /// Number of the last settlement from this lease.
    var lastSettlement: UInt64 = 0
    var lastUse: Instant

    init(lease: LeaseID, now: Instant) {
      self.lease = lease
      lastUse = now
    }

    /// Money of the lease that is neither spent, returned nor held.
    var room: MicroCredits {
      granted.subtractingCapped(returned).subtractingCapped(settled).subtractingCapped(held)
    }

    var isClosing: Bool { unconfirmed?.closes == true }

    /// Whether less than a quarter of the reserve is left.
    var isLow: Bool { room.count < reserve.count / 4 }

    /// Holds an amount for a new request. A lease that closes pays nothing, even if a late grant
    /// arrives.
    /// - Returns: the lease. `nil` means that the request must wait.
    mutating func admit(_ amount: MicroCredits, now: Instant) -> LeaseID? {
      guard queue.isEmpty, room >= amount, amount == .zero || !isClosing else { return nil }
      lastUse = now
      held = held.addingCapped(amount)
      return lease
    }

    /// Counts a settlement, and releases the request's hold.
    /// - Returns: `true` if no request waits and no money must be returned to the registry, so that
    ///   the caller has nothing else to do.
    mutating func settle(_ hold: Hold, _ settlement: LeaseSettlement, now: Instant) -> Bool {
      if lease == hold.lease {
        held = held.subtractingCapped(hold.amount)
        settled = settled.addingCapped(min(settlement.billed, hold.amount))
        lastSettlement = settlement.number
      }
      lastUse = now
      return queue.isEmpty && ask?.isAhead != false && !isFrugal(now)
    }

    func isFrugal(_ now: Instant) -> Bool { frugalUntil.map { now < $0 } ?? false }

    func isRestless(now: Instant) -> Bool {
      !queue.isEmpty || unconfirmed != nil || isFrugal(now)
    }

    /// Begins another lease. Running requests keep their holds from the old lease.
    mutating func restart(as new: LeaseID, now: Instant) {
      var next = KeyLease(lease: new, now: lastUse)
      next.queue = queue
      next.reserve = reserve
      next.leastReserve = leastReserve
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

    /// Removes the requests for which `isRemoved` returns true.
    /// - Returns: the removed requests, in order of arrival.
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

/// Computes until when the leases of a gateway are valid.
struct RenewalClock: Sendable {
  private(set) var lastNumber: UInt64 = 0
  private(set) var lastSent: Instant?
  private var validUntil: Instant?
  /// The latest renewals without an answer, at most 32, with the times at which they were sent.
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

  /// Records a confirmation. The validity begins when the renewal was sent. So it ends at the
  /// gateway before it ends at the registry.
  /// - Returns: the time at which the renewal was sent. `nil` means that this time is no longer
  ///   known.
  mutating func confirm(_ number: UInt64, validity: Duration) -> Instant? {
    guard let time = sent.first(where: { $0.number == number })?.time else { return nil }
    sent.removeAll { $0.number <= number }
    let end = time.advanced(by: validity)
    validUntil = validUntil.map { max($0, end) } ?? end
    return time
  }

  /// Records that the registry has ended all leases.
  mutating func end() {
    validUntil = nil
    lastSent = nil
    sent = []
  }
}

/// Keeps settlements until the registry confirms them.
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

  /// The oldest settlements that were sent at or before a time, to be sent again. The list is empty
  /// if the oldest settlement was sent later.
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
