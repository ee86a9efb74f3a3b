import ClusterModel
import GatewayCore
import Money
import Testing

@Suite("Bills of a killed gateway")
struct RecoveredBillsTests {
  private static let old = PeerID(name: "gateway-1", incarnation: 7)
  private static let key = AccountID("key/abcdefghijkl")

  private static func settlement(_ number: UInt64, lease: UInt64 = 1) -> Settlement {
    Settlement(
      lease: LeaseSettlement(
        lease: LeaseID(gateway: old, number: lease), key: key, number: number, request: number,
        hold: MicroCredits(10), billed: MicroCredits(4)),
      trace: "t", model: "m", admittedAt: 1, price: .free, answers: [])
  }

  /// Sends the directives to the registry and returns the entries to forget.
  private static func exchange(
    _ directives: [RecoveredBills.Directive], _ bills: inout RecoveredBills,
    _ issuer: inout LeaseIssuer, posted: inout [LeasePosting], now: Instant
  ) -> [String] {
    var forgotten: [String] = []
    var rest = directives[...]
    while let directive = rest.popFirst() {
      let request: LeaseRequest
      switch directive {
      case .send(let settlement): request = .settle(settlement.lease)
      case .renew(let renewal): request = .renew(renewal)
      case .forget(let entry):
        forgotten.append(entry)
        continue
      }
      for directive in issuer.receive(request, now: now) {
        switch directive {
        case .post(let posting): posted.append(posting)
        case .send(let answer, _): rest += bills.receive(answer)
        }
      }
    }
    return forgotten
  }

  @Test("are settled once, from their leases, whose rest returns")
  func once() throws {
    let ceiling = CeilingID("key/abcdefghijkl/day-calendar")
    var issuer = LeaseIssuer(now: .zero)
    _ = issuer.setCeiling(Ceiling(id: ceiling, remaining: MicroCredits(100)), now: .zero)
    _ = issuer.setKey(Self.key, path: [ceiling], now: .zero)
    _ = issuer.receive(
      .ask(
        LeaseAsk(
          lease: LeaseID(gateway: Self.old, number: 1), key: Self.key, number: 1,
          minimum: MicroCredits(30), worst: MicroCredits(30), want: MicroCredits(30))), now: .zero)
    // The registry has the first settlement, but its confirmation was lost.
    _ = issuer.receive(.settle(Self.settlement(1).lease), now: .zero)

    var bills = RecoveredBills([("b", Self.settlement(2)), ("a", Self.settlement(1))])
    var posted: [LeasePosting] = []
    var forgotten: [String] = []
    for second in 1...3 {
      let now = Instant.zero + .seconds(second)
      forgotten += Self.exchange(
        bills.tick(now: now), &bills, &issuer, posted: &posted, now: now)
    }
    #expect(forgotten == ["a", "b"] && bills.isEmpty)
    let charges = posted.compactMap { posting -> Int64? in
      guard case .settle(_, let charged, let margin) = posting.change else { return nil }
      #expect(margin == .zero)
      return charged.count
    }
    #expect(charges == [4])
    #expect(issuer.totalLeased == .zero)
  }

  @Test("are repeated until the registry answers")
  func repeated() {
    var bills = RecoveredBills([("a", Self.settlement(3))])
    let first = bills.tick(now: .zero)
    #expect(first.contains(.send(Self.settlement(3))))
    #expect(bills.tick(now: .zero + .milliseconds(999)).isEmpty)
    #expect(bills.tick(now: .zero + .seconds(1)).contains(.send(Self.settlement(3))))
    #expect(bills.receive(.settled(Self.old, through: 2)).isEmpty)
    #expect(bills.receive(.settled(Self.old, through: 3)).contains(.forget(entry: "a")))
    #expect(bills.isEmpty)
  }

  @Test("are charged after the end of their leases, too")
  func ended() {
    var bills = RecoveredBills([("a", Self.settlement(3, lease: 2))])
    _ = bills.tick(now: .zero)
    #expect(bills.receive(.ended(Self.old, through: 5)).isEmpty)
    let again = bills.tick(now: .zero + .seconds(1))
    let oldest = again.compactMap { directive -> UInt64? in
      guard case .renew(let renewal) = directive else { return nil }
      return renewal.oldest
    }
    #expect(oldest == [6])
  }
}
