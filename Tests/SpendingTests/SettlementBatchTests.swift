import ClusterModel
import GatewayCore
import Limits
import Money
import Testing

@Suite("A batch of settlements")
struct SettlementBatchTests {
  private static func settlement(_ number: UInt64, answers: Int = 1) throws -> Settlement {
    Settlement(
      lease: LeaseSettlement(
        lease: LeaseID(gateway: PeerID(name: "gateway-1", incarnation: 7), number: 1),
        key: .key("abcdefghijkl"), number: number, request: number, hold: MicroCredits(10),
        billed: MicroCredits(4)),
      trace: "t", model: "m", admittedAt: 1, price: .free,
      answers: Array(
        repeating: SettledAnswer(usage: try TokenUsage(prompt: 1, completion: 2), attempts: []),
        count: answers))
  }

  @Test("keeps the order of numbers, and loses and repeats none")
  func order() throws {
    var batch = SettlementBatch()
    var sent: [UInt64] = []
    for number in 1...100 as ClosedRange<UInt64> {
      sent += batch.add(try Self.settlement(number)).map(\.lease.number)
    }
    sent += batch.take().map(\.lease.number)
    #expect(sent == Array(1...100))
    #expect(batch.isEmpty)
    #expect(batch.take().isEmpty)
  }

  @Test("has no more settlements and answers than a message may have")
  func limits() throws {
    var batch = SettlementBatch()
    for number in 1...64 as ClosedRange<UInt64> {
      let full = batch.add(try Self.settlement(number))
      #expect(full.isEmpty || full.count == Limits.settlementBatch.value)
    }
    _ = batch.take()
    let largest = Limits.billedAnswers.value
    #expect(batch.add(try Self.settlement(65, answers: largest)).isEmpty)
    // The settlement of the largest plan fills a message.
    #expect(batch.add(try Self.settlement(66)).map(\.lease.number) == [65])
    #expect(batch.add(try Self.settlement(67, answers: largest)).map(\.lease.number) == [66])
    #expect(batch.take().map(\.lease.number) == [67])
  }
}
