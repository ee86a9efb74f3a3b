import ClusterModel
import Money
import RegistryCore
import Testing

@Suite("Proof of a ledger")
struct LedgerAuditTests {
  private static let hold =
    #"{"gateway":"g","incarnation":"1","lease":"1","key":"key/k","account":"acme","hold":"0.00001","ask":"1"}"#
  private static func release(_ amount: String) -> String {
    #"{"gateway":"g","incarnation":"1","lease":"1","key":"key/k","account":"acme","#
      + #""release":"\#(amount)","total":"\#(amount)"}"#
  }

  private func transaction(
    _ id: String, _ kind: LedgerTransaction.Kind, _ amount: Int64, at time: Int64 = 0,
    note: String = ""
  ) throws -> LedgerTransaction {
    try LedgerTransaction(
      id: id, kind: kind, time: time,
      entries: [
        LedgerEntry(account: .organisation("acme"), amount: MicroCredits(-amount)),
        LedgerEntry(account: .holds(of: "acme"), amount: MicroCredits(amount)),
      ], note: note)
  }

  private func audit(
    _ log: [LedgerTransaction], holds: Int64, until time: Int64 = .max
  ) -> [LedgerAudit.Difference] {
    var audit = LedgerAudit(comparedUntil: time)
    for transaction in log { audit.add(transaction) }
    audit.compare([
      .organisation("acme"): MicroCredits(-holds), .holds(of: "acme"): MicroCredits(holds),
    ])
    return audit.differences
  }

  @Test("a ledger whose leases and balances agree has no differences")
  func correct() throws {
    let log = [
      try transaction("1", .hold, 10, note: Self.hold),
      try transaction("2", .release, -4, note: Self.release("0.000004")),
    ]
    #expect(audit(log, holds: 6) == [])
  }

  @Test("each kind of damage is named with its transaction or account")
  func differences() throws {
    let hold = try transaction("1", .hold, 10, note: Self.hold)
    #expect(
      audit([try transaction("1", .hold, 10, note: "{}")], holds: 10).first == .unreadable(id: "1"))
    #expect(
      audit([hold, try transaction("2", .release, -3, note: Self.release("0.000004"))], holds: 7)
        .first == .wrongAmount(id: "2"))
    #expect(
      audit([hold, try transaction("2", .release, -11, note: Self.release("0.000011"))], holds: -1)
        .first == .overdrawnLease(id: "2"))
    #expect(
      audit([hold, try transaction("2", .correction, 5)], holds: 15)
        == [.holds(.holds(of: "acme"), balance: MicroCredits(15))])
    #expect(
      audit([hold], holds: 9).contains(
        .balance(
          .balance(.holds(of: "acme"), book: MicroCredits(9), entries: MicroCredits(10)))))
  }

  @Test("transactions after the time of the balances are not compared with them")
  func recent() throws {
    let log = [
      try transaction("1", .hold, 10, at: 5, note: Self.hold),
      try transaction("2", .release, -4, at: 6, note: Self.release("0.000004")),
    ]
    #expect(audit(log, holds: 10, until: 5) == [])
  }
}
