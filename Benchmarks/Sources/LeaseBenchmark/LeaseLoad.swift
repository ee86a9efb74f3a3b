import Access
import ClusterModel
import Foundation
import Money
import RegistryCore
import Store

/// Gateways in memory that share one key, and a registry with its real book and store.
///
/// Work is done in steps. In each step all gateways end and admit requests. Then the registry
/// handles up to 1,024 waiting messages, writes the results as one transaction of SQLite, as its
/// service does, and answers. The clock is the real one.
struct LeaseLoad {
  struct Options {
    var gateways = 64
    /// Maximum concurrent requests of one gateway.
    var slots = 16
    /// Balance of the account at the start.
    var balance: MicroCredits
    /// A run ends after this time, or if every gateway was refused.
    var duration: Duration
  }

  struct Result {
    var requests = 0
    var settlements = 0
    var writes = 0
    /// Messages other than settlements and their confirmations.
    var messages = 0
    /// For each admitted request, the number of steps that it waited for.
    var waits: [Int] = []
    var refusals = 0
    var falseRefusals = 0
    var elapsed = Duration.zero
    var spent = MicroCredits.zero
    var balance = MicroCredits.zero
    var isVerified = false
  }

  private struct Request {
    let arrived: Int
    /// Cost of the request if its hold is large enough.
    let actual: Int64
    var hold: MicroCredits?
    var ends = 0
  }

  private struct Gateway {
    let peer: PeerID
    var budget: LeasedBudget
    var requests: [UInt64: Request] = [:]
    var reports: [UInt64: Settlement] = [:]
    var lastRequest: UInt64 = 0
    var isRefused = false
  }

  private static let organisation = "acme"
  private static let key = "k1"
  private static let prompt = 10
  private static let longest = 50
  /// Maximum messages that share one write, as at the registry.
  private static let batch = 1_024

  private let options: Options
  private let store: AccountStore
  private let price: TokenPrice
  private let cost: RequestCost
  private var book: AccountBook
  private var gateways: [Gateway] = []
  private var indices: [PeerID: Int] = [:]
  private var inbox: [AccountBook.Event] = []
  private var rng = SplitMix64(seed: 1)
  private var step = 0
  private let began = ContinuousClock.now
  private var nextTick = Duration.zero
  /// Cost of all admitted requests.
  private var committed: Int64 = 0
  private(set) var result = Result()

  /// - Parameter path: path of a database file that does not exist.
  init(_ options: Options, path: String) async throws {
    self.options = options
    store = try AccountStore(path: path)
    // A token of the prompt costs one micro-credit, and a token of the answer two.
    price = try TokenPrice(
      input: MicroCredits(1_000_000), cachedInput: MicroCredits(1_000_000),
      output: MicroCredits(2_000_000))
    cost = RequestCost(
      minimum: MicroCredits(Int64(Self.prompt + 2)),
      worst: MicroCredits(Int64(Self.prompt + 2 * Self.longest)))
    let start = AccountTime(wall: Self.wall(), instant: .zero)
    var replay = try AccountReplay(at: start)
    replay.add(
      .organisation(
        OrganisationRecord(
          id: Self.organisation, name: Self.organisation, isPrepaid: true,
          budgets: [
            BudgetRecord(
              terms: try BudgetTerms(
                amount: MicroCredits(.max / 4), window: BudgetWindow(.calendar, .month),
                warnings: []),
              afterPosition: 0)
          ])))
    replay.add(.price(PriceRow(model: "m", host: "h", effectiveFrom: 0, price: price)))
    guard let account = AccountPath(Self.organisation) else { throw CocoaError(.coderInvalidValue) }
    let (book, directives) = try replay.finish(
      keys: [Self.key: (account: account, isActive: true)])
    self.book = book
    try await perform(directives)
    try await perform(
      self.book.transfer(
        AdminTransfer(
          id: "start", kind: .credit(options.balance, organisation: Self.organisation)),
        at: start))
    for index in 0..<options.gateways {
      let peer = PeerID(name: "gateway-\(index)", incarnation: 1)
      gateways.append(Gateway(peer: peer, budget: LeasedBudget(gateway: peer)))
      indices[peer] = index
    }
  }

  private static func wall() -> Int64 { Int64(Date.now.timeIntervalSince1970 * 1_000) }

  private var now: Instant { .zero.advanced(by: began.duration(to: .now)) }

  // MARK: - Running

  mutating func run() async throws {
    let start = now
    while start.duration(to: now) < options.duration, !gateways.allSatisfy(\.isRefused) {
      try await advance(admits: true)
    }
    // All requests end, and all settlements are written.
    while gateways.contains(where: { !$0.requests.isEmpty }) || !inbox.isEmpty {
      try await advance(admits: false)
    }
    result.elapsed = start.duration(to: now)
    let log = try await transactions()
    result.balance = book.balance(of: .organisation(Self.organisation))
    let held = book.balance(of: .holds(of: Self.organisation))
    result.spent = MicroCredits(options.balance.count - result.balance.count - held.count)
    result.isVerified = book.verify(against: log).isEmpty && result.spent.count == committed
    await store.close()
  }

  private func transactions() async throws -> [LedgerTransaction] {
    var log: [LedgerTransaction] = []
    for try await page in store.replay() { log += page.map(\.transaction) }
    return log
  }

  private mutating func advance(admits: Bool) async throws {
    step += 1
    let isTick = now.sinceStart >= nextTick
    if isTick {
      nextTick = now.sinceStart + .milliseconds(250)
      inbox.append(.tick)
    }
    for index in gateways.indices {
      endRequests(of: index)
      if admits { admitRequests(of: index) }
      if isTick { take(gateways[index].budget.tick(now: now), of: index) }
    }
    let events = inbox.prefix(Self.batch)
    inbox.removeFirst(events.count)
    let time = AccountTime(wall: Self.wall(), instant: now)
    var directives: [AccountBook.Directive] = []
    for event in events { directives += book.handle(event, at: time) }
    try await perform(directives)
  }

  /// Writes all transactions together, then delivers the messages that depend on them.
  private mutating func perform(_ directives: [AccountBook.Directive]) async throws {
    var transactions: [LedgerTransaction] = []
    for case .append(let new) in directives { transactions += new }
    if !transactions.isEmpty {
      for result in try await store.append(transactions) {
        guard case .appended = result else { throw CocoaError(.fileWriteUnknown) }
      }
      result.writes += 1
      result.settlements += transactions.count(where: { $0.kind == .settle })
    }
    for directive in directives {
      switch directive {
      case .send(let answer, let peer):
        if case .settled = answer {} else { result.messages += 1 }
        guard let index = indices[peer] else { continue }
        take(gateways[index].budget.receive(answer, now: now), of: index)
      case .reload(let reason): throw Failure(.internalError, reason)
      case .append, .publishPrices, .warn: break
      }
    }
  }

  // MARK: - Gateways

  private mutating func endRequests(of index: Int) {
    let ended = gateways[index].requests.filter { $0.value.hold != nil && $0.value.ends <= step }
    for (number, request) in ended.sorted(by: { $0.key < $1.key }) {
      gateways[index].requests[number] = nil
      let billed = min(request.actual, request.hold?.count ?? 0)
      let directives = gateways[index].budget.settle(
        number, billed: MicroCredits(billed), now: now)
      for case .send(.settle(let lease)) in directives where lease.request == number {
        gateways[index].reports[lease.number] = report(lease)
      }
      take(directives, of: index)
    }
  }

  private func report(_ lease: LeaseSettlement) -> Settlement {
    let completion = (lease.billed.count - Int64(Self.prompt)) / 2
    let usage = try? TokenUsage(prompt: Int64(Self.prompt), completion: completion)
    let answers = usage.map {
      SettledAnswer(
        usage: $0,
        attempts: [
          SettledAttempt(
            host: "h", model: "m", usage: $0, contributed: completion, role: .winner)
        ])
    }
    return Settlement(
      lease: lease, trace: "", model: "m", admittedAt: Self.wall(), price: price,
      answers: answers.map { [$0] } ?? [])
  }

  private mutating func admitRequests(of index: Int) {
    while gateways[index].requests.count < options.slots, !gateways[index].isRefused {
      gateways[index].lastRequest += 1
      let number = gateways[index].lastRequest
      let tokens = Int64.random(in: 1...Int64(Self.longest), using: &rng)
      gateways[index].requests[number] = Request(
        arrived: step, actual: Int64(Self.prompt) + 2 * tokens)
      result.requests += 1
      let (admission, directives) = gateways[index].budget.admit(
        number, of: .key(Self.key), cost: cost, patience: .seconds(900), now: now)
      switch admission {
      case .admitted(let hold): begin(number, hold: hold, at: index)
      case .waiting: break
      case .refused(let refusal): refuse(number, refusal, at: index)
      }
      take(directives, of: index)
    }
  }

  private mutating func begin(_ number: UInt64, hold: MicroCredits, at index: Int) {
    guard var request = gateways[index].requests[number] else { return }
    // A token of the answer costs two micro-credits, so an odd remainder is not spent.
    let affordable = Int64(Self.prompt) + (hold.count - Int64(Self.prompt)) / 2 * 2
    request.hold = MicroCredits(affordable)
    request.ends = step + Int.random(in: 1...4, using: &rng)
    gateways[index].requests[number] = request
    result.waits.append(step - request.arrived)
    committed += min(request.actual, affordable)
  }

  private mutating func refuse(_ number: UInt64, _ refusal: BudgetRefusal, at index: Int) {
    gateways[index].requests[number] = nil
    gateways[index].isRefused = true
    result.refusals += 1
    guard case .exhausted = refusal, committed + cost.minimum.count > options.balance.count else {
      return result.falseRefusals += 1
    }
  }

  private mutating func take(_ directives: [LeasedBudget.Directive], of index: Int) {
    let peer = gateways[index].peer
    for directive in directives {
      switch directive {
      case .send(.settle(let lease)):
        guard let report = gateways[index].reports[lease.number] else { continue }
        inbox.append(.settlement(report, from: peer))
      case .send(let request):
        result.messages += 1
        inbox.append(.lease(request, from: peer))
      case .admit(let number, let hold): begin(number, hold: hold, at: index)
      case .refuse(let number, let refusal): refuse(number, refusal, at: index)
      }
    }
  }
}
