import Testing

@testable import Overload

@Suite("Events at a limited rate")
struct RateGateTests {
  private let start = ContinuousClock.now

  private func passed(_ gate: RateGate, _ events: Int, at second: Int) -> [Int] {
    (0..<events).compactMap { _ in gate.pass(at: start.advanced(by: .seconds(second))) }
  }

  @Test("one event passes per interval, and the next one has the number of the others")
  func single() {
    let gate = RateGate(every: .seconds(10))
    #expect(passed(gate, 5, at: 0) == [0])
    #expect(passed(gate, 5, at: 9) == [])
    #expect(passed(gate, 5, at: 10) == [9])
    #expect(passed(gate, 1, at: 1_000) == [4])
  }

  @Test("a burst passes at once after a pause, and then one event per interval")
  func burst() {
    let gate = RateGate(every: .seconds(10), burst: 3)
    #expect(passed(gate, 10, at: 0) == [0, 0, 0])
    #expect(passed(gate, 10, at: 9) == [])
    #expect(passed(gate, 10, at: 10) == [17])
    #expect(passed(gate, 10, at: 30) == [9, 0])
    #expect(passed(gate, 10, at: 1_000_000).count == 3)
  }

  @Test("a clock that is late passes no more events")
  func late() {
    let gate = RateGate(every: .seconds(10), burst: 2)
    #expect(passed(gate, 10, at: 100).count == 2)
    #expect(passed(gate, 10, at: 0) == [])
  }
}
