import ClusterModel
import Money
import Testing

struct LeasedBudgetTests {
  private static let gateway = PeerID(name: "gateway-1", incarnation: 1)
  private static let key = AccountID("key/one")
  private let lease = LeaseID(gateway: gateway, number: 1)
  private let org = Ceiling(id: CeilingID("org/acme"), remaining: MicroCredits(7))

  private func cost(_ minimum: Int64, _ worst: Int64) -> RequestCost {
    RequestCost(minimum: MicroCredits(minimum), worst: MicroCredits(worst))
  }

  private func asks(_ directives: [LeasedBudget.Directive]) -> [LeaseAsk] {
    directives.compactMap { if case .send(.ask(let ask)) = $0 { ask } else { nil } }
  }

  private func granted(
    _ total: Int64, ask: UInt64 = 1, isRest: Bool = false
  ) -> LeaseAnswer {
    .granted(
      LeaseGrant(
        lease: lease, ask: ask, total: MicroCredits(total), isRest: isRest,
        ceiling: isRest ? org : nil))
  }

  private func confirm(
    _ budget: inout LeasedBudget, _ directives: [LeasedBudget.Directive], now: Instant
  ) -> [LeasedBudget.Directive] {
    var more: [LeasedBudget.Directive] = []
    for case .send(.renew(let renewal)) in directives {
      more += budget.receive(.renewed(renewal, settledThrough: 0), now: now)
    }
    return more
  }

  /// A budget with one running request that holds 100, and unused money.
  private func budget(room: Int64) -> LeasedBudget {
    var budget = LeasedBudget(gateway: Self.gateway)
    let (_, first) = budget.admit(
      1, of: Self.key, cost: cost(1, 100), patience: .seconds(10), now: .zero)
    _ = confirm(&budget, first, now: .zero)
    _ = budget.receive(granted(100 + room), now: .zero)
    return budget
  }

  @Test("a request with room in the lease is admitted without a message")
  func fastPath() {
    var budget = budget(room: 50)
    let (admission, directives) = budget.admit(
      2, of: Self.key, cost: cost(1, 50), patience: .seconds(10), now: .zero)
    #expect(admission == .admitted(hold: MicroCredits(50)))
    #expect(directives.isEmpty)
  }

  @Test("a request is admitted at once, or nothing changes")
  func atOnce() {
    var budget = budget(room: 50)
    let other = AccountID("key/two")
    #expect(budget.admitAtOnce(2, of: other, cost: cost(1, 5), now: .zero) == nil)
    #expect(budget.admitAtOnce(2, of: Self.key, cost: cost(1, 51), now: .zero) == nil)
    #expect(budget.leaseCount == 1 && budget.runningCount == 1 && budget.waitingCount == 0)
    #expect(budget.admitAtOnce(2, of: Self.key, cost: cost(1, 50), now: .zero) == lease)
    #expect(budget.lease(of: 2) == lease)
    #expect(budget.admitAtOnce(3, of: Self.key, cost: cost(1, 1), now: .zero) == nil)
    // A waiting request is served before a new one.
    _ = budget.admit(4, of: Self.key, cost: cost(1, 60), patience: .seconds(10), now: .zero)
    _ = budget.settle(2, billed: .zero, now: .zero)
    #expect(budget.admitAtOnce(5, of: Self.key, cost: cost(1, 1), now: .zero) == nil)
    // The registry has confirmed no renewal for longer than a lease is valid.
    #expect(budget.admitAtOnce(6, of: Self.key, cost: cost(1, 1), now: .zero + .seconds(61)) == nil)
  }

  @Test("a lease that is in use gets another reserve before it is empty")
  func askAhead() throws {
    var budget = budget(room: 400)
    #expect(asks(budget.tick(now: .zero + .seconds(2))).isEmpty, "enough is left")
    _ = budget.admitAtOnce(2, of: Self.key, cost: cost(1, 350), now: .zero + .seconds(2))
    let ask = try #require(asks(budget.tick(now: .zero + .seconds(2))).first)
    #expect(ask.minimum == .zero && ask.worst == .zero && ask.want == MicroCredits(750))
    #expect(asks(budget.tick(now: .zero + .milliseconds(2_250))).isEmpty)
    // A bill does not withdraw the ask.
    let settled = budget.settle(2, billed: MicroCredits(350), now: .zero + .milliseconds(2_300))
    #expect(settled.count == 1)
    #expect(budget.receive(granted(1_250, ask: ask.number), now: .zero + .seconds(3)).isEmpty)
    #expect(
      budget.admitAtOnce(3, of: Self.key, cost: cost(1, 800), now: .zero + .seconds(3)) == lease)
  }

  @Test("an unanswered ask for a reserve is repeated while the lease is used")
  func repeatedAskAhead() throws {
    var budget = budget(room: 400)
    let second = Instant.zero + .seconds(2)
    _ = budget.admitAtOnce(2, of: Self.key, cost: cost(1, 350), now: second)
    let ask = try #require(asks(budget.tick(now: second)).first)
    _ = budget.admitAtOnce(3, of: Self.key, cost: cost(1, 10), now: second + .seconds(2))
    #expect(asks(budget.tick(now: second + .seconds(2))) == [ask])
    #expect(asks(budget.tick(now: second + .seconds(4))).isEmpty, "no request came")
    // A request that has to wait replaces the ask by its own.
    let (admission, directives) = budget.admit(
      4, of: Self.key, cost: cost(60, 70), patience: .seconds(10), now: second + .seconds(4))
    #expect(admission == .waiting && asks(directives).map(\.worst) == [MicroCredits(30)])
  }

  @Test("a reserve that the registry cannot spare does not grow")
  func shortReserve() throws {
    var budget = budget(room: 400)
    _ = budget.admitAtOnce(2, of: Self.key, cost: cost(1, 350), now: .zero + .seconds(2))
    var total: Int64 = 500
    for second in 2...4 {
      let now = Instant.zero + .seconds(second)
      let ask = try #require(asks(budget.tick(now: now)).first)
      #expect(ask.want == MicroCredits(750))
      total += 10
      #expect(budget.receive(granted(total, ask: ask.number), now: now).isEmpty)
      // The next request uses the money of the grant.
      let request = UInt64(second) + 1
      #expect(budget.admitAtOnce(request, of: Self.key, cost: cost(1, 10), now: now) == lease)
    }
  }

  @Test("a recalled lease also returns a reserve whose grant was lost")
  func recallAfterLostGrant() throws {
    var budget = budget(room: 400)
    _ = budget.admitAtOnce(2, of: Self.key, cost: cost(1, 350), now: .zero + .seconds(2))
    let ask = try #require(asks(budget.tick(now: .zero + .seconds(2))).first)
    let first = budget.receive(.recalled(lease), now: .zero + .seconds(2))
    #expect(
      first == [
        .send(.giveBack(LeaseReturn(lease: lease, returned: MicroCredits(50), withdrawn: 1)))
      ])
    #expect(asks(budget.tick(now: .zero + .seconds(3))) == [ask])
    let second = budget.receive(granted(1_250, ask: ask.number), now: .zero + .seconds(3))
    #expect(
      second == [
        .send(.giveBack(LeaseReturn(lease: lease, returned: MicroCredits(800), withdrawn: 2)))
      ])
  }

  @Test("a bill is the settlement and the directives that follow from it")
  func bill() throws {
    var budget = budget(room: 50)
    let first = budget.bill(1, billed: MicroCredits(30), now: .zero)
    let (quiet, none) = try #require(first)
    #expect(quiet.number == 1 && quiet.hold == MicroCredits(100) && none.isEmpty)
    #expect(budget.bill(1, billed: MicroCredits(30), now: .zero) == nil)
    // 120 micro-credits are left. The end of request 2 admits the waiting request 3.
    #expect(budget.admitAtOnce(2, of: Self.key, cost: cost(1, 100), now: .zero) == lease)
    _ = budget.admit(3, of: Self.key, cost: cost(1, 90), patience: .seconds(10), now: .zero)
    let second = budget.bill(2, billed: MicroCredits(30), now: .zero)
    let (_, others) = try #require(second)
    #expect(others.contains(.admit(3, hold: MicroCredits(90))))
    // Recalled money returns with the bill.
    _ = budget.receive(.recalled(lease), now: .zero)
    let third = budget.bill(3, billed: .zero, now: .zero)
    let (_, returns) = try #require(third)
    #expect(returns.contains { if case .send(.giveBack) = $0 { true } else { false } })
  }

  @Test("money is not spent before the registry confirmed a renewal")
  func unconfirmed() {
    var budget = LeasedBudget(gateway: Self.gateway)
    let (admission, directives) = budget.admit(
      1, of: Self.key, cost: cost(1, 100), patience: .seconds(10), now: .zero)
    #expect(admission == .waiting)
    #expect(asks(directives).map(\.worst) == [MicroCredits(100)])
    #expect(budget.receive(granted(100), now: .zero).isEmpty)
    #expect(
      confirm(&budget, directives, now: .zero) == [.admit(1, hold: MicroCredits(100))])
  }

  @Test("a lease is used while the registry is away, and no longer than it is valid")
  func registryAway() {
    var budget = budget(room: 100)
    let (early, _) = budget.admit(
      2, of: Self.key, cost: cost(1, 50), patience: .seconds(10), now: .zero + .seconds(59))
    #expect(early == .admitted(hold: MicroCredits(50)))
    let (late, _) = budget.admit(
      3, of: Self.key, cost: cost(1, 50), patience: .seconds(10), now: .zero + .seconds(61))
    #expect(late == .waiting)
    let ended = budget.tick(now: .zero + .seconds(73))
    #expect(ended.contains(.refuse(3, .registryAway)))
  }

  @Test("a recall returns unused money and nothing that running requests hold")
  func recall() {
    var budget = budget(room: 50)
    let returned = budget.receive(.recalled(lease), now: .zero)
    #expect(
      returned == [
        .send(
          .giveBack(LeaseReturn(lease: lease, returned: MicroCredits(50), withdrawn: 1)))
      ])
    // After a recall, the unused part of a hold is returned, too.
    let settled = budget.settle(1, billed: MicroCredits(30), now: .zero)
    #expect(
      settled.last
        == .send(
          .giveBack(LeaseReturn(lease: lease, returned: MicroCredits(120), withdrawn: 1))))
  }

  @Test("the unused part of a hold admits the next request")
  func unusedHold() {
    var budget = budget(room: 0)
    let (admission, _) = budget.admit(
      2, of: Self.key, cost: cost(1, 60), patience: .seconds(10), now: .zero)
    #expect(admission == .waiting)
    let settled = budget.settle(1, billed: MicroCredits(40), now: .zero)
    #expect(settled.contains(.admit(2, hold: MicroCredits(60))))
  }

  @Test("a request gets the rest if no more can be had")
  func rest() {
    var budget = budget(room: 10)
    let (_, directives) = budget.admit(
      2, of: Self.key, cost: cost(5, 60), patience: .seconds(10), now: .zero)
    #expect(asks(directives).map(\.worst) == [MicroCredits(50)])
    #expect(asks(directives).map(\.held) == [MicroCredits(100)])
    let answer = budget.receive(granted(130, ask: 2, isRest: true), now: .zero)
    #expect(answer == [.admit(2, hold: MicroCredits(30))])
    #expect(budget.ceiling(of: 2) == org)
    #expect(budget.ceiling(of: 1) == nil)
  }

  @Test("a refusal names the ceiling")
  func refusal() {
    var budget = budget(room: 0)
    _ = budget.admit(2, of: Self.key, cost: cost(5, 60), patience: .seconds(10), now: .zero)
    let answer = budget.receive(.refused(lease, ask: 2, .ceiling(org)), now: .zero)
    #expect(answer.first == .refuse(2, .exhausted(org)))
  }

  @Test("one refusal ends all requests that waited for its ask and cost at least as much")
  func sharedRefusal() {
    var budget = budget(room: 0)
    let costs: [(UInt64, Int64)] = [(2, 50), (3, 50), (4, 70), (5, 20)]
    for (number, least) in costs {
      _ = budget.admit(
        number, of: Self.key, cost: cost(least, 90), patience: .seconds(10), now: .zero)
    }
    // The ask was sent for the first request, before the others arrived.
    let first = budget.receive(.refused(lease, ask: 2, .ceiling(org)), now: .zero)
    #expect(first.contains(.refuse(2, .exhausted(org))))
    #expect(asks(first).map(\.minimum) == [MicroCredits(50)])
    let second = budget.receive(.refused(lease, ask: 3, .ceiling(org)), now: .zero)
    #expect(
      second.prefix(2) == [.refuse(3, .exhausted(org)), .refuse(4, .exhausted(org))])
    // A cheaper request may still be paid.
    #expect(asks(second).map(\.minimum) == [MicroCredits(20)])
    #expect(budget.waitingCount == 1)
  }

  @Test("a refused last call ends only requests whose patience has ended")
  func sharedLastCall() {
    var budget = budget(room: 0)
    for (number, patience) in [(UInt64(2), 10), (3, 10), (4, 60)] {
      _ = budget.admit(
        number, of: Self.key, cost: cost(5, 60), patience: .seconds(patience), now: .zero)
    }
    let end = Instant.zero + .seconds(10)
    #expect(asks(budget.tick(now: end)).first?.isLastCall == true)
    let refused = budget.receive(.refused(lease, ask: 3, .ceiling(org)), now: end)
    #expect(
      refused.prefix(2) == [.refuse(2, .outOfPatience(org)), .refuse(3, .outOfPatience(org))])
    #expect(asks(refused).map(\.isLastCall) == [false])
  }

  @Test("a refused last call tells money that others hold from money that is spent")
  func exhaustedLastCall() {
    var budget = budget(room: 0)
    // The ceiling has 7 that are not spent.
    for (number, least) in [(UInt64(2), Int64(5)), (3, 7), (4, 8)] {
      _ = budget.admit(
        number, of: Self.key, cost: cost(least, 60), patience: .seconds(10), now: .zero)
    }
    let end = Instant.zero + .seconds(10)
    let calls = asks(budget.tick(now: end))
    #expect(calls.first?.isLastCall == true)
    let refused = budget.receive(.refused(lease, ask: 3, .ceiling(org)), now: end)
    #expect(
      refused.prefix(3) == [
        .refuse(2, .outOfPatience(org)), .refuse(3, .outOfPatience(org)),
        .refuse(4, .exhausted(org)),
      ])
  }

  @Test("a refused request that has left takes no cheaper one with it")
  func refusedAfterItLeft() {
    var budget = LeasedBudget(gateway: Self.gateway)
    _ = budget.admit(1, of: Self.key, cost: cost(50, 90), patience: .seconds(10), now: .zero)
    _ = budget.admit(2, of: Self.key, cost: cost(5, 9), patience: .seconds(10), now: .zero)
    // Without a confirmed renewal, no ask is sent, so request 2 still waits.
    _ = budget.leave(1, now: .zero)
    let answer = budget.receive(.refused(lease, ask: 1, .ceiling(org)), now: .zero)
    #expect(!answer.contains(.refuse(2, .exhausted(org))))
    #expect(budget.waitingCount == 1)
  }

  @Test("a request whose patience ends makes a last call and then gives up")
  func patience() {
    var budget = budget(room: 0)
    _ = budget.admit(2, of: Self.key, cost: cost(5, 60), patience: .seconds(10), now: .zero)
    _ = budget.receive(.waiting(lease, ask: 2, .ceiling(org)), now: .zero)
    let call = budget.tick(now: .zero + .seconds(10))
    #expect(asks(call).first?.isLastCall == true)
    let refused = budget.receive(
      .refused(lease, ask: 3, .ceiling(org)), now: .zero + .seconds(10))
    #expect(refused.first == .refuse(2, .outOfPatience(org)))
  }

  @Test("time in which the process did not run does not use up patience")
  func stall() {
    var budget = budget(room: 0)
    _ = budget.admit(2, of: Self.key, cost: cost(5, 60), patience: .seconds(10), now: .zero)
    _ = budget.tick(now: .zero + .seconds(1))
    let late = budget.tick(now: .zero + .seconds(31))
    #expect(late.allSatisfy { if case .refuse = $0 { false } else { true } })
    #expect(asks(late).map(\.isLastCall) == [false])
    // The answer that arrived during the stall still counts.
    let answer = budget.receive(granted(160, ask: 2), now: .zero + .seconds(31))
    #expect(answer == [.admit(2, hold: MicroCredits(60))])
  }

  @Test("after the registry's absence, each confirmation brings the next settlements")
  func catchUp() {
    var budget = budget(room: 0)
    _ = budget.receive(granted(1_000_000, ask: 2), now: .zero)
    for number in UInt64(2)...700 {
      _ = budget.admit(
        number, of: Self.key, cost: cost(1, 10), patience: .seconds(10), now: .zero)
      // The registry is away and receives none of these settlements.
      _ = budget.settle(number, billed: MicroCredits(10), now: .zero)
    }
    func settled(_ directives: [LeasedBudget.Directive]) -> [UInt64] {
      directives.compactMap {
        if case .send(.settle(let settlement)) = $0 { settlement.number } else { nil }
      }
    }
    let now = Instant.zero + .seconds(10)
    let first = settled(confirm(&budget, budget.tick(now: now), now: now))
    #expect(first == Array(1...256))
    let second = settled(budget.receive(.settled(Self.gateway, through: 256), now: now))
    #expect(second == Array(257...512))
    // If only some settlements are confirmed, the others are not sent twice.
    #expect(settled(budget.receive(.settled(Self.gateway, through: 300), now: now)).isEmpty)
    let third = settled(budget.receive(.settled(Self.gateway, through: 512), now: now))
    #expect(third == Array(513...699))
  }

  @Test("unused leases end")
  func idle() {
    var budget = budget(room: 20)
    _ = budget.settle(1, billed: MicroCredits(100), now: .zero)
    let renewals = budget.tick(now: .zero + .seconds(6))
    for case .send(.renew(let renewal)) in renewals {
      _ = budget.receive(.renewed(renewal, settledThrough: 1), now: .zero + .seconds(6))
    }
    let closing = budget.tick(now: .zero + .seconds(40))
    let close = LeaseReturn(
      lease: lease, returned: MicroCredits(20), withdrawn: 1, closes: true)
    #expect(closing.contains(.send(.giveBack(close))))
    _ = budget.receive(.returned(close), now: .zero + .seconds(40))
    #expect(budget.leaseCount == 0)
  }

  @Test("a lease that closes repeats no ask, and a late grant admits no request from it")
  func lateGrant() throws {
    var budget = budget(room: 400)
    _ = budget.admitAtOnce(2, of: Self.key, cost: cost(1, 350), now: .zero + .seconds(2))
    let ask = try #require(asks(budget.tick(now: .zero + .seconds(2))).first)
    _ = budget.settle(1, billed: MicroCredits(100), now: .zero + .seconds(2))
    _ = budget.settle(2, billed: MicroCredits(350), now: .zero + .seconds(2))
    for case .send(.renew(let renewal)) in budget.tick(now: .zero + .seconds(6)) {
      _ = budget.receive(.renewed(renewal, settledThrough: 2), now: .zero + .seconds(6))
    }
    let close = LeaseReturn(
      lease: lease, returned: MicroCredits(50), withdrawn: ask.number, closes: true)
    let closing = budget.tick(now: .zero + .seconds(40))
    #expect(closing.contains(.send(.giveBack(close))))
    let repeated = budget.tick(now: .zero + .seconds(41))
    #expect(repeated.contains(.send(.giveBack(close))) && asks(repeated).isEmpty)
    _ = budget.receive(granted(1_250, ask: ask.number), now: .zero + .seconds(41))
    let (admission, _) = budget.admit(
      3, of: Self.key, cost: cost(1, 10), patience: .seconds(10), now: .zero + .seconds(41))
    #expect(admission == .waiting)
    // The request is paid by the next lease.
    let next = budget.receive(.returned(close), now: .zero + .seconds(41))
    #expect(asks(next).map(\.lease.number) == [2])
  }

  @Test("ended leases are replaced, and running requests settle with the old one")
  func ended() {
    var budget = budget(room: 20)
    let (_, _) = budget.admit(
      2, of: Self.key, cost: cost(1, 60), patience: .seconds(10), now: .zero)
    let restarted = budget.receive(.ended(Self.gateway, through: 1), now: .zero)
    #expect(asks(restarted).map(\.lease.number) == [2])
    #expect(asks(restarted).map(\.worst) == [MicroCredits(60)])
    let settled = budget.settle(1, billed: MicroCredits(40), now: .zero)
    guard case .send(.settle(let settlement)) = settled.first else {
      Issue.record("no settlement")
      return
    }
    #expect(settlement.lease == lease)
  }
}
