import ClusterModel
import Limits
import Overload
import OverloadCore
import Testing

private let alice = ClientID.ipv4(1)
private let bob = ClientID.ipv4(2)

@Suite("The client to which a request is counted")
struct ClientIDTests {
  @Test("an IPv4 address is one client, written either way")
  func ipv4() {
    let plain = ClientID(octets: [203, 0, 113, 7])
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 203, 0, 113, 7]
    #expect(plain == .ipv4(0xCB00_7107))
    #expect(ClientID(octets: mapped) == plain)
  }

  @Test(
    "an address in text is the client of its octets",
    arguments: [
      ("203.0.113.7", ClientID.ipv4(0xCB00_7107)), ("::ffff:203.0.113.7", .ipv4(0xCB00_7107)),
      ("127.0.0.1", .local), ("::1", .local), ("2001:db8:0:1::9", .ipv6(0x2001_0DB8_0000_0001)),
      ("2001:db8::", .ipv6(0x2001_0DB8_0000_0000)), ("fe80::1%eth0", .ipv6(0xFE80_0000_0000_0000)),
      ("1:2:3:4:5:6:7:8", .ipv6(0x0001_0002_0003_0004)),
    ])
  func text(address: String, client: ClientID) {
    #expect(ClientID(address: address) == client)
  }

  @Test("all addresses of one IPv6 network are one client")
  func ipv6() {
    func address(_ host: UInt8, network: UInt8 = 1) -> ClientID {
      ClientID(octets: [0x20, 1, 0xD, 0xB8, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, host])
    }
    #expect(address(1) == address(2))
    #expect(address(1) != address(1, network: 2))
  }

  @Test("this machine is one client, whichever of its own addresses is used")
  func local() {
    let loopback = [UInt8](repeating: 0, count: 15) + [1]
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 1]
    #expect(ClientID(octets: [127, 0, 0, 1]) == .local)
    #expect(ClientID(octets: [127, 9, 9, 9]) == .local)
    #expect(ClientID(octets: loopback) == .local)
    #expect(ClientID(octets: mapped) == .local)
    #expect(ClientID(octets: []) == .local)
  }
}

@Suite("Which connections a server keeps")
struct ConnectionTableTests {
  private let limits = ConnectionLimits(total: 4, perClient: 3, perLocalClient: 4, reserved: 2)

  @Test("a client at its share loses its own connection that has been idle longest")
  func ownIdlest() {
    var table = ConnectionTable(limits)
    let ids = (0..<3).map { _ in table.open(alice).id }
    for id in ids { _ = table.change(id, to: .idle) }
    _ = table.change(ids[0], to: .answering)
    _ = table.change(ids[0], to: .idle)
    #expect(table.open(alice).evicting?.id == ids[1])
    #expect(table.connections(of: alice) == 3)
  }

  @Test("a new connection, whose request may not have been read yet, is evicted last")
  func newest() {
    var table = ConnectionTable(limits)
    let ids = (0..<3).map { _ in table.open(alice).id }
    _ = table.change(ids[2], to: .receiving)
    #expect(table.open(alice).evicting?.id == ids[2])
    _ = table.change(ids[1], to: .answering)
    _ = table.change(ids[1], to: .idle)
    #expect(table.open(alice).evicting?.id == ids[1])
    #expect(table.open(alice).evicting?.id == ids[0])
  }

  @Test("a connection that stays silent for long is evicted before another client's request")
  func silent() {
    var table = ConnectionTable(
      ConnectionLimits(total: 4, perClient: 4, perLocalClient: 4, reserved: 2))
    let silent = (0..<2).map { _ in table.open(alice).id }
    let uploads = (0..<2).map { _ in table.open(bob).id }
    for id in uploads { _ = table.change(id, to: .receiving) }
    #expect(table.open(.ipv4(3)).evicting?.id == silent[0])
  }

  @Test("600 idle connections of one client do not keep another out")
  func idleCrowd() {
    var table = ConnectionTable(
      ConnectionLimits(total: 600, perClient: 600, perLocalClient: 600, reserved: 2))
    let crowd = (0..<600).map { _ in table.open(alice).id }
    let admission = table.open(bob)
    guard case .served(_, let evicted?) = admission else {
      Issue.record("\(admission)")
      return
    }
    #expect(evicted.id == crowd[0] && evicted.activity == .new)
    #expect(table.count == 600)
  }

  @Test("a full server takes room from the client that has most connections")
  func largestFirst() {
    var table = ConnectionTable(limits)
    let old = table.open(bob).id
    let ids = (0..<3).map { _ in table.open(alice).id }
    let admission = table.open(.ipv4(3))
    #expect(admission.evicting?.id == ids[0])
    #expect(table.connections(of: bob) == 1)
    _ = old
  }

  @Test("requests that never become complete make room for a client that has fewer connections")
  func incomplete() {
    var table = ConnectionTable(limits)
    let ids = (0..<3).map { _ in table.open(alice).id }
    let own = table.open(bob).id
    for id in ids + [own] { _ = table.change(id, to: .receiving) }
    let evicted = table.open(.ipv4(3)).evicting
    #expect(evicted?.id == ids[0] && evicted?.activity == .receiving)
  }

  @Test("a client whose requests never become complete can still send a new one")
  func ownIncomplete() {
    var table = ConnectionTable(limits)
    let ids = (0..<3).map { _ in table.open(alice).id }
    _ = table.change(ids[2], to: .answering)
    _ = table.change(ids[1], to: .receiving)
    _ = table.change(ids[0], to: .receiving)
    let evicted = table.open(alice).evicting
    #expect(evicted?.id == ids[1] && evicted?.activity == .receiving)
    // One slow request among others is no flood. So it stays, and the new connection serves only
    // health and metrics.
    var busy = ConnectionTable(
      ConnectionLimits(total: 8, perClient: 8, perLocalClient: 8, reserved: 2))
    for (number, id) in (0..<8).map({ _ in busy.open(alice).id }).enumerated() {
      _ = busy.change(id, to: number == 0 ? .receiving : .answering)
    }
    #expect(busy.open(alice).evicting == nil)
  }

  @Test("where all connections are at work, a new one gets health and metrics only")
  func reserve() {
    var table = ConnectionTable(limits)
    for client in [alice, alice, bob, bob] {
      _ = table.change(table.open(client).id, to: .answering)
    }
    let first = table.open(.ipv4(3))
    guard case .reserved(_, nil, let limit) = first else {
      Issue.record("\(first)")
      return
    }
    #expect(limit.name == Limits.connections.name && limit.value == 4)
    _ = table.open(.ipv4(3))
    let third = table.open(.ipv4(3))
    #expect(third.evicting?.id == first.id)
    #expect(table.count == 6)
  }

  @Test("a connection that is at work after all comes back into the table")
  func reinstated() {
    var table = ConnectionTable(limits)
    let ids = (0..<3).map { _ in table.open(alice).id }
    let evicted = table.open(alice).evicting
    #expect(evicted?.id == ids[0])
    table.reinstate(ids[0], of: alice, .answering)
    #expect(table.connections(of: alice) == 4)
    table.close(ids[0])
    table.close(ids[0])
    #expect(table.connections(of: alice) == 3)
  }

  @Test("of too many refused connections, the oldest one of the client with the most is closed")
  func refused() {
    var table = ConnectionTable(
      ConnectionLimits(total: 9, perClient: 8, perLocalClient: 9, reserved: 2, refused: 3))
    let ids = [bob, alice, alice, alice, alice].map { table.open($0).id }
    for id in ids.prefix(3) {
      let evicted = table.change(id, to: .refused)
      #expect(evicted == nil)
    }
    // A closed connection is no longer counted.
    table.close(ids[2])
    let third = table.change(ids[3], to: .refused)
    #expect(third == nil)
    let evicted = table.change(ids[4], to: .refused)
    #expect(evicted?.id == ids[1] && table.count == 3)
    // It counts again if it is answered after all.
    table.reinstate(ids[1], of: alice, .answering)
    #expect(table.connections(of: alice) == 3)
  }

  @Test("a refused connection is evicted before an idle one")
  func refusedFirst() {
    var table = ConnectionTable(limits)
    let ids = (0..<3).map { _ in table.open(alice).id }
    _ = table.change(ids[0], to: .idle)
    _ = table.change(ids[1], to: .refused)
    #expect(table.open(alice).evicting?.id == ids[1])
  }

  @Test("a table whose connections are closed is empty")
  func empties() {
    var table = ConnectionTable(limits)
    let ids = [alice, alice, alice, alice, bob, bob, bob].map { table.open($0).id }
    for id in ids { table.close(id) }
    #expect(table.count == 0 && table.connections(of: alice) == 0)
  }
}

@Suite("Shares of one client")
struct ClientSharesTests {
  private func shares() -> ClientShares {
    ClientShares(
      total: 5, remote: ClientShare(requests: 3, requestBytes: 100, plans: 1),
      local: ClientShare(requests: 5, requestBytes: 200, plans: 2))
  }

  @Test("a client above its share of requests gets an error with the limit, and another is served")
  func requests() throws {
    var shares = shares()
    for _ in 0..<3 { try shares.enter(alice) }
    #expect {
      try shares.enter(alice)
    } throws: { error in
      let failure = error as? Failure
      return failure?.code == .rateLimited && failure?.retryAfter == .seconds(1)
        && failure?.message.contains("clients.requests_per_client") == true
        && failure?.message.contains("3") == true
    }
    try shares.enter(bob)
    shares.leave(alice)
    try shares.enter(alice)
  }

  @Test("if all places are taken, every client gets the error that the gateway is full")
  func full() throws {
    var shares = shares()
    for client in [alice, alice, bob, bob, .local] { try shares.enter(client) }
    #expect {
      try shares.check(.ipv4(3))
    } throws: { ($0 as? Failure)?.code == .overloaded }
  }

  @Test("plans have a share of their own")
  func plans() throws {
    var shares = shares()
    try shares.enterPlan(alice)
    #expect(throws: Failure.self) { try shares.enterPlan(alice) }
    try shares.enterPlan(bob)
    shares.leavePlan(alice)
    try shares.enterPlan(alice)
  }

  /// Enters requests of one key, from the addresses in turn, until one is refused. Returns how many
  /// entered.
  private static func fill(
    _ shares: inout ClientShares, key: UInt64?, from clients: [ClientID]
  ) -> Int {
    var count = 0
    while (try? shares.enter(clients[count % clients.count], key: key)) != nil { count += 1 }
    return count
  }

  @Test("a key that keeps many requests waiting leaves places to other keys")
  func keys() throws {
    let many = ClientShare(requests: 512, requestBytes: 100, plans: 256)
    for clients in [[alice], [alice, bob, .local]] {
      var shares = ClientShares(total: 512, remote: many, local: many)
      #expect(Self.fill(&shares, key: 1, from: clients) == 448)
      #expect(Self.fill(&shares, key: 2, from: clients) == 32)
      #expect(Self.fill(&shares, key: 3, from: clients) == 32)
      #expect(shares.requests == 512)
      shares.leave(clients[0], key: 3)
      #expect(throws: Failure.self) { try shares.enter(clients[0], key: 1) }
      try shares.enter(clients[0], key: 4)
    }
    var shares = ClientShares(total: 512, remote: many, local: many)
    #expect(Self.fill(&shares, key: nil, from: [alice]) == 512)
  }

  @Test("a key leaves places of its address to other keys")
  func keysOfOneAddress() throws {
    var shares = ClientShares(total: 512)
    #expect(Self.fill(&shares, key: 1, from: [alice]) == 112)
    #expect(Self.fill(&shares, key: 2, from: [alice]) == 8)
    var plans = 0
    while (try? shares.enterPlan(alice, key: 1)) != nil { plans += 1 }
    #expect(plans == 28)
    try shares.enterPlan(alice, key: 2)
    shares.leavePlan(alice, key: 2)
    #expect {
      try shares.enterPlan(alice, key: 1)
    } throws: { error in
      let failure = error as? Failure
      return failure?.code == .rateLimited && failure?.message.contains("28 plans") == true
        && failure?.message.contains("clients.key_reserve") == true
    }
  }

  @Test("a client that uses nothing is forgotten")
  func forgotten() throws {
    var shares = shares()
    for number in 0..<1_000 as Range<UInt32> {
      let client = ClientID.ipv4(number)
      let key = UInt64(number)
      try shares.enter(client, key: key)
      try shares.enterPlan(client, key: key)
      shares.leavePlan(client, key: key)
      shares.leave(client, key: key)
    }
    #expect(shares.clients == 0 && shares.requests == 0)
  }
}

@Suite("The memory that a process holds for others")
struct MemoryLedgerTests {
  private let limit = Limits.processMemory.with(1_000)

  @Test("at the budget the largest unread stream ends, and what made room is granted")
  func largestEnds() {
    var ledger = MemoryLedger(limit, smallestVictim: 1)
    let small = ledger.open(.unread)
    let large = ledger.open(.unread)
    let body = ledger.open(.work)
    #expect(ledger.charge(200, to: small).isGranted)
    #expect(ledger.charge(500, to: large).isGranted)
    #expect(ledger.charge(300, to: body).isGranted)
    let verdict = ledger.charge(100, to: small)
    #expect(verdict.isGranted && verdict.ended == large)
    #expect(ledger.held == 600)
    #expect(!ledger.charge(1, to: large).isGranted)
  }

  @Test("the stream that grows largest is the one that ends")
  func growing() {
    var ledger = MemoryLedger(limit, smallestVictim: 1)
    let other = ledger.open(.unread)
    let growing = ledger.open(.unread)
    _ = ledger.charge(400, to: other)
    _ = ledger.charge(350, to: growing)
    let verdict = ledger.charge(300, to: growing)
    #expect(!verdict.isGranted && verdict.ended == growing)
    #expect(ledger.held == 400)
  }

  @Test("large bodies leave an eighth of the budget to small requests")
  func reserve() {
    var ledger = MemoryLedger(Limits.processMemory.with(8 << 20))
    let large = ledger.open(.work)
    #expect(ledger.charge(7 << 20, to: large).isGranted)
    #expect(!ledger.charge(1, to: large).isGranted)
    let other = ledger.open(.work)
    #expect(!ledger.charge(1 << 20, to: other).isGranted)
    for _ in 0..<4 {
      let small = ledger.open(.work)
      #expect(ledger.charge(256 << 10, to: small).isGranted)
    }
    #expect(!ledger.charge(1, to: ledger.open(.work)).isGranted)
  }

  @Test("work is refused where no stream is unread, and nothing ends")
  func work() {
    var ledger = MemoryLedger(limit, smallestVictim: 1)
    let first = ledger.open(.work)
    let second = ledger.open(.work)
    #expect(ledger.charge(900, to: first).isGranted)
    let verdict = ledger.charge(200, to: second)
    #expect(!verdict.isGranted && verdict.ended == nil)
    ledger.close(first)
    #expect(ledger.charge(200, to: second).isGranted)
    #expect(ledger.charge(.max, to: second).isGranted == false)
  }

  @Test("a stream with next to nothing unread is not ended for others")
  func smallStreams() {
    var ledger = MemoryLedger(limit, smallestVictim: 100)
    let stream = ledger.open(.unread)
    let body = ledger.open(.work)
    _ = ledger.charge(99, to: stream)
    #expect(ledger.charge(2_000, to: body) == .init(isGranted: false, ended: nil))
  }

  @Test("an account returns what it held, also when it grew and shrank")
  func accounts() {
    let budget = MemoryBudget(1 << 20)
    do {
      let account = budget.account()
      #expect(account.add(100_000) && account.add(200_000) && account.set(10))
      #expect(budget.held < 100_000)
      #expect(account.set(900_000))
      let other = budget.account()
      #expect(!other.add(200_000))
    }
    #expect(budget.held == 0)
  }

  @Test("bytes that were refused are not charged again with later bytes")
  func refusal() {
    let budget = MemoryBudget(256 << 10)
    let account = budget.account()
    #expect(account.add(1_000))
    #expect(!account.add(1 << 20))
    #expect(account.add(1_000))
    #expect(budget.held == 16 << 10)
    #expect(!account.set(1 << 20))
    #expect(account.add(1_000))
    #expect(budget.held == 16 << 10)
  }
}
