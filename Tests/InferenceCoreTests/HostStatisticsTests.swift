import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private func table(_ count: Int = 1, slots: Int? = nil, revision: UInt64 = 1) -> HostTable {
  HostTable(
    epoch: 1, revision: revision,
    hosts: (0..<count).map {
      Host(
        id: HostID("h\($0)"), url: "http://h\($0)", state: .ready, models: [.init(id: "m")],
        slots: slots)
    })
}

private func statistics(_ count: Int = 1, own: PeerID? = nil) -> HostStatistics {
  var statistics = HostStatistics(own: own, seed: 1)
  statistics.adopt(table(count), now: at(0))
  return statistics
}

private let me = PeerID(name: "gateway", incarnation: 5)

extension HostStatistics {
  fileprivate mutating func answer(_ host: HostID = "h0", in time: Double, now: Double) {
    observe(.began(promptTokens: 100), of: host, started: at(now), now: at(now))
    observe(.firstToken, of: host, started: at(now), now: at(now + time))
    observe(
      .flowed(tokens: 20, over: .seconds(1), longestPause: .milliseconds(100)), of: host,
      started: at(now), now: at(now + time + 1))
    observe(.ended, of: host, started: at(now), now: at(now + time + 1))
  }

  fileprivate mutating func fail(
    _ kind: AttemptFailure.Kind, status: Int? = nil, now: Double, after time: Double = 0
  ) {
    observe(.began(promptTokens: 100), of: "h0", started: at(now), now: at(now))
    observe(
      .failed(AttemptFailure(kind, "", status: status), answered: false), of: "h0",
      started: at(now), now: at(now + time))
  }
}

@Suite("Statistics of hosts")
struct HostStatisticsTests {
  @Test("powers and logarithms agree with what is known of them")
  func arithmetic() {
    for (x, power) in [(0.0, 1.0), (0.5, 2.0.squareRoot()), (-1.0, 0.5), (10.25, 1_217.748_085_76)]
    {
      #expect(abs(BinaryLogarithm.power(x) / power - 1) < 1e-9)
      #expect(abs(BinaryLogarithm.of(power) - x) < 1e-6)
    }
    #expect(BinaryLogarithm.power(-5_000) == 0)
  }

  @Test("a quantile of many samples is off by a tenth at most", arguments: [0.004, 0.08, 1.7, 45])
  func quantiles(scale: Double) throws {
    var histogram = LatencyHistogram()
    #expect(histogram.quantile(0.5) == nil)
    for index in 1...1_000 {
      histogram.record(.seconds(scale * Double(index) / 500), now: at(0))
    }
    for share in [0.5, 0.9, 0.95] {
      let found = try #require(histogram.quantile(share)).inSeconds
      #expect(abs(found / (scale * share * 2) - 1) < 0.1 || found < 0.002, "\(share): \(found)")
    }
    #expect(abs(histogram.weight(at: at(60)) - 500) < 1e-6)
  }

  @Test("every time falls into a bucket whose bounds hold it")
  func buckets() {
    for exponent in stride(from: -2.0, through: 17.7, by: 0.13) {
      let time = Duration.seconds(BinaryLogarithm.power(exponent) / 1_000)
      let bucket = LatencyHistogram.bucket(of: time)
      #expect(time <= LatencyHistogram.upperBound(of: bucket) + .nanoseconds(10))
      if bucket > 0 { #expect(time >= LatencyHistogram.upperBound(of: bucket - 1)) }
    }
    #expect(LatencyHistogram.bucket(of: .seconds(100_000)) == LatencyHistogram.buckets - 1)
  }

  @Test("old samples fade, and a host that was not asked for a long time is as good as new")
  func fading() throws {
    var statistics = statistics()
    for index in 0..<8 { statistics.answer(in: 20, now: Double(index)) }
    let slow = try #require(statistics.standing(of: "h0", now: at(10)))
    #expect(slow.isMeasured(at: at(10)))
    #expect((19...24).contains(try #require(slow.firstTokenP95).inSeconds))
    // The host has become faster. After two half-lives, new samples outweigh old ones twenty to
    // one.
    for index in 0..<40 { statistics.answer(in: 0.2, now: 130 + Double(index)) }
    let fast = try #require(statistics.standing(of: "h0", now: at(180)))
    #expect(try #require(fast.firstTokenP50) < .milliseconds(300))
    let until = try #require(fast.measuredUntil)
    #expect((400...700).contains(until.sinceStart.inSeconds))
    #expect(!fast.isMeasured(at: until))
  }

  @Test("the loser of a race took at least as long as it was given")
  func losers() throws {
    var statistics = statistics()
    statistics.observe(.began(promptTokens: 1), of: "h0", started: at(0), now: at(0))
    statistics.observe(.cancelled(answered: false), of: "h0", started: at(0), now: at(3))
    let p95 = try #require(statistics.standing(of: "h0", now: at(3))?.firstTokenP95)
    #expect((2.8...3.5).contains(p95.inSeconds))
    #expect(statistics.inFlight.isEmpty)
  }

  @Test(
    "only what is the host's fault opens its breaker",
    arguments: [
      (AttemptFailure.Kind.connect, nil, true), (.status, 500, true), (.status, 404, false),
      (.firstTokenDeadline, nil, true), (.stall, nil, true), (.lost, nil, true),
      (.garbage, nil, true), (.busy, 503, false), (.rejected, 400, false),
      (.consumerLeft, nil, false), (.totalDeadline, nil, false), (.noSecret, nil, false),
      (.unsuited, nil, false),
    ] as [(AttemptFailure.Kind, Int?, Bool)])
  func blame(_ kind: AttemptFailure.Kind, _ status: Int?, _ opens: Bool) {
    var statistics = statistics()
    for index in 0..<20 { statistics.fail(kind, status: status, now: Double(index) / 100) }
    let standing = statistics.standing(of: "h0", now: at(0.3))
    #expect(standing?.breaker.admits(at: at(0.3)) == !opens)
    #expect(((standing?.errorRate ?? 0) > 0.5) == opens)
    #expect((standing?.busyUntil != nil) == (kind == .busy))
    #expect(standing?.inFlight == 0)
  }

  @Test(
    "the request that is let through after a while is believed, though it is noted a moment after it began"
  )
  func probe() {
    var statistics = statistics()
    for index in 0..<20 { statistics.fail(.connect, now: Double(index) / 100) }
    let noted = at(5.000_01)
    #expect(statistics.view(now: at(5)).standings[0].breaker.admits(at: at(5)))
    statistics.observe(.began(promptTokens: 1), of: "h0", started: at(5), now: noted)
    #expect(statistics.view(now: noted).standings[0].breaker == .halfOpen)
    statistics.observe(.firstToken, of: "h0", started: at(5), now: at(5.1))
    #expect(statistics.view(now: at(5.1)).standings[0].breaker == .closed)
    statistics.observe(.ended, of: "h0", started: at(5), now: at(6))
    #expect(statistics.view(now: at(6)).standings[0].breaker == .closed)
  }

  @Test(
    "a host that was not even asked is no faster for it",
    arguments: [
      AttemptFailure.Kind.noSecret, .unsuited,
    ])
  func notAsked(_ kind: AttemptFailure.Kind) {
    var statistics = statistics()
    statistics.fail(kind, now: 0, after: 0.001)
    let standing = statistics.standing(of: "h0", now: at(1))
    #expect(standing?.firstTokenP95 == nil)
    #expect(standing?.inFlight == 0)
  }

  @Test("patience follows the host's own history and the prompt's length")
  func patience() {
    var statistics = statistics()
    func patience(_ now: Double, tokens: Int? = nil) -> HostPatience {
      HostPatience(
        for: statistics.standing(of: "h0", now: at(now)) ?? HostStanding(), promptTokens: tokens,
        now: at(now))
    }
    #expect(patience(0).firstToken == .seconds(60) && patience(0).interToken == .seconds(30))
    for index in 0..<20 { statistics.answer(in: 0.1, now: Double(index)) }
    #expect(patience(30).firstToken == .seconds(10) && patience(30).interToken == .seconds(5))
    #expect((99...101).contains(patience(30, tokens: 1_000).firstToken.inSeconds))
    #expect((1.9...2.1).contains(patience(30).tokensPerSecondFloor))
    for index in 0..<60 { statistics.answer(in: 6, now: 40 + Double(index)) }
    #expect((20...30).contains(patience(105).firstToken.inSeconds))
    #expect(patience(105, tokens: 100_000).firstToken == .seconds(120))
    #expect(patience(3_000).firstToken == .seconds(60), "too long ago to say anything")
  }

  @Test("a host with many fast first tokens gets a second, and a longer prompt its share more")
  func fastHost() {
    var statistics = statistics()
    func patience(_ now: Double, tokens: Int? = nil) -> Duration {
      HostPatience(
        for: statistics.standing(of: "h0", now: at(now)) ?? HostStanding(), promptTokens: tokens,
        now: at(now)
      ).firstToken
    }
    for index in 0..<10 { statistics.answer(in: 0.1, now: Double(index)) }
    #expect(patience(10) == .seconds(10), "ten answers have no 95th percentile")
    for index in 10..<40 { statistics.answer(in: 0.1, now: Double(index)) }
    #expect(patience(41) == .seconds(1))
    #expect(patience(41, tokens: 10) == .seconds(1))
    #expect((19...21).contains(patience(41, tokens: 2_000).inSeconds))
    #expect(patience(150) == .seconds(10), "the host may have unloaded its model since then")
    for index in 0..<40 { statistics.answer(in: 1.5, now: 200 + Double(index)) }
    #expect(patience(241) == .seconds(10), "a p95 of more than a second is not fast")
  }

  @Test("times of other processes, or of prompts of unknown length, shorten no wait")
  func unknownPrompts() {
    func patience(own: Double, prompt: Double?) -> Duration {
      HostPatience(
        for: HostStanding(
          firstTokenP95: .milliseconds(100), ownFirstTokens: own, usualPromptTokens: prompt),
        promptTokens: 4_000, now: at(0)
      ).firstToken
    }
    #expect(patience(own: 0, prompt: 4_000) == .seconds(10))
    #expect(patience(own: 100, prompt: nil) == .seconds(10))
    #expect(patience(own: 100, prompt: 4_000) == .seconds(1))
    #expect(patience(own: 100, prompt: 100) == .seconds(40))
  }

  /// Records `crowd` concurrent answers of 20 tokens each.
  private func writes(
    _ statistics: inout HostStatistics, _ crowd: Int, secondsEach: Double, now: Double
  ) {
    for _ in 0..<crowd {
      statistics.observe(.began(promptTokens: 1), of: "h0", started: at(now), now: at(now))
    }
    let end = at(now + secondsEach)
    for _ in 0..<crowd {
      statistics.observe(
        .flowed(tokens: 20, over: .seconds(secondsEach), longestPause: nil), of: "h0",
        started: at(now), now: end)
      statistics.observe(.ended, of: "h0", started: at(now), now: end)
    }
  }

  @Test(
    "how answers slow each other down at a host is seen where it writes one now and several then",
    arguments: [(1.0, 0.0), (1.5, 0.5), (2.0, 1.0), (3.0, 1.0), (0.9, 0.0)])
  func slowdown(pairSeconds: Double, expected: Double) throws {
    var statistics = statistics()
    for index in 0..<12 { writes(&statistics, 1, secondsEach: 1, now: Double(index) * 5) }
    #expect(statistics.standing(of: "h0", now: at(60))?.slowdown == nil, "always alone")
    for index in 12..<24 {
      writes(&statistics, 2, secondsEach: pairSeconds, now: Double(index) * 5)
    }
    let found = try #require(statistics.standing(of: "h0", now: at(120))?.slowdown)
    #expect(abs(found - expected) < 0.02, "\(found)")
  }

  @Test(
    "an answer was concurrent for as long as another one was written, not if one ran at its end"
  )
  func partlyBeside() {
    var statistics = statistics(own: me)
    func began(_ now: Double) {
      statistics.observe(.began(promptTokens: 1), of: "h0", started: at(now), now: at(now))
    }
    began(0)
    // Another process's answer begins after one second and lasts three seconds.
    for (revision, others, now) in [(1, 1, 1.0), (2, 0, 4.0)] as [(UInt64, Int, Double)] {
      statistics.merge(
        LoadTable(
          epoch: 1, revision: revision, hosts: [HostLoad(host: "h0", inFlight: others)],
          merged: []), now: at(now))
    }
    statistics.observe(
      .flowed(tokens: 40, over: .seconds(4), longestPause: nil), of: "h0", started: at(0),
      now: at(4))
    statistics.observe(.ended, of: "h0", started: at(0), now: at(4))
    let report = statistics.report(now: at(4))
    #expect(
      report?.hosts.map(\.flow) == [TokenFlow(tokens: 40, over: .seconds(4), concurrency: 0.75)])
  }

  @Test("requests that wait for a slot do not count as concurrent")
  func waiting() {
    var statistics = HostStatistics(seed: 1)
    statistics.adopt(table(slots: 2), now: at(0))
    writes(&statistics, 5, secondsEach: 1, now: 0)
    let report = statistics.report(now: at(1))
    #expect(report?.hosts.map(\.flow.concurrency) == [100])
  }

  @Test("the registry's merged measurements count more than the process's own")
  func slowdownOfAll() {
    var statistics = statistics(own: me)
    for index in 0..<12 { writes(&statistics, 1, secondsEach: 1, now: Double(index) * 5) }
    for index in 12..<24 { writes(&statistics, 2, secondsEach: 2, now: Double(index) * 5) }
    #expect(statistics.standing(of: "h0", now: at(120))?.slowdown == 1)
    statistics.merge(
      LoadTable(
        epoch: 1, revision: 1, hosts: [HostLoad(host: "h0", slowdown: 0.25)], merged: []),
      now: at(120))
    #expect(statistics.standing(of: "h0", now: at(120))?.slowdown == 0.25)
  }

  // MARK: - Merging with the registry

  @Test("own requests are counted exactly, others' as published")
  func merging() {
    var statistics = statistics(own: me)
    func inFlight(_ now: Double) -> Int? { statistics.standing(of: "h0", now: at(now))?.inFlight }
    for _ in 0..<3 {
      statistics.observe(.began(promptTokens: 1), of: "h0", started: at(1), now: at(1))
    }
    let report = statistics.report(now: at(1))
    #expect(report?.sequence == 1)
    #expect(report?.hosts == [HostLoadReport(host: "h0", inFlight: 3)])
    let tooSoon = statistics.report(now: at(1.1))
    #expect(tooSoon == nil)
    // One more request begins while the report is in transit; other processes have four.
    statistics.observe(.began(promptTokens: 1), of: "h0", started: at(1.2), now: at(1.2))
    statistics.merge(
      LoadTable(
        epoch: 9, revision: 1, hosts: [HostLoad(host: "h0", inFlight: 7)],
        merged: [.init(peer: me, sequence: 1)]), now: at(1.3))
    #expect(inFlight(1.3) == 8)
    statistics.observe(.ended, of: "h0", started: at(1), now: at(1.4))
    #expect(inFlight(1.4) == 7)
    // A table older than our report does not contain our requests.
    statistics.merge(
      LoadTable(epoch: 9, revision: 1, hosts: [], merged: []), now: at(1.5))
    #expect(inFlight(1.5) == 7, "that one was heard already")
    // A new registry has not received our report yet, so our own requests are added to its table.
    statistics.merge(
      LoadTable(epoch: 10, revision: 1, hosts: [HostLoad(host: "h0", inFlight: 2)], merged: []),
      now: at(1.6))
    #expect(inFlight(1.6) == 5)
  }

  @Test("in silence others' requests fade out, probes age no more, own experience decides")
  func silence() throws {
    var statistics = statistics(own: me)
    statistics.merge(
      LoadTable(
        epoch: 9, revision: 1,
        hosts: [
          HostLoad(
            host: "h0", inFlight: 20, firstTokenP95: .seconds(9), samples: 100,
            probeAge: .seconds(1))
        ], merged: []), now: at(10))
    _ = statistics.view(now: at(14))
    #expect(statistics.standing(of: "h0", now: at(14))?.inFlight == 20)
    let later = statistics.view(now: at(30))
    let half = try #require(later.standing(of: "h0"))
    #expect((8...12).contains(half.inFlight))
    let last = statistics.view(now: at(1_000))
    let end = try #require(last.standing(of: "h0"))
    #expect(end.inFlight == 0 && !end.isMeasured(at: at(1_000)))
    let age = try #require(end.lastAnswered).duration(to: at(1_000))
    #expect(age <= .seconds(7), "\(age)")
  }

  @Test("an idle process reports nothing; one with work repeats it")
  func rhythm() {
    var statistics = statistics(own: me)
    var reports = 0
    for tick in 0..<400 where statistics.report(now: at(Double(tick) * 0.05)) != nil {
      reports += 1
    }
    #expect(reports == 0)
    statistics.observe(.began(promptTokens: 1), of: "h0", started: at(20), now: at(20))
    for tick in 400..<800 where statistics.report(now: at(Double(tick) * 0.05)) != nil {
      reports += 1
    }
    #expect((10...11).contains(reports), "\(reports)")
    statistics.observe(.ended, of: "h0", started: at(20), now: at(40))
    for tick in 800..<1_200 where statistics.report(now: at(Double(tick) * 0.05)) != nil {
      reports += 1
    }
    #expect((11...12).contains(reports), "\(reports)")
  }

  @Test("an open breaker is reported while it admits no request, by an idle process, too")
  func openBreaker() {
    var policy = CircuitBreaker.Policy()
    policy.firstOpen = .seconds(10)
    policy.jitter = 0
    var statistics = HostStatistics(own: me, breaker: policy, seed: 1)
    statistics.adopt(table(), now: .zero)
    for _ in 0..<5 { statistics.fail(.connect, now: 0) }
    var open: [Bool] = []
    for tick in 1..<300 {
      guard let report = statistics.report(now: at(Double(tick) * 0.05)) else { continue }
      open.append(report.hosts.contains { $0.host == "h0" && $0.isOpen })
    }
    // One report with the failures, one every two seconds while the breaker is open, and one when
    // the breaker admits a request.
    #expect(open == [true, true, true, true, true, false])
  }

  @Test("a host that other processes gave up has a lower score and gets one chance")
  func suspect() {
    var statistics = statistics(own: me)
    statistics.merge(
      LoadTable(
        epoch: 9, revision: 1, hosts: [HostLoad(host: "h0", openBreakers: 1)], merged: []),
      now: at(1))
    #expect(statistics.standing(of: "h0", now: at(1))?.isSuspect == true)
    statistics.fail(.connect, now: 2)
    #expect(statistics.standing(of: "h0", now: at(2))?.breaker.admits(at: at(2)) == false)
  }

  @Test("an end that overtakes its beginning leaves nothing under way")
  func overtaken() {
    var statistics = statistics()
    statistics.observe(.cancelled(answered: false), of: "h0", started: at(0), now: at(0))
    #expect(statistics.inFlight.isEmpty)
    #expect(statistics.standing(of: "h0", now: at(0))?.inFlight == 0)
    statistics.observe(.began(promptTokens: 1), of: "h0", started: at(0), now: at(0))
    #expect(statistics.inFlight.isEmpty)
  }

  @Test("hosts that are gone are forgotten once nothing is under way there")
  func forgetting() {
    var statistics = statistics(2)
    statistics.observe(.began(promptTokens: 1), of: "h1", started: at(0), now: at(0))
    statistics.adopt(table(0, revision: 2), now: at(1))
    #expect(statistics.standing(of: "h0", now: at(1)) == nil)
    #expect(statistics.inFlight == ["h1": 1])
    statistics.observe(.ended, of: "h1", started: at(0), now: at(2))
    #expect(statistics.standing(of: "h1", now: at(2)) == nil && statistics.inFlight.isEmpty)
  }
}
