import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private func host(_ id: String, slots: Int? = nil) -> Host {
  Host(
    id: HostID(id), url: "http://\(id)", state: .ready, models: [.init(id: "m")], slots: slots)
}

private func open(inFlight: Int = 0, errorRate: Double = 0.5) -> HostStanding {
  HostStanding(inFlight: inFlight, errorRate: errorRate, breaker: .open(until: at(30)))
}

private func makeRun(
  client: ClientFingerprint? = nil, race: RaceMode? = .single, policy: DataPolicy = .any
) -> InferenceRun {
  InferenceRun(
    request: InferenceRequest(
      endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
    constraints: InferenceConstraints(
      race: race, dataPolicy: policy, client: client, seed: 1))
}

private func started(_ directives: [InferenceRun.Directive]) -> [(id: AttemptID, host: HostID)] {
  directives.compactMap {
    guard case .start(let id, let candidate, _) = $0 else { return nil }
    return (id, candidate.host.id)
  }
}

/// Refusing a request that could be tried is an outage caused by the cluster itself.
@Suite("Hosts that only breakers keep from answering")
struct PanicTests {
  @Test("the only host is asked although its breaker is open, and the record says so")
  func alone() throws {
    for breaker in [CircuitBreaker.State.open(until: at(30)), .halfOpen] {
      let one = FixedCluster([host("a")], standing: ["a": HostStanding(breaker: breaker)])
      var run = makeRun()
      let first = try #require(started(run.begin(one, now: at(0))).first)
      var all = run.received(piece("Hi.", finish: "stop"), from: first.id, cluster: one, now: at(1))
      all += run.received(.done, from: first.id, cluster: one, now: at(1))
      #expect(clientText(all) == "Hi.")
      let record = try #require(summaryOf(all)?.attempts.first)
      #expect(record.isPanic)
      #expect(record.facts.description.contains("asked although its breaker was open"))
    }
  }

  @Test("while another host is eligible, no host with an open breaker is asked")
  func another() throws {
    let two = FixedCluster([host("a"), host("b")], standing: ["a": open()])
    var asking = makeRun(race: nil)
    #expect(started(asking.begin(two, now: at(0))).map(\.host) == ["b"])
  }

  @Test("of several the best is asked, and a host that is known to be dead is not")
  func best() throws {
    var dead = host("dead")
    dead.state = .unreachable
    let hosts = FixedCluster(
      [host("a"), host("b"), dead],
      standing: ["a": open(inFlight: 4, errorRate: 0.9), "b": open(errorRate: 0.1)])
    var run = makeRun()
    #expect(started(run.begin(hosts, now: at(0))).map(\.host) == ["b"])
  }

  @Test(
    "requests to a host with an open breaker are bounded; then the refusal has a time to retry")
  func bounded() throws {
    let full = FixedCluster([host("a", slots: 1)], standing: ["a": open(inFlight: 16)])
    var run = makeRun()
    let failure = try #require(lastFailure(run.begin(full, now: at(0))))
    #expect(failure.code == .noEligibleHost && failure.retryAfter == .seconds(30))
    #expect(failure.message.contains("a failed several requests in a row"))
    let wide = FixedCluster(
      [host("a", slots: 64)],
      standing: ["a": HostStanding(inFlight: 100, slots: 64, breaker: .open(until: at(30)))])
    var other = makeRun()
    #expect(started(other.begin(wide, now: at(0))).count == 1)
  }

  @Test("a refusal names the wait for the first breaker of a host that may be asked")
  func waitForTheFirstBreaker() throws {
    func wait(_ breakers: [HostID: CircuitBreaker.State], policy: DataPolicy = .any) throws
      -> Duration?
    {
      var trusted = host("trusted", slots: 1)
      trusted.trust = .trusted
      let cluster = FixedCluster(
        [host("a", slots: 1), trusted],
        standing: breakers.mapValues { HostStanding(inFlight: 16, breaker: $0) })
      var run = makeRun(policy: policy)
      let failure = try #require(lastFailure(run.begin(cluster, now: at(0))))
      #expect(failure.code == .noEligibleHost)
      return failure.retryAfter
    }
    #expect(try wait(["a": .open(until: at(30)), "trusted": .open(until: at(7))]) == .seconds(7))
    // The breaker of `trusted` waits for the outcome of one request. If it fails, the
    // breaker opens for about a second.
    #expect(try wait(["a": .open(until: at(30)), "trusted": .halfOpen]) == .seconds(1))
    // The breaker of `a` admits a request first, but the data policy does not allow `a`.
    #expect(
      try wait(["a": .open(until: at(2)), "trusted": .open(until: at(7))], policy: .trusted)
        == .seconds(7))
  }

  @Test("a refusal names no wait if no breaker is in the way")
  func noBreakerInTheWay() throws {
    let cluster = FixedCluster([host("a")], standing: ["a": open(inFlight: 16)])
    var run = makeRun(policy: .local)
    let failure = try #require(lastFailure(run.begin(cluster, now: at(0))))
    #expect(failure.code == .noEligibleHost && failure.retryAfter == nil)
  }

  @Test("a client that the only host's breaker excludes gets the time when it opens")
  func waitOfClosedHost() throws {
    let client = ClientFingerprint(tag: "one")
    var statistics = HostStatistics(seed: 1)
    statistics.adopt(
      HostTable(epoch: 1, revision: 1, hosts: [host("a", slots: 1)]), now: at(0))
    for _ in 0..<5 {
      statistics.observe(.began(promptTokens: 1), of: "a", for: client, started: at(0), now: at(0))
      statistics.observe(
        .failed(AttemptFailure(.status, "", status: 500), answered: false), of: "a", for: client,
        started: at(0), now: at(0))
    }
    // Use up the requests that may be in flight at a host while its breaker excludes it.
    for _ in 0..<16 {
      statistics.observe(.began(promptTokens: 1), of: "a", started: at(0), now: at(0))
    }
    var cluster = FixedCluster([])
    cluster.seen = statistics.view(now: at(0.25))
    var run = makeRun(client: client)
    let failure = try #require(lastFailure(run.begin(cluster, now: at(0.25))))
    #expect(failure.code == .noEligibleHost && failure.retryAfter == .seconds(0.75))
  }

  @Test("a begun answer is resumed even by a host with an open breaker")
  func midAnswer() throws {
    let hosts = FixedCluster(
      [host("a"), host("b"), host("c")], standing: ["b": open(), "c": open()])
    var run = makeRun()
    let first = try #require(started(run.begin(hosts, now: at(0))).first)
    #expect(first.host == "a")
    var all = run.received(piece("One"), from: first.id, cluster: hosts, now: at(1))
    all += run.received(piece(" two"), from: first.id, cluster: hosts, now: at(1))
    all += run.failed(AttemptFailure(.connect, "refused"), first.id, cluster: hosts, now: at(2))
    let second = try #require(started(all).last)
    #expect(["b", "c"].contains(second.host))
    all += run.failed(AttemptFailure(.connect, "refused"), second.id, cluster: hosts, now: at(3))
    let third = try #require(started(all).last)
    #expect(Set([second.host, third.host]) == ["b", "c"])
    all += run.received(piece(" two"), from: third.id, cluster: hosts, now: at(4))
    all += run.received(
      piece(" three.", finish: "stop"), from: third.id, cluster: hosts, now: at(4))
    all += run.received(.done, from: third.id, cluster: hosts, now: at(4))
    #expect(clientText(all) == "One two three." && all.last == .complete)
  }

  @Test("a host that is closed to one client alone is asked for it if no other is left")
  func closedToClient() throws {
    let client = ClientFingerprint(tag: "one")
    var statistics = HostStatistics(seed: 1)
    statistics.adopt(HostTable(epoch: 1, revision: 1, hosts: [host("a")]), now: at(0))
    for index in 0..<5 {
      let now = at(Double(index) / 10)
      statistics.observe(.began(promptTokens: 1), of: "a", for: client, started: now, now: now)
      statistics.observe(
        .failed(AttemptFailure(.status, "", status: 500), answered: false), of: "a", for: client,
        started: now, now: now)
    }
    var cluster = FixedCluster([])
    cluster.seen = statistics.view(now: at(0.5))
    var run = makeRun(client: client)
    #expect(started(run.begin(cluster, now: at(0.5))).map(\.host) == ["a"])
  }

  @Test("the first token closes an open breaker, and one failure after that opens it")
  func closes() {
    var statistics = HostStatistics(seed: 1)
    statistics.adopt(HostTable(epoch: 1, revision: 1, hosts: [host("a")]), now: at(0))
    func breaker(_ now: Double) -> CircuitBreaker.State? {
      statistics.standing(of: "a", now: at(now))?.breaker
    }
    for index in 0..<5 {
      let now = at(Double(index) / 10)
      statistics.observe(.began(promptTokens: 1), of: "a", started: now, now: now)
      statistics.observe(
        .failed(AttemptFailure(.connect, ""), answered: false), of: "a", started: now, now: now)
    }
    #expect(breaker(0.5)?.admits(at: at(0.5)) == false)
    statistics.observe(.began(promptTokens: 1), of: "a", started: at(0.6), now: at(0.6))
    statistics.observe(.firstToken, of: "a", started: at(0.6), now: at(0.7))
    #expect(breaker(0.7) == .closed)
    statistics.observe(
      .failed(AttemptFailure(.lost, ""), answered: true), of: "a", started: at(0.6), now: at(0.8))
    #expect(breaker(0.8)?.admits(at: at(0.8)) == false)
  }

  @Test("a host that fails and recovers is asked by every request in between")
  func recovers() throws {
    var statistics = HostStatistics(seed: 1)
    statistics.adopt(HostTable(epoch: 1, revision: 1, hosts: [host("a")]), now: at(0))
    for index in 0..<60 {
      let now = at(Double(index) / 4)
      var cluster = FixedCluster([])
      cluster.seen = statistics.view(now: now)
      var run = makeRun()
      var all = run.begin(cluster, now: now)
      let first = try #require(started(all).first, "request \(index) was refused")
      if index < 30 {
        all += run.failed(
          AttemptFailure(.connect, "refused"), first.id, cluster: cluster, now: now)
        #expect(lastFailure(all)?.message.contains("refused") == true)
      } else {
        all += run.received(
          piece("Hi.", finish: "stop"), from: first.id, cluster: cluster, now: now)
        all += run.received(.done, from: first.id, cluster: cluster, now: now)
        #expect(clientText(all) == "Hi.")
      }
      for case .observe(let host, let observation, let started) in all {
        statistics.observe(observation, of: host, started: started, now: now)
      }
    }
  }
}
