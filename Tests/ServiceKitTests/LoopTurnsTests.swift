import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import Overload

/// One event loop, and a clock that only submitted work and `pass` advance.
private final class Bench: Sendable {
  let loop = EmbeddedEventLoop()
  let clock = Mutex(NIODeadline.uptimeNanoseconds(0))
  let done = Mutex<[String]>([])

  func turns() -> LoopTurns {
    LoopTurns(loop, longestPause: .milliseconds(8)) { self.clock.withLock { $0 } }
  }

  /// Work that takes 400 µs.
  func work(_ name: String) -> @Sendable () -> Void {
    {
      self.clock.withLock { $0 = $0 + .microseconds(400) }
      self.done.withLock { $0.append(name) }
    }
  }

  /// Lets time pass and runs the work that is due. Returns the names of all work since the last
  /// call.
  func pass(_ time: TimeAmount) -> [String] {
    let now = clock.withLock { clock in
      clock = clock + time
      return clock
    }
    loop.advanceTime(to: now)
    return done.withLock { done in
      defer { done = [] }
      return done
    }
  }
}

@Suite("The turns of an event loop")
struct LoopTurnsTests {
  @Test("work that arrives while the loop is free is done at once")
  func free() {
    let bench = Bench()
    let turns = bench.turns()
    turns.submit(for: 1, bench.work("a"))
    #expect(bench.pass(.zero) == ["a"])
    #expect(turns.waitingCount == 0)
  }

  @Test("a turn ends after a millisecond, and the loop is then free for as long as the turn took")
  func pause() {
    let bench = Bench()
    let turns = bench.turns()
    turns.submit(for: 1) {
      for name in ["a", "b", "c", "d"] { turns.submit(for: 1, bench.work(name)) }
    }
    #expect(bench.pass(.zero) == ["a", "b", "c"])
    #expect(turns.waitingCount == 1)
    #expect(bench.pass(.microseconds(1_100)) == [])
    #expect(bench.pass(.microseconds(100)) == ["d"])
  }

  @Test("without a longest turn, each piece of work has a turn, also on a free loop")
  func single() {
    let bench = Bench()
    let turns = LoopTurns(
      bench.loop, longestTurn: .zero, shortestPause: .microseconds(500),
      longestPause: .microseconds(500)
    ) { bench.clock.withLock { $0 } }
    for name in ["a", "b", "c"] { turns.submit(for: 1, bench.work(name)) }
    #expect(bench.pass(.zero) == ["a"])
    #expect(bench.pass(.microseconds(499)) == [])
    #expect(bench.pass(.microseconds(1)) == ["b"])
    #expect(bench.pass(.microseconds(500)) == ["c"])
  }

  @Test("work that submits its successor leaves the loop free between turns")
  func successors() {
    let bench = Bench()
    let turns = bench.turns()
    @Sendable func again() {
      bench.work("a")()
      turns.submit(for: 1, again)
    }
    turns.submit(for: 1, again)
    #expect(bench.pass(.zero) == ["a", "a", "a"])
    #expect(bench.pass(.microseconds(1_200)) == ["a", "a", "a"])
  }

  @Test("a client with one piece of work does not wait for all the work of another client")
  func clients() {
    let bench = Bench()
    let turns = bench.turns()
    turns.submit(for: 1) {
      for name in ["a", "b", "c", "d"] { turns.submit(for: 1, bench.work(name)) }
      turns.submit(for: 2, bench.work("other"))
    }
    #expect(bench.pass(.zero) == ["a", "b", "other"])
  }

  @Test("while the loop has other work, the pauses between turns grow up to their limit")
  func busy() {
    let bench = Bench()
    let turns = bench.turns()
    @Sendable func again() {
      bench.work("a")()
      turns.submit(for: 1, again)
    }
    turns.submit(for: 1, again)
    // Each turn begins 0.9 ms late.
    for pause in [1_200, 2_400, 4_800, 8_000, 8_000] {
      _ = bench.pass(.microseconds(Int64(pause) - 100))
      #expect(bench.pass(.zero) == [], "before a pause of \(pause) µs is over")
      #expect(bench.pass(.milliseconds(1)).count == 3, "after a pause of \(pause) µs")
    }
  }
}
