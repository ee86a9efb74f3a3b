import Access
import ClusterModel
import Limits
import Testing

@Suite("The day's use of keys, exchanged with the registry")
struct KeyUseExchangeTests {
  private let key: KeyID
  private static let hour: Int64 = 475_000
  /// 100 seconds after the begin of `hour`.
  private static let now = seconds(Int(hour) * 3_600 + 100)

  init() throws { key = try sampleKey(1).id }

  /// A gateway with its counts.
  private struct Gateway {
    var windows: RateWindows
    var exchange = KeyUseExchange()

    init(of gateways: Int = 1) { windows = RateWindows(gateways: gateways) }

    mutating func report(at now: Instant = KeyUseExchangeTests.now) -> KeyUseReport {
      exchange.report(&windows, at: now)
    }

    @discardableResult
    mutating func receive(
      _ uses: [DayUse] = [], epoch: UInt64 = 1, revision: UInt64 = 1, isComplete: Bool = true,
      unrecorded: [KeyID] = []
    ) -> Bool {
      exchange.receive(
        KeyUseTable(
          epoch: epoch, revision: revision, isComplete: isComplete, uses: uses,
          unrecorded: unrecorded),
        &windows, at: KeyUseExchangeTests.now)
    }

    /// Exchanges once. The registry reports no use of others.
    mutating func exchangeOwn() -> KeyUseReport {
      let sent = report()
      receive()
      return sent
    }

    /// Admits a request and ends it with the tokens it was estimated to take.
    mutating func ask(
      _ key: KeyID, _ limits: KeyLimits, tokens: Int = 1,
      at now: Instant = KeyUseExchangeTests.now
    ) -> RateRefusal? {
      switch windows.admit(key, limits: limits, tokens: tokens, at: now) {
      case .admitted(let reservation):
        windows.finish(reservation, tokens: tokens, at: now)
        return nil
      case .refused(let refusal): return refusal
      }
    }

    /// Admits a request of a key that may take 100 tokens a day, and does not end it.
    mutating func admitted(_ key: KeyID, tokens: Int) throws -> RateReservation {
      let decision = windows.admit(
        key, limits: KeyLimits(tokensPerDay: 100), tokens: tokens, at: KeyUseExchangeTests.now)
      guard case .admitted(let reservation) = decision else { throw Refused() }
      return reservation
    }

    private struct Refused: Error {}

    /// Number of admitted requests of several.
    mutating func admitted(
      of count: Int, _ key: KeyID, _ limits: KeyLimits, at now: Instant = KeyUseExchangeTests.now
    ) -> Int {
      var admitted = 0
      for _ in 0..<count where ask(key, limits, at: now) == nil { admitted += 1 }
      return admitted
    }
  }

  private func use(_ requests: Int, tokens: Int = 0, hoursAgo: Int64 = 0) -> DayUse {
    DayUse(
      key: key,
      hours: [
        HourlyUse(hour: Self.hour.subtractingCapped(hoursAgo), requests: requests, tokens: tokens)
      ])
  }

  @Test("a gateway begins with the use of its earlier process, and forgets it when it is a day old")
  func restart() throws {
    let limits = KeyLimits(requestsPerDay: 10, tokensPerDay: 100)
    var gateway = Gateway()
    #expect(gateway.report() == KeyUseReport(epoch: 0, after: 0, hour: Self.hour, uses: []))
    gateway.receive([use(7, tokens: 20)])
    #expect(gateway.admitted(of: 9, key, limits) == 3)
    let answer = gateway.ask(key, limits)
    let refusal = try #require(answer)
    #expect(refusal.limit == .requestsPerDay && refusal.value == 10)
    #expect(refusal.secondsToWait == 25 * 3_600 - 100)
    #expect(gateway.ask(key, KeyLimits(tokensPerDay: 100), tokens: 78)?.limit == .tokensPerDay)
    #expect(gateway.ask(key, KeyLimits(tokensPerDay: 100), tokens: 77) == nil)
    let headers = gateway.windows.headers(for: key, limits: limits, at: Self.now)
    #expect(headers.requests?.limit == 10 && headers.requests?.remaining == 0)
    #expect(headers.requests?.resetText == "24h58m20s")
    let later = Self.now.advanced(by: .seconds(25 * 3_600 - 100))
    #expect(gateway.ask(key, limits, at: later) == nil)
  }

  @Test("use of an earlier hour ends earlier")
  func hours() throws {
    let limits = KeyLimits(requestsPerDay: 10)
    var gateway = Gateway()
    gateway.receive([
      DayUse(
        key: key,
        hours: [
          HourlyUse(hour: Self.hour - 25, requests: 1_000),
          HourlyUse(hour: Self.hour - 24, requests: 6), HourlyUse(hour: Self.hour, requests: 4),
        ])
    ])
    let answer = gateway.ask(key, limits)
    let refusal = try #require(answer)
    #expect(refusal.secondsToWait == 3_600 - 100)
    let later = Self.now.advanced(by: .seconds(3_500))
    #expect(gateway.admitted(of: 9, key, limits, at: later) == 6)
  }

  @Test("each of several gateways permits its share of the rest, and more after each exchange")
  func shareOfRest() throws {
    let limits = KeyLimits(requestsPerDay: 20)
    var gateway = Gateway(of: 2)
    gateway.receive([use(12)])
    // Half of the 8 that are left.
    #expect(gateway.admitted(of: 9, key, limits) == 4)
    let remainder = try #require(
      gateway.windows.remainders(for: key, limits: limits, at: Self.now).first)
    #expect(remainder.value == 20 && remainder.share == 4 && remainder.remaining == 0)
    // The other gateway may use less than its half, which the next exchange shows.
    #expect(gateway.ask(key, limits)?.secondsToWait == 1)
    #expect(gateway.report().uses == [use(4)])
    gateway.receive(revision: 2)
    #expect(gateway.admitted(of: 9, key, limits) == 2)
    _ = gateway.report()
    gateway.receive([use(14)], revision: 3)
    #expect(gateway.ask(key, limits)?.secondsToWait == 25 * 3_600 - 100)
  }

  @Test("without the registry, a gateway permits its share of the part that was left")
  func away() throws {
    let limits = KeyLimits(requestsPerDay: 20)
    var gateway = Gateway(of: 2)
    gateway.receive([use(12)])
    _ = gateway.report()
    gateway.exchange.fail(&gateway.windows)
    #expect(gateway.admitted(of: 9, key, limits) == 4)
    // After some lost exchanges, the next one may still raise its part.
    for _ in 2...4 { gateway.exchange.fail(&gateway.windows) }
    #expect(gateway.ask(key, limits)?.secondsToWait == 1)
    // No exchange will raise its part soon.
    gateway.exchange.fail(&gateway.windows)
    #expect(gateway.ask(key, limits)?.secondsToWait == 25 * 3_600 - 100)
    // An answer ends the row of failures.
    gateway.receive([use(12)])
    #expect(gateway.ask(key, limits)?.secondsToWait == 1)
    gateway.exchange.fail(&gateway.windows)
    #expect(gateway.ask(key, limits)?.secondsToWait == 1)
    // Without any answer since its start, it permits its share of the whole limit.
    var alone = Gateway(of: 2)
    _ = alone.report()
    alone.exchange.fail(&alone.windows)
    #expect(alone.admitted(of: 20, key, limits) == 10)
  }

  @Test("a request larger than a gateway's share is admitted if the rest of the limit suffices")
  func largerThanShare() {
    let limits = KeyLimits(tokensPerDay: 100)
    var gateway = Gateway(of: 4)
    gateway.receive([use(1, tokens: 50)])
    #expect(gateway.ask(key, limits, tokens: 51) != nil)
    #expect(gateway.ask(key, limits, tokens: 50) == nil)
    #expect(gateway.ask(key, limits, tokens: 1) != nil)
  }

  @Test("a report has the keys whose use has changed, with the totals of the hours that changed")
  func reports() throws {
    let limits = KeyLimits(requestsPerDay: 10, tokensPerDay: 100)
    var gateway = Gateway()
    // Nothing is reported before the use of others has arrived.
    #expect(gateway.ask(key, limits, tokens: 5) == nil)
    #expect(gateway.report().uses.isEmpty)
    #expect(gateway.receive(isComplete: false) == true)
    #expect(gateway.report().uses.isEmpty)
    #expect(gateway.receive(revision: 4) == false)
    #expect(
      gateway.exchangeOwn()
        == KeyUseReport(
          epoch: 1, after: 4, hour: Self.hour, uses: [use(1, tokens: 5)]))
    #expect(gateway.exchangeOwn().uses.isEmpty)
    let later = Self.now.advanced(by: .seconds(3_600))
    #expect(gateway.ask(key, limits, tokens: 6, at: later) == nil)
    let changed = [
      DayUse(key: key, hours: [HourlyUse(hour: Self.hour + 1, requests: 1, tokens: 6)])
    ]
    #expect(gateway.report(at: later).uses == changed)
    // A lost report is repeated.
    gateway.exchange.fail(&gateway.windows)
    #expect(gateway.report(at: later).uses == changed)
    gateway.receive()
    #expect(gateway.report(at: later).uses.isEmpty)
    // A key without a limit per day is not reported.
    let other = try sampleKey(2).id
    #expect(gateway.ask(other, KeyLimits(requestsPerMinute: 9), at: later) == nil)
    #expect(gateway.report(at: later).uses.isEmpty)
  }

  @Test("an hour is reported until it is confirmed, also if its count is zero again")
  func lostCorrection() throws {
    var gateway = Gateway()
    gateway.receive()
    let request = try gateway.admitted(key, tokens: 90)
    #expect(gateway.report().uses == [use(0, tokens: 90)])
    // The registry may have received the report.
    gateway.exchange.fail(&gateway.windows)
    gateway.windows.finish(request, tokens: 0, at: Self.now)
    for _ in 0..<3 {
      #expect(gateway.report().uses == [use(0)])
      gateway.exchange.fail(&gateway.windows)
    }
    #expect(gateway.exchangeOwn().uses == [use(0)])
    #expect(gateway.exchangeOwn().uses.isEmpty)
  }

  @Test(
    "a new registry learns that a count is zero again, because its file may have an older total")
  func zeroForNewRegistry() throws {
    var gateway = Gateway()
    gateway.receive()
    let request = try gateway.admitted(key, tokens: 90)
    #expect(gateway.exchangeOwn().uses == [use(0, tokens: 90)])
    gateway.windows.finish(request, tokens: 0, at: Self.now)
    #expect(gateway.exchangeOwn().uses == [use(0)])
    gateway.receive(epoch: 2)
    for _ in 0..<2 {
      #expect(gateway.report().uses == [use(0)])
      gateway.exchange.fail(&gateway.windows)
    }
  }

  @Test("unused tokens are reported for the hour of the estimate")
  func correctionInEarlierHour() throws {
    let later = Self.now.advanced(by: .seconds(2 * 3_600))
    var gateway = Gateway()
    gateway.receive()
    let request = try gateway.admitted(key, tokens: 90)
    _ = gateway.exchangeOwn()
    gateway.windows.finish(request, tokens: 20, at: later)
    #expect(gateway.report(at: later).uses == [use(0, tokens: 20)])
  }

  @Test("a gateway keeps its part of a limit while the registry has no room for the key")
  func noRoom() {
    let limits = KeyLimits(requestsPerDay: 20)
    var gateway = Gateway(of: 2)
    gateway.receive()
    #expect(gateway.admitted(of: 30, key, limits) == 10)
    #expect(gateway.report().uses == [use(10)])
    gateway.receive(unrecorded: [key])
    // No exchange will raise its part soon.
    #expect(gateway.ask(key, limits)?.secondsToWait == 25 * 3_600 - 100)
    #expect(gateway.exchangeOwn().uses.isEmpty)
    #expect(gateway.ask(key, limits) != nil)
    // The registry makes room once per hour.
    let later = Self.now.advanced(by: .seconds(3_600))
    #expect(gateway.report(at: later).uses == [use(10)])
    gateway.receive()
    #expect(gateway.admitted(of: 30, key, limits, at: later) == 5)
  }

  @Test("a new registry gets all use again, and use that it forgot counts on in the gateway")
  func newRegistry() throws {
    let limits = KeyLimits(requestsPerDay: 10)
    let other = try sampleKey(2).id
    var gateway = Gateway()
    gateway.receive([use(5)])
    #expect(gateway.ask(key, limits) == nil && gateway.ask(other, limits) == nil)
    #expect(gateway.exchangeOwn().uses.count == 2)
    #expect(gateway.exchangeOwn() == KeyUseReport(epoch: 1, after: 1, hour: Self.hour, uses: []))
    gateway.receive(epoch: 2, revision: 0)
    let again = gateway.report()
    #expect(again.epoch == 2 && again.after == 0)
    #expect(Set(again.uses.map(\.key)) == [key, other])
    #expect(gateway.admitted(of: 9, key, limits) == 4)
  }

  @Test("one report has a limited number of keys, and the next one follows at once")
  func batches() throws {
    var gateway = Gateway()
    gateway.receive()
    let count = Limits.accessUseBatch.value
    for seed in 0..<UInt64(2 * count + 3) {
      _ = gateway.ask(try sampleKey(seed).id, KeyLimits(requestsPerDay: 9))
    }
    var keys: Set<KeyID> = []
    for (expected, isMore) in [(count, true), (count, false), (3, false), (0, false)] {
      let uses = gateway.report().uses
      #expect(uses.count == expected)
      keys.formUnion(uses.map(\.key))
      #expect(gateway.receive() == isMore)
    }
    #expect(keys.count == 2 * count + 3)
  }

  @Test("unused tokens of a reported request are free again")
  func corrected() throws {
    let limits = KeyLimits(tokensPerDay: 100)
    var gateway = Gateway()
    gateway.receive()
    let large = try gateway.admitted(key, tokens: 90)
    #expect(gateway.exchangeOwn().uses == [use(0, tokens: 90)])
    gateway.windows.finish(large, tokens: 10, at: Self.now)
    #expect(gateway.ask(key, limits, tokens: 91) != nil)
    #expect(gateway.ask(key, limits, tokens: 90) == nil)
    #expect(gateway.exchangeOwn().uses == [use(0, tokens: 100)])
  }

  @Test("a limit that was lowered below the use refuses, and any numbers never trap")
  func extremes() {
    var gateway = Gateway(of: 3)
    gateway.receive([use(.max, tokens: .max, hoursAgo: 1)])
    #expect(gateway.ask(key, KeyLimits(requestsPerDay: 5)) != nil)
    #expect(gateway.ask(key, KeyLimits(tokensPerDay: .max), tokens: .max) != nil)
    gateway.receive([use(.min, tokens: .min), use(3, hoursAgo: .min), use(4, hoursAgo: .max)])
    #expect(gateway.ask(key, KeyLimits(requestsPerDay: 5)) == nil)
    _ = gateway.windows.headers(
      for: key, limits: KeyLimits(requestsPerDay: .max, tokensPerDay: .min), at: Self.now)
    _ = gateway.exchangeOwn()
    #expect(gateway.ask(key, KeyLimits(requestsPerDay: 1)) != nil)
  }
}
