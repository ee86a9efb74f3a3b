import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private let first = AttemptID(0)
private let second = AttemptID(1)
private let third = AttemptID(2)

@Suite("A race between hosts")
struct RaceTests {
  @Test("single asks one host, and the next only when that one has failed")
  func single() {
    var race = Race(mode: .single, width: 5)
    #expect(race.begin() == [.ask(speculative: false)])
    race.asked(first, now: .zero)
    #expect(race.nextWake == nil)
    #expect(race.failed(first) == [.ask(speculative: false)])
    #expect(race.running.isEmpty && race.winner == nil)
    race.asked(second, now: at(ms: 5))
    #expect(race.spoke(second).isEmpty)
    #expect(race.winner == second)
  }

  @Test("dual asks both at once; the first token wins and the other is cancelled, once")
  func dual() {
    var race = Race(mode: .dual)
    #expect(race.begin() == [.ask(speculative: false), .ask(speculative: true)])
    race.asked(first, now: .zero)
    race.asked(second, now: .zero)
    #expect(race.spoke(second) == [.cancel(first)])
    #expect(race.spoke(first).isEmpty)
    #expect(race.failed(first).isEmpty)
    #expect(race.winner == second)
    #expect(race.running.isEmpty)
  }

  @Test("in a dual race a failed host's place is offered to another, without waiting")
  func dualReplacement() {
    var race = Race(mode: .dual)
    race.asked(first, now: .zero)
    race.asked(second, now: .zero)
    #expect(race.failed(first) == [.ask(speculative: true)])
    // The replacement was not started, because no host was free.
    #expect(race.failed(second) == [.ask(speculative: false)])
    #expect(race.running.isEmpty && race.winner == nil)
  }

  @Test("hedged asks the second host at its time, and not when the first spoke before")
  func hedged() {
    var race = Race(mode: .hedged, width: 2, hedgeAfter: .milliseconds(80))
    #expect(race.begin() == [.ask(speculative: false)])
    race.asked(first, now: at(ms: 10))
    #expect(race.nextWake == at(ms: 90))
    #expect(race.tick(now: at(ms: 89)).isEmpty)
    var late = race
    #expect(race.spoke(first).isEmpty)
    #expect(race.nextWake == nil)
    #expect(race.tick(now: at(ms: 90)).isEmpty)

    #expect(late.tick(now: at(ms: 90)) == [.ask(speculative: true)])
    late.asked(second, now: at(ms: 90))
    #expect(late.nextWake == nil)
    #expect(late.spoke(first) == [.cancel(second)])
  }

  @Test("hedged with a width of three hedges twice, each after its delay")
  func hedgedThree() {
    var race = Race(mode: .hedged, width: 3, hedgeAfter: .milliseconds(80))
    race.asked(first, now: .zero)
    #expect(race.tick(now: at(ms: 80)) == [.ask(speculative: true)])
    race.asked(second, now: at(ms: 80))
    #expect(race.nextWake == at(ms: 160))
    #expect(race.tick(now: at(ms: 160)) == [.ask(speculative: true)])
    race.asked(third, now: at(ms: 160))
    #expect(race.nextWake == nil)
    #expect(race.spoke(third) == [.cancel(first), .cancel(second)])
  }

  @Test("if the hedge finds no free host, the race continues with its only host")
  func declinedHedge() {
    var race = Race(mode: .hedged, hedgeAfter: .milliseconds(80))
    race.asked(first, now: .zero)
    #expect(race.tick(now: at(ms: 80)) == [.ask(speculative: true)])
    #expect(race.nextWake == nil)
    #expect(race.spoke(first).isEmpty)
    #expect(race.winner == first)
  }

  @Test(
    "when the first host of a hedged race fails, the next is asked without waiting for the hedge")
  func hedgedFailure() {
    var race = Race(mode: .hedged, hedgeAfter: .milliseconds(80))
    race.asked(first, now: .zero)
    #expect(race.failed(first) == [.ask(speculative: false)])
    #expect(race.nextWake == nil)
    race.asked(second, now: at(ms: 20))
    #expect(race.nextWake == at(ms: 100))
  }
}
