import ClusterModel
import Limits
import OverloadCore
import Testing

@Suite("The rate of cheap answers")
struct ClientPaceTests {
  private let start = Instant.zero
  private let burst = Limits.cheapBurst.value

  private func exhausted(by client: UInt64) -> ClientPace {
    var pace = ClientPace()
    for _ in 0..<burst { #expect(pace.take(client, at: start) == .zero) }
    return pace
  }

  @Test("a burst has no delay, and then each answer comes one interval after the one before")
  func burstThenRate() {
    var pace = exhausted(by: 1)
    #expect(pace.delay(of: 1, at: start) == .zero)
    #expect(pace.take(1, at: start) == .milliseconds(10))
    #expect(pace.take(1, at: start) == .milliseconds(20))
    #expect(pace.delay(of: 1, at: start) == .milliseconds(20))
  }

  @Test("health checks and abandoned requests count as a part of a cheap answer")
  func parts() {
    var pace = exhausted(by: 1)
    #expect(pace.take(1, for: .healthCheck, at: start) == .milliseconds(2))
    #expect(pace.take(1, for: .abandoned, at: start) == .microseconds(5_333))
    #expect(pace.take(1, at: start) == .microseconds(15_333))
  }

  @Test("other clients have no delay")
  func others() {
    var pace = exhausted(by: 1)
    _ = pace.take(1, at: start)
    #expect(pace.take(2, at: start) == .zero)
    #expect(pace.delay(of: 3, at: start) == .zero)
  }

  @Test("a client that pauses has its burst again")
  func rest() {
    var pace = exhausted(by: 1)
    let later = start.advanced(by: .seconds(2))
    for _ in 0..<burst { #expect(pace.take(1, at: later) == .zero) }
    #expect(pace.take(1, at: later) == .milliseconds(10))
  }

  @Test("no delay is longer than a second, however many answers a client has had")
  func longest() {
    var pace = exhausted(by: 1)
    for _ in 0..<10_000 { #expect(pace.take(1, at: start) <= .seconds(1)) }
    #expect(pace.delay(of: 1, at: start) == .seconds(1))
    #expect(pace.delay(of: 1, at: start.advanced(by: .seconds(1))) == .zero)
  }

  @Test("beyond the most clients, further ones have no delay, until the others have rested")
  func most() {
    var pace = ClientPace()
    for client in 0..<UInt64(5_000) { _ = pace.take(client, at: start) }
    for _ in 0..<(burst + 10) { #expect(pace.take(9_999, at: start) == .zero) }
    let later = start.advanced(by: .seconds(1))
    for _ in 0..<burst { #expect(pace.take(9_999, at: later) == .zero) }
    #expect(pace.take(9_999, at: later) == .milliseconds(10))
  }
}
