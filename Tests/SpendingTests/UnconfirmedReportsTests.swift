import ClusterModel
import GatewayCore
import Money
import Testing

@Suite("Settlements until they are confirmed")
struct UnconfirmedReportsTests {
  private static func settlement(_ number: UInt64) -> Settlement {
    let lease = LeaseID(gateway: PeerID(name: "gateway-1", incarnation: 1), number: 1)
    return Settlement(
      lease: LeaseSettlement(
        lease: lease, key: AccountID("key/one"), number: number, request: number,
        hold: MicroCredits(10), billed: MicroCredits(5)),
      trace: "", model: "m", admittedAt: 0, price: .free, answers: [])
  }

  @Test("are found by their numbers, and a confirmation removes all up to a number")
  func numbers() {
    var reports = UnconfirmedReports<String>()
    #expect(reports.confirm(through: 5).isEmpty)
    var entries: [String] = []
    var last: UInt64 = 0
    // The confirmations leave different numbers of reports. Every fifth one leaves none.
    for round in 1...60 as ClosedRange<UInt64> {
      for _ in 0..<7 {
        last += 1
        reports.append(Self.settlement(last), entry: last.isMultiple(of: 3) ? nil : "\(last)")
      }
      let through = last - round % 5
      entries += reports.confirm(through: through)
      #expect(reports.count == Int(last - through))
      #expect(reports[through] == nil && reports[0] == nil && reports[last + 1] == nil)
      for number in (through + 1)..<(last + 1) {
        #expect(reports[number]?.lease.number == number)
      }
      // A repeated confirmation changes nothing.
      #expect(reports.confirm(through: through).isEmpty)
    }
    entries += reports.confirm(through: .max)
    #expect(reports.count == 0)
    #expect(entries == (1...last).filter { !$0.isMultiple(of: 3) }.map { "\($0)" })
  }
}
