import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

@Suite("Circuit breaker")
struct CircuitBreakerTests {
  /// A breaker that opened at 10 s.
  private func opened(_ rng: inout SplitMix64) -> CircuitBreaker {
    var breaker = CircuitBreaker()
    for _ in 0..<5 { breaker.failed(started: at(9), now: at(10), using: &rng) }
    return breaker
  }

  @Test("five failures in a row open it, four do not, and an answer begins the row anew")
  func opens() {
    var rng = SplitMix64(seed: 1)
    var breaker = CircuitBreaker()
    for _ in 0..<4 { breaker.failed(started: at(0), now: at(1), using: &rng) }
    #expect(breaker.state == .closed && breaker.admits(at: at(1)))
    breaker.succeeded(started: at(0))
    for _ in 0..<4 { breaker.failed(started: at(0), now: at(2), using: &rng) }
    #expect(breaker.state == .closed)
    breaker.failed(started: at(0), now: at(2), using: &rng)
    guard case .open(let until) = breaker.state else {
      Issue.record("\(breaker.state)")
      return
    }
    #expect((2.8...3.2).contains(until.sinceStart.inSeconds))
    #expect(!breaker.admits(at: at(2.7)) && breaker.admits(at: until) && breaker.trips == 1)
  }

  @Test("a host that fails one request in five by chance is bad, not down: it hardly ever opens")
  func chance() {
    var rng = SplitMix64(seed: 3)
    var breaker = CircuitBreaker()
    for request in 0..<100_000 {
      let now = at(Double(request) / 100)
      breaker.began(started: now, now: now)
      if Int.random(in: 0..<5, using: &rng) == 0 {
        breaker.failed(started: now, now: now, using: &rng)
      } else {
        breaker.answered(started: now)
        breaker.succeeded(started: now)
      }
    }
    #expect(breaker.trips <= 3, "\(breaker.trips)")
  }

  @Test("a host that worked for long and goes down is left alone after a dozen failures")
  func goesDown() {
    var rng = SplitMix64(seed: 3)
    var breaker = CircuitBreaker()
    for _ in 0..<1_000 { breaker.succeeded(started: at(1)) }
    var failures = 0
    while breaker.trips == 0, failures < 100 {
      breaker.failed(started: at(2), now: at(2), using: &rng)
      failures += 1
    }
    #expect(failures == 12)
  }

  @Test("failures a minute apart are no row")
  func memory() {
    var rng = SplitMix64(seed: 1)
    var breaker = CircuitBreaker()
    for minute in 0..<20 {
      breaker.failed(started: at(0), now: at(Double(minute) * 61), using: &rng)
    }
    #expect(breaker.state == .closed)
  }

  @Test("one request passes when the time is over; its token closes, one failure after it opens")
  func halfOpen() {
    var rng = SplitMix64(seed: 1)
    var breaker = opened(&rng)
    breaker.began(started: at(10.5), now: at(10.5))
    #expect(breaker.trips == 1 && !breaker.admits(at: at(10.5)), "sent by somebody in a hurry")
    breaker.began(started: at(12), now: at(12))
    #expect(breaker.state == .halfOpen && !breaker.admits(at: at(100)))
    breaker.answered(started: at(12))
    #expect(breaker.state == .closed)
    breaker.failed(started: at(12), now: at(13), using: &rng)
    guard case .open(let until) = breaker.state else {
      Issue.record("\(breaker.state)")
      return
    }
    #expect((14.6...15.4).contains(until.sinceStart.inSeconds), "twice as long")
  }

  @Test("attempts that began before it opened do not count as news about the host")
  func late() {
    var rng = SplitMix64(seed: 1)
    var breaker = opened(&rng)
    breaker.succeeded(started: at(9))
    #expect(!breaker.admits(at: at(10)))
    breaker.began(started: at(12), now: at(12))
    breaker.failed(started: at(9.5), now: at(12.1), using: &rng)
    breaker.answered(started: at(9.5))
    #expect(breaker.state == .halfOpen)
    breaker.ended(started: at(12), now: at(12.5))
    #expect(breaker.admits(at: at(12.5)), "the probe was cancelled: another may pass")
  }

  @Test("the open time doubles up to a minute and starts small again after a whole answer")
  func backOff() {
    var rng = SplitMix64(seed: 1)
    var breaker = opened(&rng)
    var now = at(10)
    var times: [Double] = []
    for _ in 0..<9 {
      guard case .open(let until) = breaker.state else { return }
      times.append(now.duration(to: until).inSeconds)
      now = until
      breaker.began(started: now, now: now)
      breaker.failed(started: now, now: now, using: &rng)
    }
    for (index, time) in times.enumerated() {
      let expected = min(Double(1 << index), 60)
      #expect((expected * 0.8...expected * 1.2).contains(time), "\(times)")
    }
    guard case .open(let until) = breaker.state else { return }
    breaker.began(started: until, now: until)
    breaker.succeeded(started: until)
    for _ in 0..<5 { breaker.failed(started: until, now: until, using: &rng) }
    guard case .open(let again) = breaker.state else { return }
    #expect(until.duration(to: again) <= .seconds(1.2))
  }

  @Test("a busy host is busy until then, not broken")
  func busy() {
    var breaker = CircuitBreaker()
    for _ in 0..<50 {
      breaker.overloaded(retryAfter: .seconds(7), started: at(0), now: at(1))
    }
    #expect(breaker.state == .closed && breaker.busyUntil == at(8))
    breaker.overloaded(retryAfter: nil, started: at(0), now: at(1))
    #expect(breaker.busyUntil == at(8))
    breaker.overloaded(retryAfter: .seconds(86_400), started: at(0), now: at(1))
    #expect(breaker.busyUntil == at(301))
  }

  @Test("a suspect opens at its first failure")
  func suspect() {
    var rng = SplitMix64(seed: 1)
    var breaker = CircuitBreaker()
    breaker.failed(started: at(0), isSuspect: true, now: at(1), using: &rng)
    #expect(!breaker.admits(at: at(1)))
  }

  @Test(
    "whatever happens, a host that works again is asked again", arguments: 0..<50 as Range<UInt64>)
  func simulated(seed: UInt64) {
    var rng = SplitMix64(seed: seed)
    var breaker = CircuitBreaker()
    var now = 0.0
    var passed = 0
    var underWay: [Double] = []
    // For ten minutes, the host alternates between working and failing.
    while now < 600 {
      now += Double.random(in: 0...0.2, using: &rng)
      let works = Int(now / 40) % 2 == 0
      if breaker.admits(at: at(now)) {
        if breaker.state != .closed { passed += 1 }
        breaker.began(started: at(now), now: at(now))
        underWay.append(now)
      }
      guard !underWay.isEmpty, Bool.random(using: &rng) else { continue }
      let started = underWay.remove(at: Int.random(in: 0..<underWay.count, using: &rng))
      switch Int.random(in: 0..<10, using: &rng) {
      case 0: breaker.ended(started: at(started), now: at(now))
      case 1: breaker.overloaded(retryAfter: nil, started: at(started), now: at(now))
      default:
        if works {
          breaker.answered(started: at(started))
          breaker.succeeded(started: at(started))
        } else {
          breaker.failed(started: at(started), now: at(now), using: &rng)
        }
      }
      if breaker.state == .halfOpen { #expect(!underWay.isEmpty, "nobody probes") }
    }
    #expect(breaker.trips > 0 && passed > 0)
    // End all running requests. The breaker stays open for 72 s at most.
    for started in underWay { breaker.ended(started: at(started), now: at(now)) }
    #expect(breaker.admits(at: at(now + 73)))
  }
}
