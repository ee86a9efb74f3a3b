import ClusterModel
import Limits
import Money
import Testing

struct LeaseIssuerTests {
  private static let one = PeerID(name: "gateway-1", incarnation: 1)
  private static let two = PeerID(name: "gateway-2", incarnation: 1)
  private static let key = AccountID("key/one")
  private static let org = CeilingID("org/acme")
  private let leaseOne = LeaseID(gateway: one, number: 1)
  private let leaseTwo = LeaseID(gateway: two, number: 1)

  private func issuer(money: Int64) -> LeaseIssuer {
    var issuer = LeaseIssuer(now: .zero)
    _ = issuer.setCeiling(Ceiling(id: Self.org, remaining: MicroCredits(money)), now: .zero)
    _ = issuer.setKey(Self.key, path: [Self.org], now: .zero)
    return issuer
  }

  private func ask(
    _ lease: LeaseID, _ number: UInt64 = 1, minimum: Int64, worst: Int64, want: Int64? = nil,
    granted: Int64 = 0, isLastCall: Bool = false
  ) -> LeaseRequest {
    .ask(
      LeaseAsk(
        lease: lease, key: Self.key, number: number, granted: MicroCredits(granted),
        minimum: MicroCredits(minimum), worst: MicroCredits(worst),
        want: MicroCredits(want ?? worst), isLastCall: isLastCall))
  }

  private func hold(_ lease: LeaseID, _ amount: Int64, ask: UInt64 = 1) -> LeaseIssuer.Directive {
    .post(LeasePosting(lease: lease, key: Self.key, .hold(MicroCredits(amount), ask: ask)))
  }

  private func grant(
    _ lease: LeaseID, total: Int64, ask: UInt64 = 1, restOf ceiling: Ceiling? = nil
  ) -> LeaseIssuer.Directive {
    .send(
      .granted(
        LeaseGrant(
          lease: lease, ask: ask, total: MicroCredits(total), isRest: ceiling != nil,
          ceiling: ceiling)),
      to: lease.gateway)
  }

  private func ceiling(_ remaining: Int64) -> LeaseRefusal {
    .ceiling(Ceiling(id: Self.org, remaining: MicroCredits(remaining)))
  }

  @Test("a repeated ask gets the same grant and moves no money")
  func repeatedAsk() {
    var issuer = issuer(money: 1_000)
    let first = issuer.receive(ask(leaseOne, minimum: 1, worst: 10), now: .zero)
    #expect(first == [hold(leaseOne, 10), grant(leaseOne, total: 10)])
    let second = issuer.receive(ask(leaseOne, minimum: 1, worst: 10), now: .zero)
    #expect(second == [grant(leaseOne, total: 10)])
    #expect(issuer.totalLeased == MicroCredits(10))
  }

  @Test("an ask that misses a grant gets the grant again, and no more")
  func missedGrant() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 80, worst: 80), now: .zero)
    let again = issuer.receive(ask(leaseOne, 2, minimum: 80, worst: 80), now: .zero)
    #expect(again == [grant(leaseOne, total: 80, ask: 2)])
  }

  @Test("slices shrink with the rest and with the number of gateways")
  func slices() {
    var issuer = issuer(money: 1_000)
    let first = issuer.receive(ask(leaseOne, minimum: 1, worst: 10, want: 900), now: .zero)
    #expect(first == [hold(leaseOne, 500), grant(leaseOne, total: 500)])
    let second = issuer.receive(ask(leaseTwo, minimum: 1, worst: 10, want: 900), now: .zero)
    #expect(second == [hold(leaseTwo, 125), grant(leaseTwo, total: 125)])
  }

  @Test("a reserve without a waiting request is granted from money that no request waits for")
  func askAhead() {
    var issuer = issuer(money: 1_000)
    let ahead = issuer.receive(ask(leaseOne, minimum: 0, worst: 0, want: 300), now: .zero)
    #expect(ahead == [hold(leaseOne, 300), grant(leaseOne, total: 300)])
    _ = issuer.receive(ask(leaseTwo, minimum: 900, worst: 900), now: .zero)
    let none = issuer.receive(
      ask(leaseOne, 2, minimum: 0, worst: 0, want: 300, granted: 300), now: .zero)
    #expect(none == [grant(leaseOne, total: 300, ask: 2)])
  }

  @Test("money is recalled from other gateways before a request is refused")
  func recall() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 10, worst: 10, want: 90), now: .zero)
    let waits = issuer.receive(ask(leaseTwo, minimum: 80, worst: 80), now: .zero)
    #expect(
      waits == [
        .send(.waiting(leaseTwo, ask: 1, ceiling(100)), to: Self.two),
        .send(.recalled(leaseOne), to: Self.one),
      ])
    let giveBack = LeaseReturn(lease: leaseOne, returned: MicroCredits(40))
    let served = issuer.receive(.giveBack(giveBack), now: .zero)
    #expect(served.contains(grant(leaseTwo, total: 80)))
  }

  @Test("a request that fits no outcome is refused at once")
  func hopeless() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 10, worst: 10), now: .zero)
    let refused = issuer.receive(ask(leaseTwo, minimum: 101, worst: 200), now: .zero)
    #expect(refused == [.send(.refused(leaseTwo, ask: 1, ceiling(100)), to: Self.two)])
  }

  @Test("a request below a ceiling that is not set yet waits until it is set")
  func newCeiling() {
    let day = CeilingID("org/acme/day")
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 80, worst: 80), now: .zero)
    _ = issuer.receive(ask(leaseTwo, minimum: 50, worst: 50), now: .zero)
    let moved = issuer.setKey(Self.key, path: [Self.org, day], now: .zero)
    #expect(!moved.contains { if case .send(.refused, to: _) = $0 { true } else { false } })
    _ = issuer.setCeiling(Ceiling(id: day, remaining: MicroCredits(500)), now: .zero)
    let giveBack = LeaseReturn(lease: leaseOne, returned: MicroCredits(80))
    let served = issuer.receive(.giveBack(giveBack), now: .zero)
    #expect(served.contains(grant(leaseTwo, total: 50)))
    #expect(issuer.left(below: day) == MicroCredits(450))
  }

  @Test("a ceiling that was removed and made again grants nothing from its earlier amount")
  func removedCeiling() {
    let day = CeilingID("org/acme/day")
    var issuer = issuer(money: 100)
    _ = issuer.setCeiling(Ceiling(id: day, remaining: MicroCredits(90)), now: .zero)
    issuer.removeCeiling(day)
    _ = issuer.setKey(Self.key, path: [Self.org, day], now: .zero)
    let early = issuer.receive(ask(leaseOne, minimum: 50, worst: 50), now: .zero)
    #expect(!early.contains(grant(leaseOne, total: 50)))
    let refused = issuer.setCeiling(Ceiling(id: day, remaining: MicroCredits(40)), now: .zero)
    #expect(refused.contains { if case .send(.refused, to: _) = $0 { true } else { false } })
  }

  @Test("a last call takes what is left now, and the grant names the ceiling")
  func lastCall() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 70, worst: 70), now: .zero)
    let rest = issuer.receive(
      ask(leaseTwo, minimum: 20, worst: 90, isLastCall: true), now: .zero)
    let ceiling = Ceiling(id: Self.org, remaining: MicroCredits(100))
    #expect(rest == [hold(leaseTwo, 30), grant(leaseTwo, total: 30, restOf: ceiling)])
  }

  @Test("money of a silent gateway returns after its validity, and a later bill goes to margin")
  func lateSettlement() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 70, worst: 70), now: .zero)
    #expect(issuer.tick(now: .zero + .seconds(62)).isEmpty)
    let ended = issuer.tick(now: .zero + .seconds(64))
    #expect(
      ended == [.post(LeasePosting(lease: leaseOne, key: Self.key, .expire(MicroCredits(70))))])
    let settlement = LeaseSettlement(
      lease: leaseOne, key: Self.key, number: 1, request: 9, hold: MicroCredits(70),
      billed: MicroCredits(60))
    let late = issuer.receive(.settle(settlement), now: .zero + .seconds(65))
    #expect(
      late == [
        .post(
          LeasePosting(
            lease: leaseOne, key: Self.key,
            .settle(settlement, charged: .zero, toMargin: MicroCredits(60))))
      ])
    #expect(issuer.left(below: Self.org) == MicroCredits(100))
    let renewal = LeaseRenewal(gateway: Self.one, number: 1, oldest: 1, confirmed: 0)
    #expect(
      issuer.receive(.renew(renewal), now: .zero + .seconds(66))
        == [.send(.ended(Self.one, through: 1), to: Self.one)])
  }

  @Test("a repeated settlement is billed once and confirmed")
  func repeatedSettlement() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 70, worst: 70), now: .zero)
    let settlement = LeaseSettlement(
      lease: leaseOne, key: Self.key, number: 1, request: 9, hold: MicroCredits(70),
      billed: MicroCredits(60))
    #expect(issuer.receive(.settle(settlement), now: .zero).count == 1)
    #expect(
      issuer.receive(.settle(settlement), now: .zero)
        == [.send(.settled(Self.one, through: 1), to: Self.one)])
    #expect(issuer.totalLeased == MicroCredits(10))
    #expect(issuer.left(below: Self.org) == MicroCredits(30))
  }

  @Test("a restarted registry knows its leases")
  func restart() {
    var before = issuer(money: 100)
    var log: [LeasePosting] = []
    let directives =
      before.receive(ask(leaseOne, minimum: 70, worst: 70), now: .zero)
      + before.receive(ask(leaseTwo, minimum: 20, worst: 20), now: .zero)
      + before.receive(
        .giveBack(LeaseReturn(lease: leaseOne, returned: MicroCredits(30))), now: .zero)
    for case .post(let posting) in directives { log.append(posting) }
    var after = LeaseIssuer(restoring: log, now: .zero)
    _ = after.setKey(Self.key, path: [Self.org], now: .zero)
    _ = after.setCeiling(Ceiling(id: Self.org, remaining: MicroCredits(100)), now: .zero)
    #expect(after.totalLeased == MicroCredits(60))
    #expect(after.left(below: Self.org) == MicroCredits(40))
    #expect(
      after.receive(ask(leaseTwo, minimum: 20, worst: 20), now: .zero)
        == [grant(leaseTwo, total: 20)])
  }

  @Test("a revoked key gets nothing and its money is recalled")
  func revoked() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 70, worst: 70), now: .zero)
    #expect(
      issuer.revokeKey(Self.key, now: .zero) == [.send(.recalled(leaseOne), to: Self.one)])
    #expect(
      issuer.receive(ask(leaseOne, 2, minimum: 1, worst: 1, granted: 70), now: .zero)
        == [.send(.refused(leaseOne, ask: 2, .key), to: Self.one)])
  }

  @Test("credits wake the waiting requests")
  func credits() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 90, worst: 90), now: .zero)
    _ = issuer.receive(ask(leaseTwo, minimum: 50, worst: 50), now: .zero)
    let served = issuer.setCeiling(
      Ceiling(id: Self.org, remaining: MicroCredits(200)), now: .zero)
    #expect(served == [hold(leaseTwo, 50), grant(leaseTwo, total: 50)])
  }

  @Test("a lowered limit overdraws nothing: no more is granted until money returns")
  func loweredLimit() {
    var issuer = issuer(money: 100)
    _ = issuer.receive(ask(leaseOne, minimum: 90, worst: 90), now: .zero)
    let lowered = issuer.setCeiling(
      Ceiling(id: Self.org, remaining: MicroCredits(50)), now: .zero)
    #expect(lowered == [.send(.recalled(leaseOne), to: Self.one)])
    let waits = issuer.receive(ask(leaseTwo, minimum: 20, worst: 20), now: .zero)
    #expect(waits.contains(.send(.waiting(leaseTwo, ask: 1, ceiling(50)), to: Self.two)))
  }

  @Test("impossible amounts are refused")
  func impossibleAmounts() {
    var issuer = issuer(money: 100)
    let refused = issuer.receive(ask(leaseOne, minimum: 5, worst: 3), now: .zero)
    #expect(refused == [.send(.refused(leaseOne, ask: 1, .invalid), to: Self.one)])
    _ = issuer.receive(ask(leaseOne, minimum: 5, worst: .max), now: .zero)
    _ = issuer.receive(
      .giveBack(LeaseReturn(lease: leaseOne, returned: MicroCredits(.max))), now: .zero)
    #expect(issuer.left(below: Self.org) == MicroCredits(100))
  }

  @Test("an issuer from a long ledger knows the last gateways, and all that have money")
  func manyGateways() {
    let limit = Limits.leasingGateways.value
    let gateways = (0..<3 * limit).map { PeerID(name: "gateway-\($0)", incarnation: 1) }
    var issuer = LeaseIssuer(now: .zero)
    for (index, gateway) in gateways.enumerated() {
      let lease = LeaseID(gateway: gateway, number: 1)
      let settlement = LeaseSettlement(
        lease: lease, key: Self.key, number: 1, request: 1, hold: .zero, billed: .zero)
      var changes: [LeasePosting.Change] = [
        .hold(MicroCredits(5), ask: 1),
        .settle(settlement, charged: .zero, toMargin: .zero),
      ]
      // The first gateway keeps its money and sends nothing more.
      if index > 0 { changes.append(.end(MicroCredits(5))) }
      for change in changes {
        issuer.restore(LeasePosting(lease: lease, key: Self.key, change), now: .zero)
      }
    }
    issuer.finishRestoring()
    #expect(issuer.totalLeased == MicroCredits(5))
    let known = gateways.filter { issuer.settledThrough(by: $0) == 1 }
    #expect(known == [gateways[0]] + gateways.suffix(limit - 1))
    #expect(issuer.snapshot.gateways.map(\.id) == known)
  }
}
