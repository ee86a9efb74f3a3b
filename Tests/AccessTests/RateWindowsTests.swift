import Access
import ClusterModel
import Testing

@Suite("Rate limits")
struct RateWindowsTests {
  private let key: KeyID

  init() throws { key = try sampleKey(1).id }

  /// Admits a request and ends it with its estimated tokens.
  private func ask(
    _ windows: inout RateWindows, _ limits: KeyLimits, tokens: Int = 1, at now: Instant
  ) -> RateRefusal? {
    switch windows.admit(key, limits: limits, tokens: tokens, at: now) {
    case .admitted(let reservation):
      windows.finish(reservation, tokens: tokens, at: now)
      return nil
    case .refused(let refusal): return refusal
    }
  }

  @Test("a key without limits is always admitted and takes no memory")
  func unlimited() {
    var windows = RateWindows()
    for _ in 0..<1_000 { #expect(ask(&windows, .unlimited, tokens: .max, at: .zero) == nil) }
    #expect(windows.keyCount == 0)
    let headers = windows.headers(for: key, limits: .unlimited, at: .zero)
    #expect(headers.requests == nil && headers.tokens == nil)
  }

  @Test("requests above the minute's limit are refused until earlier ones have left the minute")
  func requestsPerMinute() throws {
    var windows = RateWindows()
    let limits = KeyLimits(requestsPerMinute: 2)
    #expect(ask(&windows, limits, at: seconds(0)) == nil)
    #expect(ask(&windows, limits, at: seconds(30)) == nil)
    let refusal = try #require(ask(&windows, limits, at: seconds(31)))
    #expect(refusal.limit == .requestsPerMinute)
    let wait = try #require(refusal.secondsToWait)
    #expect(ask(&windows, limits, at: seconds(31 + wait - 1)) != nil)
    #expect(ask(&windows, limits, at: seconds(31 + wait)) == nil)
  }

  @Test("a refusal names the limit, its value and the wait")
  func sentence() throws {
    var windows = RateWindows()
    let limits = KeyLimits(requestsPerMinute: 1)
    #expect(ask(&windows, limits, at: .zero) == nil)
    let failure = try #require(ask(&windows, limits, at: .zero)).failure
    #expect(failure.code == .rateLimited)
    #expect(failure.retryAfter == .seconds(65))
    #expect(
      failure.message
        == "The key tutti-\(key) has reached its limit of 1 request per minute. Try again in "
        + "65 seconds, or ask an admin for a higher limit.")
  }

  @Test("before its body, a request is refused that would be refused after it, and counts nothing")
  func beforeTheBody() throws {
    var windows = RateWindows()
    func early(_ limits: KeyLimits) -> RateRefusal? {
      windows.refusal(of: key, limits: limits, at: .zero)
    }
    for limits in [
      KeyLimits.unlimited, KeyLimits(requestsPerMinute: 1), KeyLimits(concurrentRequests: 1),
    ] {
      #expect(early(limits) == nil)
    }
    #expect(windows.keyCount == 0)
    #expect(
      ask(&windows, KeyLimits(requestsPerMinute: 1, tokensPerDay: 3), tokens: 3, at: .zero) == nil)
    for limits in [
      KeyLimits(requestsPerMinute: 1), KeyLimits(tokensPerDay: 3),
      KeyLimits(requestsPerMinute: 1, tokensPerDay: 3),
    ] {
      let refusal = try #require(early(limits))
      #expect(refusal == ask(&windows, limits, at: .zero))
      #expect(early(limits) == refusal)
    }
    #expect(early(KeyLimits(requestsPerMinute: 2, tokensPerDay: 4)) == nil)
    #expect(ask(&windows, KeyLimits(requestsPerMinute: 2, tokensPerDay: 4), at: .zero) == nil)
  }

  @Test("the limit with the longest wait is named")
  func longestWait() throws {
    var windows = RateWindows()
    let limits = KeyLimits(requestsPerMinute: 1, requestsPerDay: 1)
    #expect(ask(&windows, limits, at: .zero) == nil)
    #expect(try #require(ask(&windows, limits, at: .zero)).limit == .requestsPerDay)
  }

  @Test("requests at the same time are limited until one of them ends, once")
  func concurrent() throws {
    var windows = RateWindows()
    let limits = KeyLimits(concurrentRequests: 2)
    guard case .admitted(let first) = windows.admit(key, limits: limits, tokens: 1, at: .zero),
      case .admitted = windows.admit(key, limits: limits, tokens: 1, at: .zero),
      case .refused(let refusal) = windows.admit(key, limits: limits, tokens: 1, at: .zero)
    else {
      Issue.record("two of three are admitted")
      return
    }
    #expect(refusal.limit == .concurrentRequests)
    windows.finish(first, tokens: 1, at: .zero)
    windows.finish(first, tokens: 1, at: .zero)
    guard case .admitted = windows.admit(key, limits: limits, tokens: 1, at: .zero),
      case .refused = windows.admit(key, limits: limits, tokens: 1, at: .zero)
    else {
      Issue.record("one place was released")
      return
    }
  }

  @Test("tokens that an answer did not use are returned when it ends")
  func unusedTokens() {
    var windows = RateWindows()
    let limits = KeyLimits(tokensPerMinute: 100)
    guard case .admitted(let large) = windows.admit(key, limits: limits, tokens: 90, at: .zero)
    else {
      Issue.record("the first request is admitted")
      return
    }
    #expect(ask(&windows, limits, tokens: 20, at: .zero)?.limit == .tokensPerMinute)
    windows.finish(large, tokens: 10, at: seconds(20))
    #expect(windows.headers(for: key, limits: limits, at: seconds(20)).tokens?.remaining == 90)
    #expect(ask(&windows, limits, tokens: 90, at: seconds(20)) == nil)
  }

  @Test("tokens beyond the estimate count when the answer ends")
  func extraTokens() {
    var windows = RateWindows()
    let limits = KeyLimits(tokensPerMinute: 100)
    guard case .admitted(let small) = windows.admit(key, limits: limits, tokens: 10, at: .zero)
    else {
      Issue.record("the first request is admitted")
      return
    }
    windows.finish(small, tokens: 150, at: seconds(50))
    #expect(windows.headers(for: key, limits: limits, at: seconds(50)).tokens?.remaining == 0)
    #expect(ask(&windows, limits, tokens: 50, at: seconds(64)) != nil)
    #expect(ask(&windows, limits, tokens: 50, at: seconds(115)) == nil)
  }

  @Test("a higher estimate counts for running requests, and its end counts the true tokens")
  func raised() throws {
    var windows = RateWindows()
    let limits = KeyLimits(tokensPerMinute: 1_000, tokensPerDay: 5_000)
    var admitted: [RateReservation] = []
    for _ in 0..<5 {
      guard case .admitted(let plan) = windows.admit(key, limits: limits, tokens: 10, at: .zero)
      else { continue }
      admitted.append(plan)
    }
    try #require(admitted.count == 5)
    let refusals = admitted.map {
      windows.raise($0, limits: limits, to: 400, mayRefuse: true, at: .zero)?.limit
    }
    #expect(refusals == [nil, nil, .tokensPerMinute, .tokensPerMinute, .tokensPerMinute])
    // A repeated and a lower estimate change nothing. A refused request keeps its former estimate.
    #expect(
      windows.raise(admitted[0], limits: limits, to: 400, mayRefuse: true, at: .zero) == nil)
    #expect(windows.raise(admitted[0], limits: limits, to: 1, mayRefuse: true, at: .zero) == nil)
    #expect(windows.headers(for: key, limits: limits, at: .zero).tokens?.remaining == 170)
    // A running plan that grows is counted above the limit.
    #expect(
      windows.raise(admitted[1], limits: limits, to: 900, mayRefuse: false, at: .zero) == nil)
    #expect(windows.headers(for: key, limits: limits, at: .zero).tokens?.remaining == 0)
    for plan in admitted { windows.finish(plan, tokens: 20, at: seconds(20)) }
    let rest = windows.remainders(for: key, limits: limits, at: seconds(20))
    #expect(rest.map(\.remaining) == [900, 4_900])
    // The request has ended.
    #expect(
      windows.raise(admitted[0], limits: limits, to: 9_000, mayRefuse: true, at: seconds(20))
        == nil)
  }

  @Test("an estimate above the limit runs alone")
  func raisedAboveLimit() {
    var windows = RateWindows()
    let limits = KeyLimits(tokensPerMinute: 1_000)
    guard case .admitted(let first) = windows.admit(key, limits: limits, tokens: 10, at: .zero),
      case .admitted(let second) = windows.admit(key, limits: limits, tokens: 10, at: .zero)
    else {
      Issue.record("small requests are admitted")
      return
    }
    let refusal = windows.raise(first, limits: limits, to: 5_000, mayRefuse: true, at: .zero)
    #expect(refusal?.secondsToWait == 65)
    windows.finish(second, tokens: 0, at: .zero)
    let alone = windows.raise(first, limits: limits, to: 5_000, mayRefuse: true, at: .zero)
    #expect(alone == nil)
    #expect(ask(&windows, limits, tokens: 1, at: .zero) != nil)
  }

  @Test("a request that was refused after its count leaves the day's limit, not the minute's")
  func refusedLater() {
    var windows = RateWindows()
    let limits = KeyLimits(requestsPerMinute: 10, requestsPerDay: 10, tokensPerDay: 100)
    for wasRefused in [true, false] {
      guard case .admitted(let one) = windows.admit(key, limits: limits, tokens: 9, at: .zero)
      else {
        Issue.record("the request is admitted")
        return
      }
      windows.finish(one, tokens: 0, wasRefused: wasRefused, at: .zero)
      // A repeated end gives nothing back.
      windows.finish(one, tokens: 0, wasRefused: true, at: .zero)
    }
    let rest = windows.remainders(for: key, limits: limits, at: .zero)
    #expect(rest.first(where: { $0.limit == .requestsPerMinute })?.remaining == 8)
    #expect(rest.first(where: { $0.limit == .requestsPerDay })?.remaining == 9)
    #expect(rest.first(where: { $0.limit == .tokensPerDay })?.remaining == 100)
  }

  @Test("a request larger than the limit is refused without a wait")
  func tooLarge() throws {
    var windows = RateWindows()
    let limits = KeyLimits(tokensPerMinute: 100)
    let refusal = try #require(ask(&windows, limits, tokens: 101, at: .zero))
    #expect(refusal.secondsToWait == nil)
    #expect(refusal.failure.message.contains("max_tokens"))
    #expect(ask(&windows, limits, tokens: 100, at: .zero) == nil)
  }

  @Test("each gateway permits its share, rounded up")
  func share() {
    for (limit, gateways, expected) in [
      (10, 1, 10), (10, 3, 4), (1, 5, 1), (10, 0, 10), (7, -1, 7),
    ] {
      var windows = RateWindows(gateways: gateways)
      let limits = KeyLimits(requestsPerMinute: limit)
      let admitted = (0..<20).count { _ in ask(&windows, limits, at: .zero) == nil }
      #expect(admitted == expected, "\(limit) for \(gateways) gateways")
    }
  }

  @Test("a request larger than the share but not than the limit is admitted if nothing is counted")
  func largerThanShare() {
    var windows = RateWindows(gateways: 4)
    let limits = KeyLimits(tokensPerMinute: 100)
    #expect(ask(&windows, limits, tokens: 80, at: .zero) == nil)
    #expect(ask(&windows, limits, tokens: 1, at: .zero) != nil)
    #expect(ask(&windows, limits, tokens: 80, at: seconds(65)) == nil)
  }

  @Test("fewer gateways have a larger share at once")
  func changedGateways() {
    var windows = RateWindows(gateways: 2)
    let limits = KeyLimits(requestsPerMinute: 2)
    #expect(ask(&windows, limits, at: .zero) == nil)
    #expect(ask(&windows, limits, at: .zero) != nil)
    windows.gateways = 1
    #expect(ask(&windows, limits, at: .zero) == nil)
  }

  private func values(_ row: RateLimitHeaders.Row?) -> [String] {
    row.map { ["\($0.limit)", "\($0.remaining)", $0.resetText] } ?? []
  }

  @Test("headers have OpenAI's form, of the window that ends first")
  func headers() {
    var windows = RateWindows()
    let limits = KeyLimits(requestsPerMinute: 10, requestsPerDay: 5, tokensPerMinute: 1_000)
    #expect(ask(&windows, limits, tokens: 100, at: .zero) == nil)
    let headers = windows.headers(for: key, limits: limits, at: seconds(1))
    #expect(values(headers.requests) == ["5", "4", "24h59m59s"])
    #expect(values(headers.tokens) == ["1000", "900", "1m4s"])
  }

  @Test("headers of a key that made no request show the whole share")
  func unusedHeaders() {
    var windows = RateWindows()
    let headers = windows.headers(
      for: key, limits: KeyLimits(tokensPerDay: 7), at: seconds(9))
    #expect(headers.requests == nil)
    #expect(values(headers.tokens) == ["7", "7", "0s"])
  }

  @Test("a clock that jumps ahead forgets, and one that jumps back keeps the count for one window")
  func clockJumps() {
    let limits = KeyLimits(requestsPerMinute: 1)
    let year = 31_536_000
    var windows = RateWindows()
    #expect(ask(&windows, limits, at: seconds(year)) == nil)
    #expect(ask(&windows, limits, at: seconds(10))?.secondsToWait == 65)
    #expect(ask(&windows, limits, at: seconds(74)) != nil)
    #expect(ask(&windows, limits, at: seconds(75)) == nil)
    #expect(ask(&windows, limits, at: seconds(50 * year)) == nil)
    #expect(ask(&windows, limits, at: seconds(-50 * year)) != nil)
    #expect(ask(&windows, limits, at: seconds(-50 * year + 70)) == nil)
  }

  @Test("an answer that ends in another time than it began corrects the right count")
  func finishAfterJump() {
    var windows = RateWindows()
    let limits = KeyLimits(tokensPerMinute: 100)
    guard
      case .admitted(let old) = windows.admit(key, limits: limits, tokens: 100, at: seconds(500))
    else {
      Issue.record("the first request is admitted")
      return
    }
    windows.finish(old, tokens: 40, at: seconds(3))
    #expect(windows.headers(for: key, limits: limits, at: seconds(3)).tokens?.remaining == 60)
    guard case .admitted(let late) = windows.admit(key, limits: limits, tokens: 60, at: seconds(3))
    else {
      Issue.record("the returned tokens are free")
      return
    }
    #expect(ask(&windows, limits, tokens: 100, at: seconds(9_000)) == nil)
    windows.finish(late, tokens: 0, at: seconds(9_000))
    #expect(windows.headers(for: key, limits: limits, at: seconds(9_000)).tokens?.remaining == 0)
  }

  @Test("numbers of any size never trap")
  func extremes() {
    var windows = RateWindows(gateways: .max)
    let limits = KeyLimits(
      requestsPerMinute: .max, requestsPerDay: .min, tokensPerMinute: .max, tokensPerDay: .max,
      concurrentRequests: .max)
    for tokens in [Int.min, -1, 0, .max] {
      _ = ask(&windows, limits, tokens: tokens, at: .zero)
      if case .admitted(let reservation) = windows.admit(
        key, limits: KeyLimits(tokensPerDay: .max), tokens: tokens, at: .zero)
      {
        windows.finish(reservation, tokens: .max, at: .zero)
        windows.finish(reservation, tokens: .min, at: .zero)
      }
    }
  }

  @Test("at most the given number of keys is counted")
  func bounded() throws {
    var windows = RateWindows(maximumKeys: 3)
    for seed in 0..<100 as Range<UInt64> {
      _ = windows.admit(
        try sampleKey(seed).id, limits: KeyLimits(requestsPerDay: 1), tokens: 1, at: .zero)
      #expect(windows.keyCount <= 3)
    }
  }

  @Test("no minute and no day ever has more than the limit", arguments: 0..<10)
  func property(seed: UInt64) {
    var rng = SplitMix64(seed: seed)
    var windows = RateWindows()
    let limits = KeyLimits(
      requestsPerMinute: Int.random(in: 1...20, using: &rng),
      requestsPerDay: Int.random(in: 20...200, using: &rng),
      tokensPerMinute: Int.random(in: 50...500, using: &rng),
      tokensPerDay: Int.random(in: 500...5_000, using: &rng))
    var admitted: [(time: Int, tokens: Int)] = []
    var now = 0
    for _ in 0..<1_500 {
      now += Int.random(in: 0...(Bool.random(using: &rng) ? 2 : 120), using: &rng)
      let tokens = Int.random(in: 0...60, using: &rng)
      let refusal = ask(&windows, limits, tokens: tokens, at: seconds(now))
      if refusal == nil { admitted.append((now, tokens)) }
      for (window, slot, requests, sum) in [
        (60, 5, limits.requestsPerMinute, limits.tokensPerMinute),
        (86_400, 3_600, limits.requestsPerDay, limits.tokensPerDay),
      ] {
        let inWindow = admitted.suffix(400).filter { $0.time > now - window }
        let used = inWindow.reduce(0) { $0 + $1.tokens }
        #expect(inWindow.count <= requests ?? 0)
        #expect(used <= sum ?? 0)
        // A refusal must have a cause. The requests of the window and of one slot before it, with
        // this request, must exceed the limit.
        guard let refusal, refusal.secondsToWait != nil else { continue }
        let counted = admitted.filter { $0.time > now - window - slot }
        let isOwn =
          [.requestsPerMinute, .tokensPerMinute].contains(refusal.limit) == (window == 60)
        guard isOwn else { continue }
        switch refusal.limit {
        case .requestsPerMinute, .requestsPerDay: #expect(counted.count >= requests ?? 0)
        default: #expect(counted.reduce(tokens) { $0 + $1.tokens } > sum ?? 0)
        }
      }
    }
    #expect(admitted.count > 20)
  }

  @Test("the wait of a refusal and the time to the reset are exact", arguments: 0..<10)
  func waits(seed: UInt64) throws {
    var rng = SplitMix64(seed: seed)
    var windows = RateWindows()
    let limits = KeyLimits(requestsPerMinute: Int.random(in: 1...20, using: &rng))
    var refused = 0
    var now = 0
    for _ in 0..<300 {
      now += Int.random(in: 0...9, using: &rng)
      if let wait = ask(&windows, limits, at: seconds(now))?.secondsToWait {
        // The requests of the comparison count only in copies.
        var (early, due) = (windows, windows)
        #expect(ask(&early, limits, at: seconds(now + wait - 1)) != nil)
        #expect(ask(&due, limits, at: seconds(now + wait)) == nil)
        refused += 1
      }
      let present = windows.remainders(for: key, limits: limits, at: seconds(now)).first
      let reset = try #require(present?.secondsToReset)
      var (early, due) = (windows, windows)
      let before = early.remainders(for: key, limits: limits, at: seconds(now + reset - 1)).first
      let after = due.remainders(for: key, limits: limits, at: seconds(now + reset)).first
      #expect(before?.remaining != before?.share)
      #expect(after != nil && after?.remaining == after?.share)
    }
    #expect(refused > 0 || limits.requestsPerMinute ?? 0 > 10)
  }

  @Test("the remainders are this gateway's share of each limit that the key has")
  func remainders() {
    var windows = RateWindows(gateways: 2)
    let limits = KeyLimits(requestsPerMinute: 10, tokensPerDay: 101, concurrentRequests: 4)
    let unused = windows.remainders(for: key, limits: limits, at: .zero)
    #expect(unused.map(\.limit) == [.concurrentRequests, .requestsPerMinute, .tokensPerDay])
    #expect(unused.map(\.value) == [4, 10, 101])
    #expect(unused.map(\.share) == [2, 5, 51])
    #expect(unused.map(\.remaining) == [2, 5, 51])
    #expect(unused.map(\.secondsToReset) == [nil, 0, 0])
    _ = windows.admit(key, limits: limits, tokens: 30, at: seconds(1))
    let used = windows.remainders(for: key, limits: limits, at: seconds(2))
    #expect(used.map(\.remaining) == [1, 4, 21])
    #expect(used[1].secondsToReset.map { $0 > 0 && $0 <= 65 } == true)
    // A call of `remainders` counts as no request.
    #expect(windows.remainders(for: key, limits: limits, at: seconds(2)) == used)
    #expect(windows.remainders(for: key, limits: .unlimited, at: seconds(2)).isEmpty)
  }
}
