import ClusterModel
import Testing

@testable import Money

@Suite("Keys that an issuer forgets")
struct ForgottenKeysTests {
  private static let key = AccountID("key/one")
  private let lease = LeaseID(gateway: PeerID(name: "gateway", incarnation: 1), number: 1)

  private func ask(_ number: UInt64) -> LeaseRequest {
    .ask(
      LeaseAsk(
        lease: lease, key: Self.key, number: number, granted: MicroCredits(5),
        minimum: MicroCredits(1), worst: MicroCredits(5), want: MicroCredits(5)))
  }

  @Test("a revoked key is kept until its last lease ends, and gets nothing afterwards")
  func revoked() {
    var issuer = LeaseIssuer(now: .zero)
    _ = issuer.setKey(Self.key, path: [], now: .zero)
    _ = issuer.receive(ask(1), now: .zero)
    #expect(issuer.totalLeased == MicroCredits(5))
    _ = issuer.revokeKey(Self.key, now: .zero)
    #expect(issuer.keys.count == 1)
    let closing = LeaseReturn(
      lease: lease, returned: MicroCredits(5), withdrawn: 1, closes: true)
    _ = issuer.receive(.giveBack(closing), now: .zero)
    #expect(issuer.keys.isEmpty && issuer.leases.isEmpty)
    let next = LeaseID(gateway: lease.gateway, number: 2)
    let refused = issuer.receive(
      .ask(
        LeaseAsk(
          lease: next, key: Self.key, number: 1, minimum: .zero, worst: MicroCredits(5),
          want: MicroCredits(5))), now: .zero)
    #expect(refused == [.send(.refused(next, ask: 1, .key), to: next.gateway)])
    _ = issuer.revokeKey(AccountID("key/other"), now: .zero)
    #expect(issuer.keys.keys.map(\.self) == [Self.key])
  }
}
