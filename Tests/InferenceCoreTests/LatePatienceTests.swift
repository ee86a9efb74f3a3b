import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private func host(_ id: String, tier: HostTier = .community) -> Host {
  Host(id: HostID(id), url: "http://\(id)", tier: tier, state: .ready, models: [.init(id: "m")])
}

/// The standing of a host that has answered quickly.
private let quick = HostStanding(
  slots: 1, firstTokenP50: .milliseconds(100), firstTokenP95: .milliseconds(150),
  tokensPerSecond: 40, pauseP95: .milliseconds(60), usualPromptTokens: 100)

private func cluster(_ hosts: [Host], standing: HostStanding = quick) -> FixedCluster {
  FixedCluster(hosts, standing: Dictionary(uniqueKeysWithValues: hosts.map { ($0.id, standing) }))
}

private func makeRun(
  _ deadlines: Deadlines = .standard, stream: Bool = true, extra: String = ""
) -> InferenceRun {
  InferenceRun(
    request: InferenceRequest(
      endpoint: .chatCompletions, model: "m",
      body: Array(
        #"{"model":"m","messages":[{"role":"user","content":"Go on."}]\#(extra)}"#.utf8),
      stream: stream, trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
    constraints: InferenceConstraints(race: .single, deadlines: deadlines, seed: 1))
}

private func started(
  _ directives: [InferenceRun.Directive]
) -> [(id: AttemptID, host: HostID, resume: ResumePoint?)] {
  directives.compactMap {
    guard case .start(let id, let candidate, let resume) = $0 else { return nil }
    return (id, candidate.host.id, resume)
  }
}

private func cancelled(_ directives: [InferenceRun.Directive]) -> [AttemptID] {
  directives.compactMap {
    guard case .cancel(let id) = $0 else { return nil }
    return id
  }
}

/// Failures that are recorded against hosts.
private func faults(_ directives: [InferenceRun.Directive]) -> [AttemptFailure.Kind] {
  directives.compactMap {
    guard case .observe(_, .failed(let failure, _), _) = $0 else { return nil }
    return failure.kind
  }
}

extension InferenceRun {
  /// Calls `tick` whenever it is due, until `end`.
  fileprivate mutating func wait(
    until end: Instant, _ cluster: some ClusterAccess
  ) -> [Directive] {
    var directives: [Directive] = []
    while let wake = nextWake, wake <= end {
      directives += tick(cluster: cluster, now: wake)
    }
    return directives
  }
}

/// A learned timeout only decides when another host gets an attempt. It ends no attempt.
@Suite("Hosts that are slower than was learned of them")
struct LatePatienceTests {
  @Test("alone, a host is waited for as long as the client does", arguments: [12.0, 90, 590])
  func firstToken(_ seconds: Double) throws {
    let one = cluster([host("a")])
    var run = makeRun()
    let first = try #require(started(run.begin(one, now: at(0))).first)
    var all = run.wait(until: at(seconds), one)
    #expect(all.isEmpty, "\(all)")
    all += run.received(piece("Here"), from: first.id, cluster: one, now: at(seconds))
    all += run.received(
      piece(" it is.", finish: "stop"), from: first.id, cluster: one, now: at(seconds + 1))
    all += run.received(.done, from: first.id, cluster: one, now: at(seconds + 1))
    #expect(clientText(all) == "Here it is." && all.last == .complete)
    #expect(faults(all).isEmpty)
  }

  @Test("alone, a host may pause in mid-answer", arguments: [true, false], [7.0, 60, 500])
  func pause(_ stream: Bool, _ seconds: Double) throws {
    let one = cluster([host("a")])
    var run = makeRun(stream: stream)
    let first = try #require(started(run.begin(one, now: at(0))).first)
    var all = run.received(piece("One"), from: first.id, cluster: one, now: at(1))
    all += run.received(piece(" two"), from: first.id, cluster: one, now: at(2))
    let waiting = run.wait(until: at(2 + seconds), one)
    #expect(waiting.isEmpty, "\(waiting)")
    all += run.received(
      piece(" three.", finish: "stop"), from: first.id, cluster: one, now: at(2 + seconds))
    all += run.received(.done, from: first.id, cluster: one, now: at(2 + seconds))
    #expect(all.last == .complete && faults(all).isEmpty)
    if stream { #expect(clientText(all) == "One two three.") }
  }

  @Test("the deadline of the whole answer ends the wait")
  func total() throws {
    let one = cluster([host("a")])
    var run = makeRun()
    _ = run.begin(one, now: at(0))
    let over = run.wait(until: at(600), one)
    #expect(lastFailure(over)?.code == .deadlineExceeded)
    // The cause is unknown, so the attempt is not recorded as a stall.
    #expect(faults(over) == [.totalDeadline])
  }

  @Test("a host that failed is asked again while the other one is late")
  func recovered() throws {
    let two = cluster([host("a"), host("b")])
    let failures: [(AttemptFailure, again: Double)] = [
      (AttemptFailure(.busy, "it answered 503", status: 503), 15),
      (AttemptFailure(.busy, "it answered 503", status: 503, retryAfter: .seconds(17)), 30),
      (AttemptFailure(.lost, "the connection broke"), 15),
      (AttemptFailure(.connect, "the connection was refused"), 15),
      (AttemptFailure(.rejected, "it answered 400", status: 400), .infinity),
    ]
    for (failure, again) in failures {
      var run = makeRun()
      let first = try #require(started(run.begin(two, now: at(0))).first)
      let second = try #require(started(run.wait(until: at(10), two)).first)
      let lost = run.failed(failure, second.id, cluster: two, now: at(10))
      #expect(started(lost).isEmpty)
      #expect(started(run.wait(until: at(min(again, 60) - 1), two)).isEmpty, "\(failure)")
      let third = run.wait(until: at(min(again, 60)), two)
      #expect(started(third).map(\.host) == (again < 60 ? [second.host] : []), "\(failure)")
      #expect(started(run.wait(until: at(599), two)).allSatisfy { $0.host != first.host })
    }
  }

  @Test("the client's own deadlines are kept exactly")
  func given() throws {
    let two = cluster([host("a"), host("b")])
    var run = makeRun(Deadlines(firstToken: .seconds(3), interToken: .seconds(2)))
    let first = try #require(started(run.begin(two, now: at(0))).first)
    let late = run.wait(until: at(3), two)
    #expect(cancelled(late) == [first.id])
    let second = try #require(started(late).first)
    _ = run.received(piece("One"), from: second.id, cluster: two, now: at(4))
    _ = run.received(piece(" two"), from: second.id, cluster: two, now: at(4))
    #expect(cancelled(run.wait(until: at(6), two)) == [second.id])
  }

  @Test("another host is asked in addition to the late one, and the first token wins")
  func beside() throws {
    for lateAnswers in [true, false] {
      let two = cluster([host("a"), host("b")])
      var run = makeRun()
      let first = try #require(started(run.begin(two, now: at(0))).first)
      let late = run.wait(until: at(10), two)
      let second = try #require(started(late).first)
      #expect(cancelled(late).isEmpty && second.host != first.host)
      let (winner, loser) = lateAnswers ? (first, second) : (second, first)
      var all = run.received(piece("Hi"), from: winner.id, cluster: two, now: at(12))
      #expect(cancelled(all) == [loser.id])
      all += run.received(
        piece(" there.", finish: "stop"), from: winner.id, cluster: two, now: at(13))
      all += run.received(.done, from: winner.id, cluster: two, now: at(13))
      #expect(clientText(all) == "Hi there." && all.last == .complete)
      // Slowness is recorded against a host only if another host was faster.
      #expect(faults(all) == (lateAnswers ? [] : [.firstTokenDeadline]))
    }
  }

  @Test("a short deadline of the whole answer leaves another host half of its time")
  func shortTotal() throws {
    let two = cluster([host("a"), host("b")])
    var run = makeRun(Deadlines(total: .seconds(8)))
    let first = try #require(started(run.begin(two, now: at(0))).first)
    let late = run.wait(until: at(4), two)
    let second = try #require(started(late).first)
    #expect(cancelled(late).isEmpty && second.host != first.host)
    var all = run.received(piece("Hi.", finish: "stop"), from: second.id, cluster: two, now: at(6))
    all += run.received(.done, from: second.id, cluster: two, now: at(6))
    #expect(clientText(all) == "Hi." && all.last == .complete)
    // The first host was still within its patience.
    #expect(faults(all).isEmpty)
  }

  @Test("hosts that fall silent one after the other are all asked, and none is given up for it")
  func several() throws {
    let hosts = (0..<6).map { host("h\($0)") }
    var run = makeRun()
    let all = run.begin(cluster(hosts), now: at(0)) + run.wait(until: at(300), cluster(hosts))
    #expect(started(all).count == InferenceLimits().hostsAtOnce && cancelled(all).isEmpty)
    #expect(Set(started(all).map(\.host)).count == InferenceLimits().hostsAtOnce)
  }

  @Test("if a host that was asked in addition fails, the next one is asked")
  func nextBeside() throws {
    let three = cluster([host("a"), host("b"), host("c")])
    var run = makeRun()
    let first = try #require(started(run.begin(three, now: at(0))).first)
    let second = try #require(started(run.wait(until: at(10), three)).first)
    let failed = run.failed(
      AttemptFailure(.status, "it answered 500", status: 500), second.id, cluster: three,
      now: at(11))
    let third = try #require(started(failed).first)
    let last = run.failed(
      AttemptFailure(.status, "it answered 500", status: 500), third.id, cluster: three,
      now: at(12))
    #expect(lastFailure(last) == nil && started(last).isEmpty)
    let answer = run.received(piece("Hi"), from: first.id, cluster: three, now: at(20))
    #expect(answer.contains { if case .open = $0 { true } else { false } })
  }

  @Test(
    "in mid-answer another host takes over once its words join, and the late one stays until then")
  func takeOver() throws {
    let two = cluster([host("a"), host("b")])
    var run = makeRun()
    let first = try #require(started(run.begin(two, now: at(0))).first)
    var all = run.received(piece("One"), from: first.id, cluster: two, now: at(1))
    all += run.received(piece(" two"), from: first.id, cluster: two, now: at(1))
    all += run.received(piece(" thr"), from: first.id, cluster: two, now: at(1))
    let late = run.wait(until: at(6), two)
    all += late
    let second = try #require(started(late).first)
    #expect(cancelled(late).isEmpty && second.resume?.prefix == Array("One two".utf8))
    all += run.received(piece(" three"), from: second.id, cluster: two, now: at(8))
    #expect(cancelled(all).isEmpty, "its first word waits for the next")
    let taken = run.received(piece(" four"), from: second.id, cluster: two, now: at(9))
    all += taken
    #expect(cancelled(taken) == [first.id])
    all += run.received(piece(".", finish: "stop"), from: second.id, cluster: two, now: at(9))
    all += run.received(.done, from: second.id, cluster: two, now: at(9))
    #expect(clientText(all) == "One two three four." && all.last == .complete)
    let records = try #require(summaryOf(all)).attempts
    #expect(records.map(\.outcome.name) == ["stall", "answered"])
    #expect(records[0].failure?.message.contains("host \(second.host) resumed the answer") == true)
  }

  @Test("a late host that sends again keeps the answer, whatever another one has sent")
  func spokeAgain() throws {
    let two = cluster([host("a"), host("b")])
    var run = makeRun()
    let first = try #require(started(run.begin(two, now: at(0))).first)
    var all = run.received(piece("One"), from: first.id, cluster: two, now: at(1))
    all += run.received(piece(" two"), from: first.id, cluster: two, now: at(1))
    let second = try #require(started(run.wait(until: at(6), two)).first)
    // The second host's output does not align, which must not end the late attempt.
    _ = run.received(piece("Un"), from: second.id, cluster: two, now: at(7))
    let again = run.received(piece(" three"), from: first.id, cluster: two, now: at(8))
    #expect(cancelled(again) == [second.id])
    all += again
    all += run.received(
      piece(" four.", finish: "stop"), from: first.id, cluster: two, now: at(9))
    all += run.received(.done, from: first.id, cluster: two, now: at(9))
    #expect(clientText(all) == "One two three four." && all.last == .complete)
    #expect(summaryOf(all)?.attempts.map(\.outcome.name) == ["beaten", "answered"])
  }

  @Test("a host whose words do not join takes nothing over")
  func noJoint() throws {
    let two = cluster([host("a"), host("b")])
    var run = makeRun()
    let first = try #require(started(run.begin(two, now: at(0))).first)
    var all = run.received(
      piece("The capital of France is Paris, which lies on the ri"), from: first.id, cluster: two,
      now: at(1))
    all += run.received(piece("ver Seine, and"), from: first.id, cluster: two, now: at(1))
    let second = try #require(started(run.wait(until: at(6), two)).first)
    let other = run.received(
      piece("Paris is the capital of France, a city.", finish: "stop"), from: second.id,
      cluster: two, now: at(7))
    all += other
    #expect(cancelled(other) == [second.id] && started(other).isEmpty)
    all += run.received(
      piece(" it is old.", finish: "stop"), from: first.id, cluster: two, now: at(60))
    all += run.received(.done, from: first.id, cluster: two, now: at(60))
    #expect(
      clientText(all)
        == "The capital of France is Paris, which lies on the river Seine, and it is old.")
  }

  @Test("if the late host breaks off, the hosts asked in addition continue")
  func promoted() throws {
    let two = cluster([host("a"), host("b")])
    var run = makeRun()
    let first = try #require(started(run.begin(two, now: at(0))).first)
    var all = run.received(piece("One"), from: first.id, cluster: two, now: at(1))
    all += run.received(piece(" two"), from: first.id, cluster: two, now: at(1))
    let second = try #require(started(run.wait(until: at(6), two)).first)
    let lost = run.failed(AttemptFailure(.lost, "reset"), first.id, cluster: two, now: at(7))
    all += lost
    #expect(started(lost).isEmpty && cancelled(lost) == [first.id])
    all += run.received(piece(" two"), from: second.id, cluster: two, now: at(8))
    all += run.received(
      piece(" three.", finish: "stop"), from: second.id, cluster: two, now: at(8))
    all += run.received(.done, from: second.id, cluster: two, now: at(8))
    #expect(clientText(all) == "One two three." && all.last == .complete)
  }

  @Test("text of a slow host is held back until its pace was checked once, and never lost")
  func crawl() throws {
    let two = cluster([host("a"), host("b")])
    var run = makeRun()
    let first = try #require(started(run.begin(two, now: at(0))).first)
    var all = run.received(piece("slow"), from: first.id, cluster: two, now: at(0.1))
    for second in [4.0, 8] {
      all += run.received(piece(" x"), from: first.id, cluster: two, now: at(second))
    }
    let crawl = run.wait(until: at(10.2), two)
    let other = try #require(started(crawl).first)
    #expect(cancelled(crawl).isEmpty && other.host != first.host)
    let withheld =
      run.received(piece(" y"), from: first.id, cluster: two, now: at(12))
      + run.received(piece(" z"), from: first.id, cluster: two, now: at(16))
    #expect(clientText(withheld).isEmpty)
    // The other host does not answer in time.
    let released = run.wait(until: at(20.3), two)
    #expect(clientText(all + released) == "slow x x y")
    #expect(cancelled(released) == [other.id])
    all += released
    all += run.received(piece(".", finish: "stop"), from: first.id, cluster: two, now: at(22))
    all += run.received(.done, from: first.id, cluster: two, now: at(22))
    #expect(clientText(all) == "slow x x y z." && all.last == .complete)
  }

  @Test("a host that is silent for two minutes and answers no probe is given up")
  func dead() throws {
    var a = host("a")
    let alive = cluster([a])
    a.state = .unreachable
    a.reason = "no route to host"
    let gone = cluster([a])
    var run = makeRun()
    _ = run.begin(alive, now: at(0))
    #expect(run.wait(until: at(110), gone).isEmpty)
    let over = run.wait(until: at(200), gone)
    let failure = try #require(lastFailure(over))
    #expect(failure.message.contains("does not answer probes (no route to host)"), "\(failure)")
  }

  @Test("a client that cannot be sent a resumed answer waits for the host that has it")
  func notContinuable() throws {
    let two = cluster([host("a"), host("b")])
    var run = makeRun(extra: #","n":2"#)
    let first = try #require(started(run.begin(two, now: at(0))).first)
    _ = run.received(piece("One"), from: first.id, cluster: two, now: at(1))
    let waiting = run.wait(until: at(60), two)
    #expect(waiting.isEmpty, "\(waiting)")
  }

  @Test("the operator's own hosts are asked in addition to a late one")
  func fallback() throws {
    let hosts = cluster([host("a"), host("own", tier: .fallback)])
    var run = makeRun()
    _ = run.begin(hosts, now: at(0))
    #expect(started(run.wait(until: at(10), hosts)).map(\.host) == ["own"])
  }

  @Test("next to a fast host another one is asked after a second, and the fast one may still win")
  func fastHost() throws {
    var fast = quick
    fast.ownFirstTokens = 40
    let two = cluster([host("a"), host("b")], standing: fast)
    var run = makeRun()
    let first = try #require(started(run.begin(two, now: at(0))).first)
    #expect(started(run.wait(until: at(0.9), two)).isEmpty)
    let relief = run.wait(until: at(1.1), two)
    #expect(started(relief).count == 1 && cancelled(relief).isEmpty)
    var all = run.received(
      piece("Here.", finish: "stop"), from: first.id, cluster: two, now: at(1.2))
    all += run.received(.done, from: first.id, cluster: two, now: at(1.2))
    #expect(clientText(all) == "Here." && faults(relief + all).isEmpty)
  }

  @Test("prompt length and queue belong to what is expected")
  func expected() {
    var busy = quick
    busy.usualPromptTokens = 20
    func patience(_ tokens: Int) -> Double {
      HostPatience(for: busy, promptTokens: tokens, now: at(0)).firstToken.inSeconds
    }
    #expect(patience(20) == 10)
    #expect(patience(100) == 50)
    busy.inFlight = 3
    #expect(patience(20) == 40, "four requests, one at a time")
    busy.slots = 4
    #expect(patience(20) == 10)
  }

  @Test("six long prompts at once on one host give six answers, and it stays open to others")
  func sixAtOnce() throws {
    var statistics = HostStatistics(seed: 1)
    let table = HostTable(
      epoch: 1, revision: 1,
      hosts: [
        Host(id: "a", url: "http://a", state: .ready, models: [.init(id: "m")], slots: 1)
      ])
    statistics.adopt(table, now: at(0))
    for index in 0..<10 {
      let began = at(Double(index))
      statistics.observe(.began(promptTokens: 20), of: "a", started: began, now: began)
      statistics.observe(
        .firstToken, of: "a", started: began, now: began.advanced(by: .milliseconds(100)))
      statistics.observe(
        .ended, of: "a", started: began, now: began.advanced(by: .milliseconds(300)))
    }
    var runs: [(run: InferenceRun, id: AttemptID)] = []
    var text: [String] = []
    func learn(_ directives: [InferenceRun.Directive], _ now: Instant) {
      for case .observe(let host, let observation, let started) in directives {
        statistics.observe(observation, of: host, started: started, now: now)
      }
    }
    func access(_ now: Instant) -> FixedCluster {
      var cluster = FixedCluster([])
      cluster.seen = statistics.view(now: now)
      return cluster
    }
    for _ in 0..<6 {
      var run = makeRun()
      let directives = run.begin(access(at(20)), now: at(20))
      learn(directives, at(20))
      runs.append((run, try #require(started(directives).first).id))
    }
    // One of the answers arrives every 14 s.
    for index in runs.indices {
      let now = at(20 + 14 * Double(index + 1))
      for other in runs.indices[index...] {
        let late = runs[other].run.wait(until: now, access(now))
        learn(late, now)
        #expect(late.isEmpty, "\(late)")
      }
      var all = runs[index].run.received(
        piece("Done."), from: runs[index].id, cluster: access(now), now: now)
      all += runs[index].run.received(
        piece("", finish: "stop"), from: runs[index].id, cluster: access(now), now: now)
      all += runs[index].run.received(
        .done, from: runs[index].id, cluster: access(now), now: now)
      learn(all, now)
      text.append(clientText(all))
    }
    #expect(text == Array(repeating: "Done.", count: 6))
    #expect(statistics.standing(of: "a", now: at(110))?.breaker == .closed)
    #expect(statistics.standing(of: "a", now: at(110))?.errorRate == 0)
  }

  @Test(
    "a late host that answers other requests is busy; one that answers none has failed"
  )
  func blame() {
    for others in [0, 3] {
      var statistics = HostStatistics(seed: 1)
      statistics.adopt(
        HostTable(
          epoch: 1, revision: 1,
          hosts: [Host(id: "a", url: "http://a", state: .ready, models: [.init(id: "m")])]),
        now: at(0))
      for _ in 0..<others {
        statistics.observe(.began(promptTokens: 1), of: "a", started: at(0), now: at(0))
      }
      let client = ClientFingerprint(tag: "one")
      for index in 0..<20 {
        let now = at(Double(index))
        let asker = index % 2 == 0 ? client : nil
        statistics.observe(
          .began(promptTokens: 1), of: "a", for: asker, started: now, now: now)
        statistics.observe(
          .failed(AttemptFailure(.stall, ""), answered: true), of: "a", for: asker,
          started: now, now: now)
      }
      let own = Eligibility(
        model: "m", constraints: InferenceConstraints(client: client, seed: 1),
        view: statistics.view(now: at(19.1)))
      #expect(own.isEmpty == (others == 0))
      let isOpen =
        statistics.standing(of: "a", now: at(19.1))?.breaker.admits(at: at(19.1)) == false
      #expect(isOpen == (others == 0))
    }
  }
}
