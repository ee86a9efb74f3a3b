import Access
import ClusterModel
import Money
import RegistryCore

/// A registry and gateways that exchange messages over a lossy network, by seed. Gateways run the
/// real `LeasedBudget`.
struct AccountSimulation {
  struct Options {
    /// Whether admins change budgets and keys under load. Leases may then exceed a new amount.
    var changesBudgets = false
    var wallJumps = false
    var faults = true
    /// Whether a restarted registry begins with the last checkpoint of its predecessor.
    var restartsFromCheckpoints = false
  }

  private struct Request {
    let key: String
    let price: TokenPrice
    let prompt: Int64
    let admittedAt: Int64
    var hold: MicroCredits?
  }

  private struct Gateway {
    var budget: LeasedBudget
    var table: PriceTable
    var requests: [UInt64: Request] = [:]
    /// Reports of ended requests that the registry has not confirmed, by settlement number.
    var reports: [UInt64: Settlement] = [:]
    var lastRequest: UInt64 = 0
  }

  private enum Message {
    case toRegistry(AccountBook.Event)
    case toGateway(LeaseAnswer, PeerID)
  }

  static let organisations = ["acme", "globex"]
  static let keys: [(id: String, account: String)] = [
    ("k1", "acme/research"), ("k2", "acme/research"), ("k3", "acme"), ("k4", "globex"),
  ]
  static let models = ["small", "large"].map { ModelID($0) }

  private var options: Options
  var rng: SplitMix64
  private(set) var store = SimulatedStore()
  private(set) var book: AccountBook
  private var gateways: [PeerID: Gateway] = [:]
  /// Reports that killed gateways left on disk.
  private var journal: [Settlement] = []
  private var network: [Message] = []
  private var wall: Int64 = 1_790_000_000_000
  private var instant = Instant.zero
  private var incarnation: UInt64 = 0
  private var revision: UInt64 = 0
  private var transfers = 0
  private(set) var reloads = 0
  private var checkpoint: AccountCheckpoint?
  private(set) var restoredCheckpoints = 0
  private(set) var warnings: [CrossedThreshold] = []

  init(seed: UInt64, options: Options) throws {
    self.options = options
    rng = SplitMix64(seed: seed)
    (book, _) = try store.book(at: AccountTime(wall: wall, instant: .zero))
    try setUp()
    for _ in 0..<3 { try startGateway() }
  }

  var time: AccountTime { AccountTime(wall: wall, instant: instant) }

  // MARK: - Running

  mutating func run(steps: Int) throws {
    for _ in 0..<steps { try step() }
  }

  /// Ends all gateways and waits until their leases are over.
  mutating func end() throws {
    options.faults = false
    let peers = gateways.keys.sorted()
    for peer in peers where number(1...2) == 1 {
      if var gateway = gateways[peer] {
        let directives = gateway.budget.drain(now: instant)
        gateways[peer] = gateway
        try take(directives, of: peer)
      }
    }
    while !network.isEmpty { try deliver() }
    for peer in gateways.keys.sorted() { kill(peer) }
    network = []
    for _ in 0..<80 {
      pass(seconds: 1)
      try handle(.tick)
    }
    // The journals of killed gateways arrive late.
    for report in journal {
      try handle(.settlement(report, from: PeerID(name: "gateway", incarnation: 999)))
    }
  }

  private mutating func step() throws {
    if options.restartsFromCheckpoints, number(1...40) == 1 { checkpoint = book.checkpoint }
    switch number(0...99) {
    case 0..<56: try deliver()
    case 56..<68: try startRequest()
    case 68..<82: try endRequest()
    case 82..<88:
      pass(seconds: 1)
      try tick()
    case 88..<92: try admin()
    // Long pauses are rare, so that most settlements come while their leases last.
    case 92..<93: if number(1...5) == 1 { pass(seconds: number(30...1_800)) }
    case 93..<94 where options.wallJumps: wall += Int64(number(-7_200_000...600_000))
    case 94..<95 where options.faults: try restart()
    case 95..<96 where options.faults:
      if let peer = gateways.keys.sorted().randomElement(using: &rng) {
        kill(peer)
        try startGateway()
      }
    case 96..<97:
      if let report = journal.popLast(), let sender = gateways.keys.sorted().last {
        network.append(.toRegistry(.settlement(report, from: sender)))
        if number(1...2) == 1 { journal.insert(report, at: 0) }
      }
    default: try deliver()
    }
  }

  private mutating func pass(seconds: Int) {
    instant = instant.advanced(by: .seconds(seconds))
    wall += Int64(seconds) * 1_000
  }

  private mutating func tick() throws {
    try handle(.tick)
    for peer in gateways.keys.sorted() {
      guard var gateway = gateways[peer] else { continue }
      let directives = gateway.budget.tick(now: instant)
      gateways[peer] = gateway
      try take(directives, of: peer)
    }
  }

  // MARK: - The registry

  private mutating func handle(_ event: AccountBook.Event) throws {
    try perform(book.handle(event, at: time))
  }

  private mutating func perform(_ directives: [AccountBook.Directive]) throws {
    for directive in directives {
      switch directive {
      case .append(let transactions):
        // A write that fails may still have reached the disk.
        let fails = options.faults && number(1...150) == 1
        let isWritten = !fails || number(1...2) == 1
        let isNew = isWritten ? store.append(transactions) : true
        guard isNew, !fails else {
          _ = book.handle(.writeFailed("disk full"), at: time)
          reloads += 1
          return try restart()
        }
      case .send(let answer, let peer): network.append(.toGateway(answer, peer))
      case .publishPrices: try publishPrices()
      case .warn(let threshold): warnings.append(threshold)
      case .reload(let reason):
        throw SimulationFailure("the book asked for a reload: \(reason)")
      }
    }
  }

  private mutating func restart() throws {
    let directives: [AccountBook.Directive]
    if let checkpoint, options.restartsFromCheckpoints {
      var replay = try store.replay(at: time)
      let place = Int(checkpoint.position)
      try replay.restore(checkpoint, last: store.log[place - 1])
      for transaction in store.log.dropFirst(place) { try replay.add(transaction) }
      (book, directives) = try replay.finish(keys: store.keys)
      restoredCheckpoints += 1
    } else {
      (book, directives) = try store.book(at: time)
    }
    try perform(directives)
  }

  private mutating func publishPrices() throws {
    revision += 1
    let table = try book.priceTable(epoch: 1, revision: revision, at: wall)
    // Some gateways do not get the table, and admit requests at the earlier prices.
    for peer in gateways.keys where number(1...4) > 1 { gateways[peer]?.table = table }
  }

  // MARK: - Admins

  private mutating func change(_ change: AccountChange) throws {
    let record = try book.record(for: change, at: wall)
    store.save(record)
    try handle(.record(record))
  }

  private mutating func setUp() throws {
    try change(.setUnknownPrice(.refuse))
    try change(
      .setOrganisation(
        id: "acme", name: "Acme", isPrepaid: false,
        budgets: [try hourly(4_000), try rolling(6_000)]))
    try change(.setOrganisation(id: "globex", name: "Globex", isPrepaid: true, budgets: []))
    try change(
      .setTeam(
        try account("acme/research"), name: "Research", budgets: [try hourly(2_500)]))
    try change(.setKeyBudgets(key: "k1", budgets: [try hourly(1_500)]))
    for key in Self.keys {
      let account = try account(key.account)
      store.keys[key.id] = (account, true)
      try handle(.key(key.id, account: account, isActive: true))
    }
    for model in Self.models { try change(.addPrice(try price(model, host: nil))) }
    try credit()
  }

  private mutating func hourly(_ amount: Int64) throws -> BudgetTerms {
    try BudgetTerms(
      amount: MicroCredits(amount), window: BudgetWindow(.calendar, .hour),
      warnings: [500, 1_000])
  }

  private mutating func rolling(_ amount: Int64) throws -> BudgetTerms {
    try BudgetTerms(amount: MicroCredits(amount), window: BudgetWindow(.rolling, .hour))
  }

  private func account(_ text: String) throws -> AccountPath {
    guard let path = AccountPath(text) else { throw SimulationFailure("no account \(text)") }
    return path
  }

  private mutating func price(_ model: ModelID, host: HostID?) throws -> PriceRow {
    PriceRow(
      model: model, host: host, effectiveFrom: wall + 1 + Int64(number(0...5_000)),
      price: try TokenPrice(
        input: MicroCredits(Int64(number(0...2_000_000))),
        cachedInput: MicroCredits(Int64(number(0...500_000))),
        output: MicroCredits(Int64(number(0...6_000_000)))))
  }

  private mutating func credit() throws {
    transfers += 1
    let transfer = AdminTransfer(
      id: "\(transfers)",
      kind: .credit(MicroCredits(Int64(number(1...5_000))), organisation: "globex"))
    try perform(book.transfer(transfer, at: time))
  }

  private mutating func admin() throws {
    switch number(0...9) {
    case 0, 1, 2:
      let host = number(1...3) == 1 ? nil : HostID("host-\(number(1...3))")
      let row = try price(Self.models[number(0...1)], host: host)
      do throws(AccountRefusal) {
        let record = try book.record(for: .addPrice(row), at: wall)
        store.save(record)
        try wrapped { try $0.handle(.record(record)) }
      } catch {
        // After a jump of the clock, a row may start in the past, or at the same time as another.
        guard case .price = error else { throw error }
      }
    case 3: try credit()
    case 4:
      try change(
        .setPayoutRule(
          try PayoutRule(
            reservationFee: MicroCredits(Int64(number(0...5))),
            progressFee: MicroCredits(Int64(number(0...1_000_000))),
            perMilleOfWinner: number(100...200))))
    case 5:
      let amount = MicroCredits(Int64(number(1...2_000)))
      transfers += 1
      let transfer = AdminTransfer(id: "\(transfers)", kind: .debit(amount, organisation: "globex"))
      do throws(AccountRefusal) {
        let directives = try book.transfer(transfer, at: time)
        try wrapped { try $0.perform(directives) }
      } catch {
        guard case .insufficient = error else { throw error }
      }
    case 6:
      let host = HostID("host-\(number(1...3))")
      let earned = book.balance(of: .host(host))
      guard earned > .zero else { break }
      transfers += 1
      try perform(
        book.transfer(
          AdminTransfer(id: "\(transfers)", kind: .payout(earned, host: host)), at: time))
    case 7 where options.changesBudgets:
      try change(
        .setOrganisation(
          id: "acme", name: "Acme", isPrepaid: false,
          budgets: [try hourly(Int64(number(1_000...8_000)))]))
    case 8 where options.changesBudgets:
      let key = Self.keys[number(0...3)].id
      let account = try account(["acme", "acme/research", "globex"][number(0...2)])
      store.keys[key] = (account, number(1...4) > 1)
      try handle(.key(key, account: account, isActive: store.keys[key]?.isActive == true))
    default: break
    }
  }

  /// Turns an unexpected error into a failure of the simulation.
  private mutating func wrapped(
    _ work: (inout AccountSimulation) throws -> Void
  ) throws(AccountRefusal) {
    do {
      try work(&self)
    } catch {
      throw .invalidName("\(error)")
    }
  }

  // MARK: - Gateways

  private mutating func startGateway() throws {
    incarnation += 1
    let peer = PeerID(name: "gateway-\(number(1...3))", incarnation: incarnation)
    gateways[peer] = Gateway(
      budget: LeasedBudget(gateway: peer),
      table: try book.priceTable(epoch: 1, revision: revision, at: wall))
  }

  /// Ends a process at any moment. Its journal keeps reports that were not confirmed.
  private mutating func kill(_ peer: PeerID) {
    guard let gateway = gateways.removeValue(forKey: peer) else { return }
    journal += gateway.reports.sorted { $0.key < $1.key }.map(\.value)
    if number(1...2) == 1 { network.append(.toRegistry(.gatewayLeft(peer))) }
  }

  private mutating func startRequest() throws {
    guard let peer = gateways.keys.sorted().randomElement(using: &rng),
      var gateway = gateways[peer]
    else { return }
    let model = Self.models[number(0...1)]
    guard let price = gateway.table.price(of: model, at: wall) else { return }
    gateway.lastRequest += 1
    let prompt = Int64(number(0...200))
    let key = Self.keys[number(0...3)].id
    let cost = RequestCost(
      minimum: try price.cost(of: TokenUsage(prompt: prompt, completion: 1)),
      worst: try price.cost(of: TokenUsage(prompt: prompt, completion: Int64(number(1...300)))))
    var request = Request(key: key, price: price, prompt: prompt, admittedAt: wall)
    let (admission, directives) = gateway.budget.admit(
      gateway.lastRequest, of: .key(key), cost: cost,
      patience: .seconds(number(0...10)), now: instant)
    switch admission {
    case .admitted(let hold):
      request.hold = hold
      gateway.requests[gateway.lastRequest] = request
    case .waiting: gateway.requests[gateway.lastRequest] = request
    case .refused: break
    }
    gateways[peer] = gateway
    try take(directives, of: peer)
  }

  private mutating func endRequest() throws {
    guard let peer = gateways.keys.sorted().randomElement(using: &rng),
      let gateway = gateways[peer],
      let id = gateway.requests.filter({ $0.value.hold != nil }).keys.sorted()
        .randomElement(using: &rng),
      let request = gateway.requests[id], let hold = request.hold
    else { return }
    let prompt = try TokenUsage(
      prompt: request.prompt, cached: Int64(number(0...Int(request.prompt))), completion: 0)
    let most =
      hold.affordableTokens(
        promptCost: try request.price.cost(of: prompt), pricePerMillion: request.price.output)
      ?? .max
    let tokens = Int64(number(0...min(most, 300)))
    let usage =
      tokens == 0
      ? TokenUsage.zero
      : try TokenUsage(prompt: prompt.prompt, cached: prompt.cached, completion: tokens)
    let billed = try request.price.cost(of: usage)
    let answer = SettledAnswer(usage: usage, attempts: try attempts(usage))
    if var gateway = gateways[peer] {
      let directives = gateway.budget.settle(id, billed: billed, now: instant)
      for case .send(.settle(let lease)) in directives where lease.request == id {
        gateway.reports[lease.number] = Settlement(
          lease: lease, trace: "t\(id)", model: Self.models[0], admittedAt: request.admittedAt,
          price: request.price, answers: [answer])
      }
      gateway.requests[id] = nil
      gateways[peer] = gateway
      try take(directives, of: peer)
    }
  }

  private mutating func attempts(_ usage: TokenUsage) throws -> [SettledAttempt] {
    guard usage.completion > 0 else { return [] }
    var attempts = [try attempt(.winner, usage, contributed: usage.completion)]
    for role in [BilledAttempt.Role.loser, .failed, .continued] where number(1...3) == 1 {
      let contributed = role == .continued ? Int64(number(0...Int(usage.completion))) : 0
      attempts.append(try attempt(role, usage, contributed: contributed))
    }
    return attempts
  }

  private mutating func attempt(
    _ role: BilledAttempt.Role, _ usage: TokenUsage, contributed: Int64
  ) throws -> SettledAttempt {
    SettledAttempt(
      host: HostID("host-\(number(1...3))"), model: Self.models[number(0...1)], usage: usage,
      contributed: contributed, role: role)
  }

  private mutating func take(_ directives: [LeasedBudget.Directive], of peer: PeerID) throws {
    for directive in directives {
      switch directive {
      case .send(.settle(let lease)):
        guard let report = gateways[peer]?.reports[lease.number] else { continue }
        network.append(.toRegistry(.settlement(report, from: peer)))
      case .send(let request): network.append(.toRegistry(.lease(request, from: peer)))
      case .admit(let id, let hold): gateways[peer]?.requests[id]?.hold = hold
      case .refuse(let id, _): gateways[peer]?.requests[id] = nil
      }
    }
  }

  // MARK: - The network

  /// Delivers one of the six oldest messages. With faults, it may be lost or delivered twice.
  private mutating func deliver() throws {
    guard !network.isEmpty else { return }
    let index = number(0...min(network.count - 1, 5))
    let message = network.remove(at: index)
    switch options.faults ? number(1...12) : 1 {
    case 12: return
    case 11: network.append(message)
    default: break
    }
    switch message {
    case .toRegistry(let event): try handle(event)
    case .toGateway(let answer, let peer):
      guard var gateway = gateways[peer] else { return }
      let directives = gateway.budget.receive(answer, now: instant)
      switch answer {
      case .settled(let settler, let through) where settler == peer:
        gateway.reports = gateway.reports.filter { $0.key > through }
      case .renewed(_, let through):
        gateway.reports = gateway.reports.filter { $0.key > through }
      default: break
      }
      gateways[peer] = gateway
      try take(directives, of: peer)
    }
  }

  private mutating func number(_ range: ClosedRange<Int>) -> Int {
    Int.random(in: range, using: &rng)
  }
}

struct SimulationFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
