import ClusterModel
import Money

/// Gateways and a registry that share accounts, with virtual time and a faulty network.
///
/// The simulation knows the final cost of every request, so it can check each refusal against the
/// true sum.
struct LeaseSimulation {
  struct Faults {
    /// Percentages of messages.
    var lost = 0
    var repeated = 0
    var slow = 0
    /// Number of gateways that are killed, and of restarts of the registry.
    var kills = 0
    var registryRestarts = 0
    /// Longest absence of the registry.
    var registryAway: Duration = .seconds(15)

    static let none = Faults()
  }

  enum Outcome: Hashable {
    case billed(MicroCredits)
    case refused(BudgetRefusal)
    /// The request's gateway was killed before the settlement.
    case killed
  }

  struct Request {
    let key: AccountID
    let gateway: Int
    let cost: RequestCost
    let actual: MicroCredits
    let duration: Duration
    var hold: MicroCredits?
    var outcome: Outcome?
    /// Whether the registry has posted the settlement.
    var isRecorded = false
  }

  struct GatewayProcess {
    var budget: LeasedBudget
    var peer: PeerID
    var isUp = true
    /// Settlements on disk that the registry has not confirmed.
    var journal: [LeaseSettlement] = []
  }

  enum Event {
    case arrive(UInt64)
    case finish(UInt64, PeerID)
    case toRegistry(LeaseRequest)
    case toGateway(LeaseAnswer, PeerID)
    case tickRegistry
    case tick(Int)
    case kill(Int)
    case restart(Int)
    case stopRegistry
    case startRegistry
  }

  private(set) var now = Instant.zero
  private var rng: SplitMix64
  private var events = EventQueue()
  private var faults: Faults
  private(set) var issuer: LeaseIssuer
  private var isRegistryUp = true
  private(set) var log: [LeasePosting] = []
  private var posted: Set<String> = []
  private(set) var gateways: [GatewayProcess] = []
  private(set) var requests: [UInt64: Request] = [:]
  private(set) var limits: [CeilingID: MicroCredits]
  private(set) var spent: [CeilingID: Int64] = [:]
  private let paths: [AccountID: [CeilingID]]
  let patience: Duration
  /// Messages sent, without settlements.
  private(set) var messages = 0
  private(set) var problems: [String] = []
  private var lastKill: Instant?
  private var arrived: Set<UInt64> = []
  var unfinished = 0

  init(
    seed: UInt64, gateways count: Int, paths: [AccountID: [CeilingID]],
    limits: [CeilingID: MicroCredits], faults: Faults = .none, patience: Duration = .seconds(900)
  ) {
    rng = SplitMix64(seed: seed)
    self.faults = faults
    self.paths = paths
    self.limits = limits
    self.patience = patience
    issuer = LeaseIssuer(now: .zero)
    for index in 0..<count {
      let peer = PeerID(name: "gateway-\(index)", incarnation: 1)
      gateways.append(GatewayProcess(budget: LeasedBudget(gateway: peer), peer: peer))
      events.add(.tick(index), at: .zero + .milliseconds(index))
    }
    setAccounts()
    events.add(.tickRegistry, at: .zero)
    for _ in 0..<faults.kills {
      events.add(.kill(int(0..<count)), at: .zero + .milliseconds(int(1_000..<60_000)))
    }
    for _ in 0..<faults.registryRestarts {
      events.add(.stopRegistry, at: .zero + .milliseconds(int(1_000..<60_000)))
    }
  }

  // MARK: - Input

  mutating func int(_ range: Range<Int>) -> Int { Int.random(in: range, using: &rng) }

  mutating func add(
    key: AccountID, gateway: Int, minimum: Int, worst: Int, actual: Int, at time: Duration,
    duration: Duration
  ) {
    let number = UInt64(requests.count + 1)
    requests[number] = Request(
      key: key, gateway: gateway,
      cost: RequestCost(minimum: MicroCredits(Int64(minimum)), worst: MicroCredits(Int64(worst))),
      actual: MicroCredits(Int64(actual)), duration: duration)
    unfinished += 1
    events.add(.arrive(number), at: .zero + time)
  }

  // MARK: - Running

  /// Runs until all requests have ended and all leases had time to end.
  mutating func run(longest: Duration = .seconds(3_600)) {
    var end: Instant?
    while let (time, event) = events.next(), time < .zero + longest {
      now = time
      if let end, time > end { return }
      handle(event)
      if unfinished == 0, end == nil { end = now + .seconds(240) }
    }
    problems.append("requests did not end: \(unfinished)")
  }

  private mutating func handle(_ event: Event) {
    switch event {
    case .arrive(let number): arrive(number)
    case .finish(let number, let peer): finish(number, peer)
    case .toRegistry(let message):
      if isRegistryUp { perform(issuer.receive(message, now: now)) }
    case .toGateway(let answer, let peer):
      if let index = gateways.firstIndex(where: { $0.peer == peer && $0.isUp }) {
        if case .renewed(_, let through) = answer {
          gateways[index].journal.removeAll {
            $0.lease.gateway == peer && $0.number <= through
          }
        }
        perform(gateways[index].budget.receive(answer, now: now), at: index)
      } else if case .settled(let old, let through) = answer {
        for index in gateways.indices {
          gateways[index].journal.removeAll { $0.lease.gateway == old && $0.number <= through }
        }
      }
    case .tickRegistry:
      if isRegistryUp { perform(issuer.tick(now: now)) }
      events.add(.tickRegistry, at: now + .seconds(1))
    case .tick(let index):
      if gateways[index].isUp {
        perform(gateways[index].budget.tick(now: now), at: index)
        repeatJournal(index)
      }
      // Idle gateways need fewer ticks, because they only let their leases end.
      events.add(.tick(index), at: now + .milliseconds(unfinished > 0 ? 500 : 2_000))
    case .kill(let index): kill(index)
    case .restart(let index):
      let peer = PeerID(
        name: gateways[index].peer.name, incarnation: gateways[index].peer.incarnation + 1)
      gateways[index].peer = peer
      gateways[index].budget = LeasedBudget(gateway: peer)
      gateways[index].isUp = true
    case .stopRegistry:
      guard isRegistryUp else { break }
      isRegistryUp = false
      events.add(
        .startRegistry,
        at: now + .milliseconds(int(1..<Int(faults.registryAway / .milliseconds(1)))))
    case .startRegistry:
      isRegistryUp = true
      issuer = LeaseIssuer(restoring: log, now: now)
      setAccounts()
    }
  }

  private mutating func setAccounts() {
    for (id, limit) in limits.sorted(by: { $0.key < $1.key }) {
      let remaining = MicroCredits(limit.count - (spent[id] ?? 0))
      perform(issuer.setCeiling(Ceiling(id: id, remaining: remaining), now: now))
    }
    for (key, path) in paths.sorted(by: { $0.key < $1.key }) {
      perform(issuer.setKey(key, path: path, now: now))
    }
  }

  private mutating func arrive(_ number: UInt64) {
    guard let request = requests[number] else { return }
    arrived.insert(number)
    guard gateways[request.gateway].isUp else { return end(number, .killed) }
    let (admission, directives) = gateways[request.gateway].budget.admit(
      number, of: request.key, cost: request.cost, patience: patience, now: now)
    switch admission {
    case .admitted(let hold): begin(number, hold: hold)
    case .waiting: break
    case .refused(let refusal): refuse(number, refusal)
    }
    perform(directives, at: request.gateway)
  }

  private mutating func begin(_ number: UInt64, hold: MicroCredits) {
    guard let request = requests[number], request.hold == nil, request.outcome == nil else {
      return problems.append("request \(number) began twice or after its end")
    }
    if hold < request.cost.minimum || hold > request.cost.worst {
      problems.append("request \(number) holds \(hold.count)")
    }
    requests[number]?.hold = hold
    events.add(.finish(number, gateways[request.gateway].peer), at: now + request.duration)
  }

  private mutating func finish(_ number: UInt64, _ peer: PeerID) {
    guard let request = requests[number], request.outcome == nil, let hold = request.hold,
      gateways[request.gateway].peer == peer, gateways[request.gateway].isUp
    else { return }
    let billed = min(request.actual, hold)
    end(number, .billed(billed))
    let directives = gateways[request.gateway].budget.settle(number, billed: billed, now: now)
    for case .send(.settle(let settlement)) in directives {
      gateways[request.gateway].journal.append(settlement)
    }
    perform(directives, at: request.gateway)
  }

  private mutating func kill(_ index: Int) {
    guard gateways[index].isUp else { return }
    gateways[index].isUp = false
    lastKill = now
    for number in requests.keys.sorted() {
      guard let request = requests[number], request.gateway == index, request.outcome == nil,
        arrived.contains(number)
      else { continue }
      end(number, .killed)
    }
    events.add(.restart(index), at: now + .milliseconds(int(500..<20_000)))
  }

  private mutating func end(_ number: UInt64, _ outcome: Outcome) {
    guard requests[number]?.outcome == nil else {
      return problems.append("request \(number) ended twice")
    }
    requests[number]?.outcome = outcome
    unfinished -= 1
  }

  private mutating func repeatJournal(_ index: Int) {
    // Only settlements of earlier processes are repeated here, because a budget repeats its own.
    let late = gateways[index].journal.filter { $0.lease.gateway != gateways[index].peer }
    for settlement in late.prefix(20) where int(0..<4) == 0 {
      send(.toRegistry(.settle(settlement)))
    }
  }

  // MARK: - Directives

  private mutating func perform(_ directives: [LeasedBudget.Directive], at index: Int) {
    for directive in directives {
      switch directive {
      case .send(let message):
        if case .settle = message {} else { messages += 1 }
        send(.toRegistry(message))
      case .admit(let number, let hold): begin(number, hold: hold)
      case .refuse(let number, let refusal): refuse(number, refusal)
      }
    }
  }

  private mutating func perform(_ directives: [LeaseIssuer.Directive]) {
    for directive in directives {
      switch directive {
      case .send(let answer, let peer):
        messages += 1
        send(.toGateway(answer, peer))
      case .post(let posting): post(posting)
      }
    }
  }

  private mutating func send(_ event: Event) {
    if int(0..<100) < faults.lost { return }
    for _ in 0..<(int(0..<100) < faults.repeated ? 2 : 1) {
      let isSlow = int(0..<100) < faults.slow
      events.add(event, at: now + .microseconds(int(isSlow ? 100_000..<4_000_000 : 200..<20_000)))
    }
  }

  private mutating func post(_ posting: LeasePosting) {
    if !posted.insert(posting.description).inserted {
      problems.append("posted twice: \(posting)")
    }
    log.append(posting)
    guard case .settle(let settlement, let charged, _) = posting.change else {
      return checkCeilings()
    }
    requests[settlement.request]?.isRecorded = true
    for ceiling in paths[posting.key] ?? [] { spent[ceiling, default: 0] += charged.count }
    checkCeilings()
  }

  // MARK: - Checks

  private mutating func checkCeilings() {
    for (id, limit) in limits {
      if (spent[id] ?? 0) > limit.count { problems.append("\(id) is overspent") }
      if isRegistryUp, issuer.left(below: id) < .zero { problems.append("\(id) is overleased") }
    }
  }

  /// Sum of all requests below a ceiling, as if everything in flight were settled.
  private func trueSum(_ id: CeilingID) -> Int64 {
    var sum: Int64 = spent[id] ?? 0
    for request in requests.values where paths[request.key]?.contains(id) == true {
      if request.isRecorded { continue }
      switch request.outcome {
      case .billed(let amount): sum += amount.count
      case nil: if let hold = request.hold { sum += min(request.actual, hold).count }
      case .refused, .killed: break
      }
    }
    return sum
  }

  private mutating func refuse(_ number: UInt64, _ refusal: BudgetRefusal) {
    end(number, .refused(refusal))
    guard case .exhausted(let ceiling) = refusal, let request = requests[number] else { return }
    // A kill lowers the true sum. Refusals shortly after a kill may have been decided before it, so
    // they are not checked.
    if let lastKill, now < lastKill + .seconds(10) { return }
    let sum = trueSum(ceiling.id) + request.cost.minimum.count
    if let limit = limits[ceiling.id], sum <= limit.count {
      problems.append("request \(number) was refused at \(sum) of \(limit.count)")
    }
  }
}

/// Events in order of time, and of insertion at the same time.
struct EventQueue {
  private var heap: [(time: Instant, order: Int, event: LeaseSimulation.Event)] = []
  private var count = 0

  mutating func add(_ event: LeaseSimulation.Event, at time: Instant) {
    count += 1
    heap.append((time, count, event))
    var index = heap.count - 1
    while index > 0, isBefore(index, (index - 1) / 2) {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  mutating func next() -> (Instant, LeaseSimulation.Event)? {
    guard let first = heap.first else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2]
      where child < heap.count && isBefore(child, least) {
        least = child
      }
      if least == index { break }
      heap.swapAt(index, least)
      index = least
    }
    return (first.time, first.event)
  }

  private func isBefore(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].order) < (heap[right].time, heap[right].order)
  }
}
