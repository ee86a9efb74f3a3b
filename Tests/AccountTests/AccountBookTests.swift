import Access
import ClusterModel
import Limits
import Money
import RegistryCore
import Testing

@Suite("The registry's book of accounts")
struct AccountBookTests: AccountBookSuite {
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

  @Test("a host earns its price of the admission, although it changed or the host was removed")
  func hostPriceOfAdmission() throws {
    for present in [[:], [Self.host: try price(0, 9_000_000)]] as [[HostID: TokenPrice]] {
      var world = try world()
      world.handle(.hostPrices(present))
      world.handle(ask(1, 100))
      var report = try settlement(hold: 100, billed: 80, tokens: 80, at: world.wall)
      report.answers[0].attempts[0].hostPrice = try price(0, 500_000)
      world.handle(.settlement(report, from: Self.gateway))
      #expect(world.book.balance(of: .host(Self.host)) == MicroCredits(40))
      #expect(world.book.balance(of: .margin) == MicroCredits(40))
    }
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

  @Test("a report that no balance has room for ends its hold, and the book stays usable")
  func fullBalance() throws {
    var world = try world()
    world.handle(.hostPrices([Self.host: try price(0, 1_000_000)]))
    let full = MicroCredits(.max)
    world.write(
      try world.book.transfer(
        AdminTransfer(
          id: "1",
          kind: .correction([
            LedgerEntry(account: .host(Self.host), amount: full),
            LedgerEntry(account: .paid, amount: try full.negated()),
          ])), at: world.time))
    world.handle(ask(1, 100))
    let directives = world.handle(
      .settlement(
        try settlement(hold: 100, billed: 60, tokens: 60, at: world.wall), from: Self.gateway))
    #expect(directives.last == .send(.settled(Self.gateway, through: 1), to: Self.gateway))
    #expect(world.store.log.last?.note.contains("\"problem\":") == true)
    #expect(world.book.balance(of: .host(Self.host)) == full)
    #expect(world.book.totalLeased == MicroCredits(100))
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

  @Test("a new budget refuses no request that waits for money of another one")
  func newBudgetWhileWaiting() throws {
    for isPrepaid in [false, true] {
      var world = try world(budget: 100)
      if isPrepaid {
        world.write(
          try world.book.transfer(
            AdminTransfer(id: "1", kind: .credit(MicroCredits(500), organisation: "acme")),
            at: world.time))
      }
      world.handle(ask(1, 100))
      let other = PeerID(name: "gateway-2", incarnation: 1)
      let waiting = LeaseAsk(
        lease: LeaseID(gateway: other, number: 1), key: key, number: 1,
        minimum: MicroCredits(60), worst: MicroCredits(60), want: MicroCredits(60))
      world.handle(.lease(.ask(waiting), from: other))
      let directives = try world.change(
        .setOrganisation(
          id: "acme", name: "Acme", isPrepaid: isPrepaid,
          budgets: [
            try BudgetTerms(
              amount: MicroCredits(100), window: BudgetWindow(.calendar, .month)),
            try BudgetTerms(amount: MicroCredits(100), window: BudgetWindow(.calendar, .day)),
          ]))
      #expect(refusals(directives).isEmpty, "prepaid: \(isPrepaid)")
      let served = world.handle(
        .lease(
          .giveBack(LeaseReturn(lease: lease, returned: MicroCredits(100))), from: Self.gateway))
      #expect(
        served.contains { if case .send(.granted, to: other) = $0 { true } else { false } })
      #expect(world.book.totalLeased == MicroCredits(60))
    }
  }

  @Test("money of thousands of leases that end at once returns in one write")
  func manyLeases() throws {
    var world = try world(budget: 1_000_000)
    let count = 3_000
    for number in 1...count {
      let ask = LeaseAsk(
        lease: LeaseID(gateway: Self.gateway, number: UInt64(number)), key: key, number: 1,
        minimum: MicroCredits(1), worst: MicroCredits(1), want: MicroCredits(1))
      world.handle(.lease(.ask(ask), from: Self.gateway))
    }
    world.instant = world.instant.advanced(by: .seconds(70))
    let directives = world.handle(.tick)
    let writes = directives.compactMap { directive -> Int? in
      if case .append(let transactions) = directive { transactions.count } else { nil }
    }
    #expect(writes == [count])
    #expect(world.book.totalLeased == .zero)
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

  @Test("a later process of a gateway keeps its predecessor's leases, and ends them")
  func successor() throws {
    var world = try world()
    world.handle(ask(1, 100))
    let later = PeerID(name: Self.gateway.name, incarnation: 2)
    var renewal = LeaseRenewal(gateway: Self.gateway, number: 1, oldest: 1, confirmed: 0)
    world.instant = world.instant.advanced(by: .seconds(50))
    let stranger = PeerID(name: "gateway-2", incarnation: 1)
    #expect(world.handle(.lease(.renew(renewal), from: stranger)).isEmpty)
    #expect(
      world.handle(.lease(.renew(renewal), from: later))
        == [.send(.renewed(renewal, settledThrough: 0), to: later)])
    world.instant = world.instant.advanced(by: .seconds(50))
    world.handle(.tick)
    #expect(world.book.totalLeased == MicroCredits(100))
    renewal.oldest = .max
    world.handle(.lease(.renew(renewal), from: later))
    #expect(world.book.totalLeased == .zero)
    #expect(world.book.balance(of: .holds(of: "acme")) == .zero)
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
    // The log has a hold, a settlement and a return.
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
}
