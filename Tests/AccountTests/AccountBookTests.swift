import Access
import ClusterModel
import Limits
import Money
import RegistryCore
import Testing

@Suite("The registry's book of accounts")
struct AccountBookTests {
  private static let gateway = PeerID(name: "gateway-1", incarnation: 0xfeed_face_cafe_beef)
  private static let model = ModelID("large")
  private static let host = HostID("gpu-1")
  private let lease = LeaseID(gateway: gateway, number: 1)
  private let key = AccountID.key("k1")

  /// A store and its book, whose writes always succeed.
  private struct World {
    var store = SimulatedStore()
    var book: AccountBook
    var wall: Int64 = 1_790_000_000_000
    var instant = Instant.zero

    init() throws {
      (book, _) = try store.book(at: AccountTime(wall: wall, instant: .zero))
    }

    var time: AccountTime { AccountTime(wall: wall, instant: instant) }

    @discardableResult
    mutating func change(_ change: AccountChange) throws -> [AccountBook.Directive] {
      let record = try book.record(for: change, at: wall)
      store.save(record)
      return handle(.record(record))
    }

    @discardableResult
    mutating func handle(_ event: AccountBook.Event) -> [AccountBook.Directive] {
      if case .key(let id, let account, let isActive) = event {
        store.keys[id] = (account, isActive)
      }
      return write(book.handle(event, at: time))
    }

    @discardableResult
    mutating func write(_ directives: [AccountBook.Directive]) -> [AccountBook.Directive] {
      for case .append(let transactions) in directives {
        let isNew = store.append(transactions)
        #expect(isNew)
      }
      return directives
    }

    mutating func restart() throws { (book, _) = try store.book(at: time) }
  }

  private func price(_ input: Int64, _ output: Int64) throws -> TokenPrice {
    try TokenPrice(
      input: MicroCredits(input), cachedInput: MicroCredits(input), output: MicroCredits(output))
  }

  private func account(_ text: String) throws -> AccountPath {
    try #require(AccountPath(text))
  }

  /// Organisation `acme` with a monthly budget, and key `k1` of it.
  private func world(budget: Int64 = 1_000, isPrepaid: Bool = false) throws -> World {
    var world = try World()
    let terms = try BudgetTerms(
      amount: MicroCredits(budget), window: BudgetWindow(.calendar, .month), warnings: [500])
    try world.change(
      .setOrganisation(id: "acme", name: "Acme", isPrepaid: isPrepaid, budgets: [terms]))
    world.handle(.key("k1", account: try account("acme"), isActive: true))
    return world
  }

  private func ask(
    _ number: UInt64, _ amount: Int64, granted: Int64 = 0
  ) -> AccountBook.Event {
    .lease(
      .ask(
        LeaseAsk(
          lease: lease, key: key, number: number, granted: MicroCredits(granted),
          minimum: MicroCredits(1),
          worst: MicroCredits(amount), want: MicroCredits(amount))), from: Self.gateway)
  }

  private func settlement(
    _ number: UInt64 = 1, hold: Int64, billed: Int64, tokens: Int64, at time: Int64
  ) throws -> Settlement {
    let usage = try TokenUsage(prompt: 0, completion: tokens)
    return Settlement(
      lease: LeaseSettlement(
        lease: lease, key: key, number: number, request: number, hold: MicroCredits(hold),
        billed: MicroCredits(billed)),
      trace: "t", model: Self.model, admittedAt: time, price: try price(0, 1_000_000),
      answers: [
        SettledAnswer(
          usage: usage,
          attempts: [
            SettledAttempt(
              host: Self.host, model: Self.model, usage: usage, contributed: tokens,
              role: .winner)
          ])
      ])
  }

  @Test("an alias that a recovered report names earns the host the price of its model")
  func alias() throws {
    var world = try world()
    try world.change(
      .addPrice(
        PriceRow(
          model: "real", host: Self.host, effectiveFrom: world.wall, price: try price(0, 700_000))))
    #expect(world.handle(.aliases([Self.model: ["other", "real"]])) == [.publishPrices])
    #expect(world.handle(.aliases([Self.model: ["other", "real"]])) == [])
    world.handle(ask(1, 100))
    let directives = world.handle(
      .settlement(
        try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    guard case .append(let transactions) = directives.first else {
      Issue.record("\(directives)")
      return
    }
    #expect(
      transactions.first?.entries.contains(
        LedgerEntry(account: .host(Self.host), amount: MicroCredits(42))) == true)
  }

  @Test("gateways get the price of an alias with the others")
  func aliasPrice() throws {
    var world = try world()
    try world.change(
      .addPrice(PriceRow(model: "real", effectiveFrom: world.wall, price: try price(0, 700))))
    world.handle(.aliases([Self.model: ["real"]]))
    let table = try world.book.priceTable(epoch: 1, revision: 1, at: world.wall)
    #expect(try table.price(of: Self.model, at: world.wall) == price(0, 700))
  }

  private func refusals(_ directives: [AccountBook.Directive]) -> [LeaseRefusal] {
    directives.compactMap {
      if case .send(.refused(_, _, let refusal), to: _) = $0 { refusal } else { nil }
    }
  }

  @Test("a settlement is one transaction: holds pay hosts at the admission's prices, and margin")
  func bill() throws {
    var world = try world()
    try world.change(
      .addPrice(
        PriceRow(
          model: Self.model, host: Self.host, effectiveFrom: world.wall,
          price: try price(0, 700_000))))
    let admitted = world.wall
    world.handle(ask(1, 100))
    world.wall += 10
    try world.change(
      .addPrice(
        PriceRow(
          model: Self.model, host: Self.host, effectiveFrom: world.wall,
          price: try price(0, 900_000))))
    let directives = world.handle(
      .settlement(
        try settlement(hold: 100, billed: 60, tokens: 60, at: admitted), from: Self.gateway))
    guard case .append(let transactions) = directives.first else {
      Issue.record("\(directives)")
      return
    }
    #expect(transactions.map(\.kind) == [.settle])
    #expect(
      transactions.first?.entries == [
        LedgerEntry(account: .holds(of: "acme"), amount: MicroCredits(-60)),
        LedgerEntry(account: .host(Self.host), amount: MicroCredits(42)),
        LedgerEntry(account: .margin, amount: MicroCredits(18)),
      ])
    #expect(directives.last == .send(.settled(Self.gateway, through: 1), to: Self.gateway))
    #expect(
      world.book.spent(
        BudgetWindow(.calendar, .month), of: .organisation("acme"), at: world.wall)
        == MicroCredits(60))
  }

  @Test("a transaction is durable before the grant that rests on it is sent")
  func order() throws {
    var world = try world()
    let directives = world.handle(ask(1, 100))
    guard directives.count == 2, case .append(let transactions) = directives[0],
      case .send(.granted(let grant), to: Self.gateway) = directives[1]
    else {
      Issue.record("\(directives)")
      return
    }
    #expect(transactions.map(\.kind) == [.hold])
    #expect(grant.total == MicroCredits(100))
  }

  @Test("a gateway that bills more than its tokens cost gets their cost")
  func overbilled() throws {
    var world = try world()
    world.handle(ask(1, 100))
    world.handle(
      .settlement(
        try settlement(hold: 100, billed: 100, tokens: 40, at: world.wall), from: Self.gateway))
    #expect(world.book.balance(of: .margin) == MicroCredits(40))
    #expect(world.book.totalLeased == MicroCredits(60))
  }

  @Test("a bill above its hold charges the hold, and margin pays the rest of the hosts' pay")
  func aboveHold() throws {
    var world = try world()
    world.handle(.hostPrices([Self.host: try price(0, 1_000_000)]))
    world.handle(ask(1, 100))
    world.handle(
      .settlement(
        try settlement(hold: 30, billed: 80, tokens: 80, at: world.wall), from: Self.gateway))
    #expect(world.book.balance(of: .host(Self.host)) == MicroCredits(80))
    #expect(world.book.balance(of: .margin) == MicroCredits(-50))
    #expect(world.book.totalLeased == MicroCredits(70))
  }

  @Test("a settlement after the end of its lease charges margin, also after a restart")
  func late() throws {
    var world = try world(isPrepaid: true)
    world.handle(.hostPrices([Self.host: try price(0, 500_000)]))
    world.write(
      try world.book.transfer(
        AdminTransfer(id: "1", kind: .credit(MicroCredits(500), organisation: "acme")),
        at: world.time))
    world.handle(ask(1, 100))
    world.instant = world.instant.advanced(by: .seconds(70))
    world.handle(.tick)
    #expect(world.book.balance(of: .organisation("acme")) == MicroCredits(500))
    try world.restart()
    world.handle(.hostPrices([Self.host: try price(0, 500_000)]))
    world.handle(
      .settlement(
        try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    #expect(world.book.balance(of: .organisation("acme")) == MicroCredits(500))
    #expect(world.book.balance(of: .margin) == MicroCredits(-30))
  }

  @Test("a repeated settlement is confirmed and moves nothing, also after a restart")
  func repeated() throws {
    var world = try world()
    world.handle(ask(1, 100))
    let report = try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall)
    world.handle(.settlement(report, from: Self.gateway))
    let later = PeerID(name: "gateway-1", incarnation: 2)
    for _ in 0..<2 {
      #expect(
        world.handle(.settlement(report, from: later))
          == [.send(.settled(Self.gateway, through: 1), to: later)])
      try world.restart()
    }
    #expect(world.book.balance(of: .margin) == MicroCredits(60))
  }

  @Test("a report that cannot be billed ends its hold and charges nothing")
  func invalidReport() throws {
    var world = try world()
    world.handle(ask(1, 100))
    var report = try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall)
    let winner = report.answers[0].attempts[0]
    report.answers[0].attempts = [winner, winner]
    world.handle(.settlement(report, from: Self.gateway))
    #expect(world.book.balance(of: .margin) == .zero)
    #expect(world.store.log.last?.note.contains("\"problem\":") == true)
    #expect(world.store.log.last?.kind == .settle)
  }

  @Test("a refusal names the lowest ceiling and its reset")
  func refusal() throws {
    var world = try world(budget: 50)
    let all = LeaseAsk(
      lease: lease, key: key, number: 1, minimum: MicroCredits(51), worst: MicroCredits(60),
      want: MicroCredits(60))
    let directives = world.handle(.lease(.ask(all), from: Self.gateway))
    let refusals = refusals(directives)
    guard case .ceiling(let ceiling) = refusals.first else {
      Issue.record("\(directives)")
      return
    }
    #expect(ceiling.id == CeilingID("org/acme/month-calendar"))
    #expect(ceiling.remaining == MicroCredits(50))
    #expect(ceiling.resetsAt.map { "\(UTCDate(milliseconds: $0))" } == "2026-10-01T00:00:00Z")
  }

  @Test("a threshold is reported once, with the budget that crossed it")
  func warnings() throws {
    var world = try world(budget: 100)
    world.handle(ask(1, 100))
    let first = world.handle(
      .settlement(
        try settlement(1, hold: 60, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    let crossed = first.compactMap { if case .warn(let crossed) = $0 { crossed } else { nil } }
    #expect(crossed.map(\.threshold) == [500])
    #expect(crossed.map(\.ceiling) == [CeilingID("org/acme/month-calendar")])
    #expect(crossed.map(\.spent) == [MicroCredits(60)])
    let second = world.handle(
      .settlement(
        try settlement(2, hold: 10, billed: 10, tokens: 10, at: world.wall), from: Self.gateway))
    #expect(!second.contains { if case .warn = $0 { true } else { false } })
  }

  @Test("spending of a month ends with it, also if the next month begins with a settlement")
  func reset() throws {
    var world = try world(budget: 100)
    world.handle(ask(1, 100))
    world.handle(
      .settlement(
        try settlement(1, hold: 60, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    func askForRest(_ number: UInt64) -> AccountBook.Event {
      .lease(
        .ask(
          LeaseAsk(
            lease: lease, key: key, number: number, granted: MicroCredits(100),
            minimum: MicroCredits(60), worst: MicroCredits(60), want: MicroCredits(60))),
        from: Self.gateway)
    }
    #expect(!refusals(world.handle(askForRest(2))).isEmpty)
    world.wall += 31 * 86_400_000
    world.handle(
      .settlement(
        try settlement(2, hold: 40, billed: 40, tokens: 40, at: world.wall), from: Self.gateway))
    world.handle(.tick)
    let served = world.handle(askForRest(3))
    #expect(served.contains { if case .append = $0 { true } else { false } })
    #expect(world.book.totalLeased == MicroCredits(60))
  }

  @Test("a budget counts spending from its creation, and keeps it when its amount changes")
  func budgetChanges() throws {
    var world = try world(budget: 100)
    world.handle(ask(1, 50))
    world.handle(
      .settlement(
        try settlement(hold: 50, billed: 40, tokens: 40, at: world.wall), from: Self.gateway))
    let month = BudgetWindow(.calendar, .month)
    let day = BudgetWindow(.calendar, .day)
    try world.change(
      .setOrganisation(
        id: "acme", name: "Acme", isPrepaid: false,
        budgets: [
          try BudgetTerms(amount: MicroCredits(70), window: month),
          try BudgetTerms(amount: MicroCredits(70), window: day),
        ]))
    for _ in 0..<2 {
      let owner = BudgetOwner.organisation("acme")
      #expect(world.book.spent(month, of: owner, at: world.wall) == MicroCredits(40))
      #expect(world.book.spent(day, of: owner, at: world.wall) == .zero)
      try world.restart()
    }
  }

  @Test("a key that moves to another organisation gets money there after its leases have none")
  func move() throws {
    var world = try world()
    try world.change(.setOrganisation(id: "globex", name: "G", isPrepaid: false, budgets: []))
    world.handle(ask(1, 100))
    let moved = world.handle(.key("k1", account: try account("globex"), isActive: true))
    #expect(moved.contains(.send(.recalled(lease), to: Self.gateway)))
    try world.restart()
    #expect(refusals(world.handle(ask(2, 10, granted: 100))) == [.key])
    world.handle(
      .lease(
        .giveBack(LeaseReturn(lease: lease, returned: MicroCredits(100))), from: Self.gateway))
    #expect(world.book.balance(of: .holds(of: "acme")) == .zero)
    let next = LeaseAsk(
      lease: lease, key: key, number: 3, granted: MicroCredits(100),
      returned: MicroCredits(100), minimum: MicroCredits(1), worst: MicroCredits(10),
      want: MicroCredits(10))
    world.handle(.lease(.ask(next), from: Self.gateway))
    #expect(world.book.balance(of: .holds(of: "globex")) == MicroCredits(10))
  }

  @Test("after a failed write the book sends nothing more and asks to be made again")
  func failedWrite() throws {
    var world = try world()
    #expect(world.book.handle(.writeFailed("disk full"), at: world.time) == [.reload("disk full")])
    #expect(world.book.handle(ask(1, 100), at: world.time).isEmpty)
    #expect(throws: AccountRefusal.stale) {
      try world.book.record(for: .setUnknownPrice(.free), at: world.wall)
    }
  }

  @Test("a gateway sends messages for its own leases only, and settles with a report")
  func strangers() throws {
    var world = try world()
    guard case .lease(let request, _) = ask(1, 100) else { return }
    let other = PeerID(name: "gateway-2", incarnation: 1)
    #expect(world.handle(.lease(request, from: other)).isEmpty)
    let settle = LeaseRequest.settle(
      try settlement(hold: 1, billed: 1, tokens: 1, at: world.wall).lease)
    #expect(world.handle(.lease(settle, from: Self.gateway)).isEmpty)
  }

  @Test("a removed key is forgotten, and the money of its leases returns")
  func removedKey() throws {
    var world = try world(isPrepaid: true)
    world.write(
      try world.book.transfer(
        AdminTransfer(id: "1", kind: .credit(MicroCredits(100), organisation: "acme")),
        at: world.time))
    world.handle(ask(1, 60))
    let query = SpendingQuery(key: key, days: 1)
    #expect(world.book.spending(query, at: world.wall).budgets.count == 1)
    #expect(
      world.handle(.keyRemoved("k1")).contains(.send(.recalled(lease), to: Self.gateway)))
    #expect(world.book.spending(query, at: world.wall).budgets.isEmpty)
    #expect(refusals(world.handle(ask(2, 10, granted: 60))) == [.key])
    world.handle(
      .lease(.giveBack(LeaseReturn(lease: lease, returned: MicroCredits(60))), from: Self.gateway))
    #expect(world.book.balance(of: .organisation("acme")) == MicroCredits(100))
    #expect(world.book.totalLeased == .zero)
  }

  @Test("budgets follow a clock that was corrected for good, also after a restart")
  func correctedClock() throws {
    let day: Int64 = 86_400_000
    for restarts in [false, true] {
      var world = try world(budget: 100)
      let start = world.wall
      world.wall += 4_000 * day
      world.handle(ask(1, 60))
      world.handle(
        .settlement(
          try settlement(hold: 60, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
      let (month, owner) = (BudgetWindow(.calendar, .month), BudgetOwner.organisation("acme"))
      world.wall = start
      if restarts { try world.restart() }
      // Nothing happens at first, because the clock may be wrong now.
      #expect(world.handle(.tick).isEmpty)
      let patience = Duration.milliseconds(Limits.ledgerClockPatience.value)
      world.instant = world.instant.advanced(by: patience - .seconds(1))
      world.handle(.tick)
      world.wall += day * 40
      #expect(world.book.spent(month, of: owner, at: world.wall) == MicroCredits(60))
      world.wall = start
      world.instant = world.instant.advanced(by: .seconds(1))
      world.handle(.tick)
      if restarts { try world.restart() }
      #expect(world.store.log.last?.time == start)
      #expect(world.book.spent(month, of: owner, at: start) == MicroCredits(60))
      #expect(world.book.spent(month, of: owner, at: start + 40 * day) == .zero)
      #expect(world.book.verify(against: world.store.log) == [])
      // It is recorded once.
      let count = world.store.log.count
      world.handle(.tick)
      #expect(world.store.log.count == count)
    }
  }

  @Test("the clock may be wrong for minutes, or behind by hours, without an effect")
  func wrongClock() throws {
    var world = try world()
    world.handle(ask(1, 60))
    let start = world.wall
    for _ in 0..<3 {
      world.wall = 0
      world.handle(.tick)
      world.instant = world.instant.advanced(by: .seconds(590))
      world.handle(.tick)
      world.wall = start
      world.instant = world.instant.advanced(by: .seconds(20))
      world.handle(.tick)
    }
    world.wall = start - Int64(Limits.ledgerClockStep.value)
    world.handle(.tick)
    world.instant = world.instant.advanced(by: .seconds(3_600))
    world.handle(.tick)
    #expect(world.store.log.allSatisfy { $0.time == start })
  }

  @Test("a settlement of a gateway that the issuer forgot is confirmed again, and billed once")
  func forgottenGateway() throws {
    var world = try world()
    world.handle(ask(1, 50))
    let report = try settlement(hold: 50, billed: 40, tokens: 40, at: world.wall)
    world.handle(.settlement(report, from: Self.gateway))
    let closing = LeaseReturn(
      lease: lease, returned: MicroCredits(10), withdrawn: 1, closes: true)
    world.handle(.lease(.giveBack(closing), from: Self.gateway))
    world.instant = world.instant.advanced(by: .seconds(1))
    for number in 0..<Limits.leasingGateways.value {
      let other = PeerID(name: "other-\(number)", incarnation: 1)
      let renewal = LeaseRenewal(gateway: other, number: 1, oldest: 1, confirmed: 0)
      world.handle(.lease(.renew(renewal), from: other))
    }
    let later = PeerID(name: "gateway-1", incarnation: 2)
    for sender in [Self.gateway, later] {
      #expect(
        world.handle(.settlement(report, from: sender))
          == [.send(.settled(Self.gateway, through: 1), to: sender)])
    }
    // A hold, a settlement and a return.
    #expect(world.store.log.count == 3)
  }

  @Test("a settlement of an ended process is looked up in the store if the book forgot it")
  func lookUp() throws {
    var world = try world()
    let report = try settlement(hold: 50, billed: 40, tokens: 40, at: world.wall)
    let later = PeerID(name: "gateway-1", incarnation: 2)
    #expect(world.book.idToLookUp(for: .settlement(report, from: Self.gateway)) == nil)
    #expect(
      world.book.idToLookUp(for: .settlement(report, from: later))
        == report.lease.transactionID)
    #expect(
      world.handle(.repeatedSettlement(report.lease, from: later))
        == [.send(.settled(Self.gateway, through: 1), to: later)])
    #expect(world.store.log.isEmpty)
    let other = try settlement(2, hold: 0, billed: 10, tokens: 10, at: world.wall)
    world.handle(.settlement(other, from: later))
    #expect(world.book.idToLookUp(for: .settlement(other, from: later)) == nil)
  }

  @Test("a repeated transfer moves nothing; another one with its id is refused")
  func transfers() throws {
    var world = try world(isPrepaid: true)
    func transfer(_ kind: AdminTransfer.Kind, id: String = "1") throws -> Int {
      world.write(
        try world.book.transfer(AdminTransfer(id: id, kind: kind), at: world.time)
      ).count
    }
    let credit = AdminTransfer.Kind.credit(MicroCredits(10), organisation: "acme")
    #expect(try transfer(credit) > 0)
    #expect(try transfer(credit) == 0)
    #expect(world.book.balance(of: .organisation("acme")) == MicroCredits(10))
    let refused: [(AdminTransfer.Kind, AccountRefusal)] = [
      (.debit(MicroCredits(10), organisation: "acme"), .repeatedID("1")),
      (.credit(.zero, organisation: "acme"), .invalidAmount),
      (.credit(MicroCredits(-5), organisation: "acme"), .invalidAmount),
      (.credit(MicroCredits(5), organisation: "nowhere"), .unknownOrganisation("nowhere")),
      (.correction([]), .invalidAmount),
      (
        .correction([LedgerEntry(account: .margin, amount: MicroCredits(1))]), .invalidAmount
      ),
      (
        .correction([LedgerEntry(account: .holds(of: "acme"), amount: .zero)]),
        .invalidAccount(.holds(of: "acme"))
      ),
    ]
    for (kind, refusal) in refused {
      #expect(throws: refusal) { try transfer(kind) }
    }
    #expect(
      throws: AccountRefusal.insufficient(.organisation("acme"), balance: MicroCredits(10))
    ) {
      try transfer(.debit(MicroCredits(11), organisation: "acme"), id: "2")
    }
    #expect(throws: AccountRefusal.insufficient(.host(Self.host), balance: .zero)) {
      try transfer(.payout(MicroCredits(1), host: Self.host), id: "3")
    }
    #expect(throws: AccountRefusal.balanceTooLarge) {
      try transfer(.credit(MicroCredits(.max), organisation: "acme"), id: "4")
    }
  }

  @Test("names, budgets and prices that make no sense are refused")
  func refusedChanges() throws {
    let world = try world()
    let month = try BudgetTerms(amount: .zero, window: BudgetWindow(.calendar, .month))
    let refused: [(AccountChange, AccountRefusal)] = [
      (.setOrganisation(id: "A", name: "A", isPrepaid: false, budgets: []), .invalidAccountID("A")),
      (.setOrganisation(id: "a", name: "\n", isPrepaid: false, budgets: []), .invalidName("\n")),
      (
        .setOrganisation(id: "a", name: "a", isPrepaid: false, budgets: [month, month]),
        .repeatedWindow(month.window)
      ),
      (
        .setTeam(try account("nowhere/team"), name: "t", budgets: []),
        .unknownOrganisation("nowhere")
      ),
      (.setTeam(try account("acme"), name: "t", budgets: []), .invalidAccountID("acme")),
      (
        .setOrganisation(id: "..", name: "A", isPrepaid: false, budgets: []),
        .invalidAccountID("..")
      ),
      (
        .addPrice(
          PriceRow(model: Self.model, effectiveFrom: world.wall - 1, price: .free)),
        .price(.inThePast(now: world.wall))
      ),
    ]
    for (change, refusal) in refused {
      #expect(throws: refusal) { try world.book.record(for: change, at: world.wall) }
    }
  }

  @Test("a refusal names the characters of an account's id only for such an id")
  func refusedNames() {
    #expect("\(AccountRefusal.invalidAccountID("A"))".contains("a–z"))
    #expect(!"\(AccountRefusal.invalidName("\n"))".contains("a–z"))
  }

  @Test("a price is refused if a table could not hold it when it comes into force")
  func tooManyPrices() throws {
    var world = try world()
    for number in 0..<Limits.publishedPrices.value {
      let row = PriceRow(
        model: ModelID("m\(number)"), effectiveFrom: world.wall, price: .free)
      world.store.save(.price(row))
    }
    try world.restart()
    let later = PriceRow(model: Self.model, effectiveFrom: world.wall + 1, price: .free)
    #expect(throws: AccountRefusal.price(.full)) {
      try world.book.record(for: .addPrice(later), at: world.wall)
    }
  }
}
