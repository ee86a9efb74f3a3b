import ClusterModel
import InferenceCore
import Testing

private let deadlines = Deadlines(
  firstToken: .seconds(10), interToken: .seconds(5), total: .seconds(60))

private func host(_ id: String, _ state: HostState = .ready, tier: HostTier = .community) -> Host {
  Host(id: HostID(id), url: "http://\(id)", tier: tier, state: state, models: [.init(id: "m")])
}

private func view(_ hosts: [Host]) -> ClusterView {
  ClusterView(table: HostTable(epoch: 1, revision: 1, hosts: hosts))
}

private func at(_ seconds: Int) -> Instant { Instant(sinceStart: .seconds(seconds)) }

private func request(stream: Bool = true) -> InferenceRequest {
  InferenceRequest(
    endpoint: .chatCompletions, model: "m", body: Array(#"{"model":"m"}"#.utf8), stream: stream,
    trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
}

private func run(stream: Bool = true, seed: UInt64 = 1) -> InferenceRun {
  InferenceRun(
    request: request(stream: stream),
    constraints: InferenceConstraints(deadlines: deadlines, seed: seed))
}

private func chunk(_ text: String, finish: String? = nil) -> UpstreamItem {
  .chunk(
    InferenceChunk(
      data: Array(text.utf8), facts: ChunkFacts(text: text, finishReason: finish)))
}

private func started(_ directives: [InferenceRun.Directive]) -> (AttemptID, HostID)? {
  for case .start(let id, let candidate) in directives { return (id, candidate.host.id) }
  return nil
}

private func failure(_ directives: [InferenceRun.Directive]) -> Failure? {
  guard case .fail(let failure)? = directives.last else { return nil }
  return failure
}

@Suite("One inference, in virtual time")
struct InferenceRunTests {
  @Test("chunks before the first valid token are held, then everything is passed on in order")
  func holdsUntilValid() throws {
    var run = run()
    let cluster = view([host("a")])
    let (id, chosen) = try #require(started(run.begin(cluster, now: at(0))))
    #expect(chosen == "a")
    run.received(status: 200, from: id)
    #expect(run.received(chunk(""), from: id, view: { cluster }, now: at(1)).isEmpty)
    #expect(run.received(chunk(" \n"), from: id, view: { cluster }, now: at(1)).isEmpty)
    let opened = run.received(chunk("x"), from: id, view: { cluster }, now: at(2))
    #expect(opened.count == 4)
    #expect(
      opened.first
        == .open(
          InferenceOpening(host: "a", model: "m", status: 200, firstToken: .seconds(2), attempt: 1))
    )
    _ = run.received(chunk("", finish: "stop"), from: id, view: { cluster }, now: at(3))
    let closed = run.received(.done, from: id, view: { cluster }, now: at(4))
    guard case .deliver(.finished(let summary)) = closed.first else {
      Issue.record("no summary: \(closed)")
      return
    }
    #expect(summary.finishReason == "stop")
    #expect(summary.usage.completionTokens == 2)
    #expect(summary.usage.estimated)
    #expect(summary.total == .seconds(4))
    #expect(closed.dropFirst() == [.release(id), .complete])
    #expect(run.nextWake == nil)
  }

  @Test("the next host is asked when one fails before its first token, each host once")
  func nextHost() throws {
    var run = run()
    let cluster = view([host("a"), host("b")])
    let (first, firstHost) = try #require(started(run.begin(cluster, now: at(0))))
    let again = run.received(
      .broken(AttemptFailure(.status, "it answered 500", status: 500)), from: first,
      view: { cluster }, now: at(1))
    #expect(again.first == .cancel(first))
    let (second, secondHost) = try #require(started(again))
    #expect(secondHost != firstHost)
    // Late news from the first changes nothing.
    #expect(run.received(chunk("late"), from: first, view: { cluster }, now: at(2)).isEmpty)
    let over = run.failed(
      AttemptFailure(.connect, "refused"), second, view: { cluster }, now: at(3))
    let told = try #require(failure(over))
    #expect(told.code == .upstreamFailed)
    #expect(told.message.contains("500") && told.message.contains("refused"))
  }

  @Test("attempts are bounded, however many hosts there are")
  func boundedAttempts() throws {
    var run = run()
    let cluster = view((0..<10).map { host("h\($0)") })
    var (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    var count = 1
    while let next = started(
      run.failed(AttemptFailure(.connect, "refused"), id, view: { cluster }, now: at(1)))
    {
      id = next.0
      count += 1
    }
    #expect(count == 3)
  }

  @Test("a connection that was closed before the head is tried once more when nobody else is left")
  func retriesIdleConnection() throws {
    var run = run()
    let cluster = view([host("a")])
    let (first, _) = try #require(started(run.begin(cluster, now: at(0))))
    let lost = AttemptFailure(.lostBeforeHead, "closed")
    let (second, chosen) = try #require(
      started(run.failed(lost, first, view: { cluster }, now: at(1))))
    #expect(chosen == "a")
    #expect(failure(run.failed(lost, second, view: { cluster }, now: at(2))) != nil)
  }

  @Test("a request that a host rejects is not given to another")
  func rejected() throws {
    var run = run()
    let cluster = view([host("a"), host("b")])
    let (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    let directives = run.received(
      .broken(AttemptFailure(.rejected, "it answered 400: bad", status: 400)), from: id,
      view: { cluster }, now: at(1))
    #expect(started(directives) == nil)
    #expect(failure(directives)?.code == .invalidRequest)
  }

  @Test("the first-token deadline gives the request to the next host, which has its own")
  func firstTokenDeadline() throws {
    var run = run()
    let cluster = view([host("a"), host("b")])
    _ = run.begin(cluster, now: at(0))
    #expect(run.nextWake == at(10))
    #expect(run.tick(view: { cluster }, now: at(9)).isEmpty)
    #expect(started(run.tick(view: { cluster }, now: at(10))) != nil)
    #expect(run.nextWake == at(20))
    let directives = run.tick(view: { cluster }, now: at(20))
    #expect(failure(directives)?.code == .deadlineExceeded)
  }

  @Test("silence between tokens ends the answer with a failure that names the host")
  func stall() throws {
    var run = run()
    let cluster = view([host("a"), host("b")])
    let (id, chosen) = try #require(started(run.begin(cluster, now: at(0))))
    _ = run.received(chunk("x"), from: id, view: { cluster }, now: at(2))
    #expect(run.nextWake == at(7))
    _ = run.received(chunk("y"), from: id, view: { cluster }, now: at(6))
    #expect(run.tick(view: { cluster }, now: at(10)).isEmpty)
    let directives = run.tick(view: { cluster }, now: at(11))
    #expect(directives.first == .cancel(id))
    #expect(failure(directives)?.message.contains("\(chosen)") == true)
  }

  @Test("the total deadline holds for all hosts together, streamed or not")
  func totalDeadline() throws {
    let cluster = view([host("a")])
    var whole = run(stream: false)
    _ = whole.begin(cluster, now: at(0))
    #expect(whole.nextWake == at(60))
    #expect(failure(whole.tick(view: { cluster }, now: at(60)))?.code == .deadlineExceeded)

    var streamed = run()
    let (id, _) = try #require(started(streamed.begin(cluster, now: at(0))))
    for second in stride(from: 4, to: 60, by: 4) {
      _ = streamed.received(chunk("x"), from: id, view: { cluster }, now: at(second))
    }
    #expect(streamed.nextWake == at(60))
    #expect(failure(streamed.tick(view: { cluster }, now: at(60)))?.code == .deadlineExceeded)
  }

  @Test("a stream that ends without a finish_reason was cut", arguments: [UpstreamItem.done, .end])
  func cut(_ ending: UpstreamItem) throws {
    var run = run()
    let cluster = view([host("a")])
    let (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    _ = run.received(chunk("x"), from: id, view: { cluster }, now: at(1))
    let directives = run.received(ending, from: id, view: { cluster }, now: at(2))
    #expect(failure(directives)?.code == .upstreamFailed)
  }

  @Test("a connection lost after the finish_reason costs nothing")
  func lostAfterFinish() throws {
    var run = run()
    let cluster = view([host("a")])
    let (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    _ = run.received(chunk("x", finish: "stop"), from: id, view: { cluster }, now: at(1))
    let directives = run.failed(
      AttemptFailure(.lost, "reset"), id, view: { cluster }, now: at(2))
    #expect(directives.last == .complete)
  }

  @Test("busy hosts make an overload with the shortest wait")
  func overload() throws {
    var run = run()
    let cluster = view([host("a"), host("b")])
    let (first, _) = try #require(started(run.begin(cluster, now: at(0))))
    let (second, _) = try #require(
      started(
        run.received(
          .broken(AttemptFailure(.busy, "429", status: 429, retryAfter: .seconds(9))),
          from: first, view: { cluster }, now: at(1))))
    let over = run.received(
      .broken(AttemptFailure(.busy, "503", status: 503, retryAfter: .seconds(4))),
      from: second, view: { cluster }, now: at(2))
    #expect(failure(over)?.code == .overloaded)
    #expect(failure(over)?.retryAfter == .seconds(4))
  }

  @Test("whoever leaves cancels what is under way, once")
  func leaving() throws {
    var run = run()
    let cluster = view([host("a")])
    let (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    #expect(run.abandon(now: at(1)).first == .cancel(id))
    #expect(run.abandon(now: at(1)).isEmpty)
    #expect(run.attempts.first?.failure?.kind == .consumerLeft)
  }

  @Test("fallback hosts are asked only when no other is left")
  func fallbackTier() throws {
    for seed in 0..<50 as Range<UInt64> {
      var run = run(seed: seed)
      let cluster = view([host("own", tier: .fallback), host("a"), host("b")])
      let (first, firstHost) = try #require(started(run.begin(cluster, now: at(0))))
      let refused = AttemptFailure(.connect, "refused")
      let (second, secondHost) = try #require(
        started(run.failed(refused, first, view: { cluster }, now: at(0))))
      let (_, last) = try #require(
        started(run.failed(refused, second, view: { cluster }, now: at(0))))
      #expect(Set([firstHost, secondHost]) == ["a", "b"])
      #expect(last == "own")
    }
  }

  @Test("random events never break a run: one end, no directive after it, every attempt closed")
  func randomEvents() {
    for seed in 0..<2_000 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      let cluster = view((0..<Int.random(in: 0..<5, using: &rng)).map { host("h\($0)") })
      var run = run(stream: Bool.random(using: &rng), seed: seed)
      var now = at(0)
      var all = run.begin(cluster, now: now)
      for _ in 0..<40 {
        now = now.advanced(by: .milliseconds(Int.random(in: 0..<4_000, using: &rng)))
        let id = AttemptID(Int.random(in: 0..<3, using: &rng))
        switch Int.random(in: 0..<9, using: &rng) {
        case 0: all += run.received(.done, from: id, view: { cluster }, now: now)
        case 1: all += run.received(.end, from: id, view: { cluster }, now: now)
        case 2:
          all += run.failed(AttemptFailure(.lost, "x"), id, view: { cluster }, now: now)
        case 3: all += run.tick(view: { cluster }, now: now)
        case 4 where seed % 5 == 0: all += run.abandon(now: now)
        case 5:
          all += run.received(chunk("", finish: "stop"), from: id, view: { cluster }, now: now)
        default: all += run.received(chunk("x"), from: id, view: { cluster }, now: now)
        }
      }
      all += run.tick(view: { cluster }, now: at(1_000))
      var started: Set<AttemptID> = []
      var closed: [AttemptID] = []
      var ends = 0
      for directive in all {
        #expect(ends == 0, "seed \(seed): \(directive) after the end")
        switch directive {
        case .start(let id, _): started.insert(id)
        case .cancel(let id), .release(let id): closed.append(id)
        case .complete, .fail: ends += 1
        case .open, .deliver: break
        }
      }
      #expect(ends == 1, "seed \(seed)")
      #expect(Set(closed) == started && closed.count == started.count, "seed \(seed)")
    }
  }
}

@Suite("Who may answer")
struct EligibilityTests {
  private func explain(
    _ hosts: [Host], model: ModelID? = "m", policy: DataPolicy = .any, require: HostID? = nil
  ) -> (candidates: [HostID], why: String) {
    let constraints = InferenceConstraints(dataPolicy: policy, require: require, seed: 1)
    let eligibility = Eligibility(
      model: model, constraints: constraints,
      table: HostTable(epoch: 1, revision: 1, hosts: hosts))
    return (eligibility.candidates.map(\.host.id), eligibility.explanation(model: model))
  }

  @Test("every host that is not eligible is named with its reason")
  func reasons() {
    var down = host("down", .unreachable)
    down.reason = "connection refused"
    var other = host("other")
    other.models = [.init(id: "n")]
    let (candidates, why) = explain(
      [host("new", .unknown), down, host("off", .suspended), other], policy: .any)
    #expect(candidates.isEmpty)
    for part in [
      "new has not been probed yet", "down is unreachable (connection refused)",
      "off is suspended", "other does not offer it",
    ] {
      #expect(why.contains(part), "\(why)")
    }
    #expect(explain([]).why.contains("no host is registered"))
  }

  @Test("a data policy admits hosts that are trusted at least as much")
  func policy() {
    var trusted = host("t")
    trusted.trust = .trusted
    var local = host("l")
    local.trust = .local
    let hosts = [host("a"), trusted, local]
    #expect(explain(hosts, policy: .any).candidates == ["a", "t", "l"])
    #expect(explain(hosts, policy: .trusted).candidates == ["t", "l"])
    #expect(explain(hosts, policy: .local).candidates == ["l"])
  }

  @Test("a required host is the only one; any chat model will do when none is named")
  func requireAndAny() {
    #expect(explain([host("a"), host("b")], require: "b").candidates == ["b"])
    var embedder = host("e")
    embedder.models = [.init(id: "nomic-embed-text")]
    #expect(explain([embedder, host("a")], model: nil).candidates == ["a"])
  }

  @Test("the same seed chooses the same host; the less busy of two is chosen; load spreads")
  func choice() throws {
    let candidates = (0..<10).map { Candidate(host: host("h\($0)"), model: "m") }
    func choose(_ seed: UInt64, _ inFlight: [HostID: Int]) -> HostID? {
      var rng = SplitMix64(seed: seed)
      return HostChoice.choose(
        from: candidates, avoid: [], affinity: nil, inFlight: inFlight, using: &rng)?.host.id
    }
    var counts: [HostID: Int] = [:]
    for seed in 0..<10_000 as Range<UInt64> {
      let chosen = try #require(choose(seed, counts))
      #expect(choose(seed, counts) == chosen)
      counts[chosen, default: 0] += 1
    }
    #expect(counts.values.allSatisfy { (900...1_100).contains($0) }, "\(counts)")

    let two = Array(candidates.prefix(2))
    for seed in 0..<50 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      let chosen = HostChoice.choose(
        from: two, avoid: [], affinity: nil, inFlight: ["h0": 1], using: &rng)
      #expect(chosen?.host.id == "h1")
      let avoided = HostChoice.choose(
        from: two, avoid: ["h1"], affinity: nil, inFlight: ["h0": 1], using: &rng)
      #expect(avoided?.host.id == "h0")
      let all = HostChoice.choose(
        from: two, avoid: ["h0", "h1"], affinity: nil, inFlight: [:], using: &rng)
      #expect(all != nil)
    }
  }

  @Test("equal affinity keys meet at one host when load does not decide")
  func affinity() {
    let two = ["a", "b"].map { Candidate(host: host($0), model: "m") }
    let chosen = Set(
      (0..<50 as Range<UInt64>).compactMap { seed -> HostID? in
        var rng = SplitMix64(seed: seed)
        return HostChoice.choose(
          from: two, avoid: [], affinity: [1, 2, 3], inFlight: [:], using: &rng)?.host.id
      })
    #expect(chosen.count == 1)
  }
}
