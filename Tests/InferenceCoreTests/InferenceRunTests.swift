import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private let deadlines = Deadlines(
  firstToken: .seconds(10), interToken: .seconds(5), total: .seconds(60))

private func host(_ id: String, _ state: HostState = .ready, tier: HostTier = .community) -> Host {
  Host(id: HostID(id), url: "http://\(id)", tier: tier, state: state, models: [.init(id: "m")])
}

private func view(_ hosts: [Host]) -> FixedCluster { FixedCluster(hosts) }

private func request(stream: Bool = true) -> InferenceRequest {
  InferenceRequest(
    endpoint: .chatCompletions, model: "m", body: conversation, stream: stream,
    trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
}

private func run(
  stream: Bool = true, race: RaceMode? = .single, seed: UInt64 = 1
) -> InferenceRun {
  InferenceRun(
    request: request(stream: stream),
    constraints: InferenceConstraints(race: race, deadlines: deadlines, seed: seed))
}

private func started(_ directives: [InferenceRun.Directive]) -> (AttemptID, HostID)? {
  allStarted(directives).first
}

private func allStarted(_ directives: [InferenceRun.Directive]) -> [(AttemptID, HostID)] {
  directives.compactMap {
    guard case .start(let id, let candidate, _) = $0 else { return nil }
    return (id, candidate.host.id)
  }
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
    #expect(run.received(piece(""), from: id, cluster: cluster, now: at(1)).isEmpty)
    #expect(run.received(piece("  "), from: id, cluster: cluster, now: at(1)).isEmpty)
    let opened = run.received(piece("x"), from: id, cluster: cluster, now: at(2))
    #expect(
      opened.contains(
        .open(
          InferenceOpening(host: "a", model: "m", status: 200, firstToken: .seconds(2), attempt: 1))
      ))
    var all = opened
    all += run.received(piece("", finish: "stop"), from: id, cluster: cluster, now: at(3))
    let closed = run.received(.done, from: id, cluster: cluster, now: at(4))
    all += closed
    #expect(clientText(all) == "  x")
    let summary = try #require(summaryOf(closed))
    #expect(summary.finishReason == "stop")
    #expect(summary.usage.completionTokens == 2)
    #expect(summary.attempts.map(\.outcome) == [.answered])
    #expect(summary.usage.estimated)
    #expect(summary.total == .seconds(4))
    #expect(closed.suffix(2) == [.release(id), .complete])
    #expect(run.nextWake == nil)
  }

  @Test("the next host is asked when one fails early, and after a failure by chance once more")
  func nextHost() throws {
    var run = run()
    let cluster = view([host("a"), host("b")])
    let (first, firstHost) = try #require(started(run.begin(cluster, now: at(0))))
    let again = run.received(
      .broken(AttemptFailure(.status, "it answered 500", status: 500)), from: first,
      cluster: cluster, now: at(1))
    #expect(again.first == .cancel(first))
    let (second, secondHost) = try #require(started(again))
    #expect(secondHost != firstHost)
    // Late items of the first attempt change nothing.
    #expect(run.received(piece("late"), from: first, cluster: cluster, now: at(2)).isEmpty)
    let last = run.failed(
      AttemptFailure(.connect, "refused"), second, cluster: cluster, now: at(3))
    // The second host refuses connections, so the first host gets one more attempt. Its failure may
    // have been temporary.
    let (third, thirdHost) = try #require(started(last))
    #expect(thirdHost == firstHost)
    let over = run.failed(
      AttemptFailure(.status, "it answered 500", status: 500), third, cluster: cluster, now: at(4))
    let told = try #require(lastFailure(over))
    #expect(told.code == .upstreamFailed)
    #expect(told.message.contains("500") && told.message.contains("refused"))
  }

  @Test("failures are bounded, however many hosts there are")
  func boundedFailures() throws {
    var run = run()
    let cluster = view((0..<10).map { host("h\($0)") })
    var (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    var hosts: Set<HostID> = []
    while let next = started(
      run.failed(AttemptFailure(.connect, "refused"), id, cluster: cluster, now: at(1)))
    {
      id = next.0
      hosts.insert(next.1)
    }
    #expect(run.attempts.count == InferenceLimits().failures)
    #expect(hosts.count == run.attempts.count - 1)
  }

  @Test("a connection closed before the head is tried once more if no other host is left")
  func retriesIdleConnection() throws {
    var run = run()
    let cluster = view([host("a")])
    let (first, _) = try #require(started(run.begin(cluster, now: at(0))))
    let lost = AttemptFailure(.lostBeforeHead, "closed")
    let (second, chosen) = try #require(
      started(run.failed(lost, first, cluster: cluster, now: at(1))))
    #expect(chosen == "a")
    #expect(lastFailure(run.failed(lost, second, cluster: cluster, now: at(2))) != nil)
  }

  @Test("a request that one kind of host rejects goes to one other kind, then to no host")
  func rejectedByKind() throws {
    var hosts = ["a", "b", "c", "d"].map { host($0) }
    hosts[0].version = "vLLM 0.6.3"
    hosts[1].version = "vLLM 0.7.0"
    hosts[2].version = "llama.cpp b4321"
    hosts[3].version = "Ollama 0.5.1"
    for seed in 0..<20 as Range<UInt64> {
      let cluster = view(hosts)
      var run = run(seed: seed)
      let rejected = AttemptFailure(.rejected, "it answered 400: no tools", status: 400)
      let (first, firstHost) = try #require(started(run.begin(cluster, now: at(0))))
      let (second, secondHost) = try #require(
        started(run.received(.broken(rejected), from: first, cluster: cluster, now: at(1))))
      #expect(Set([firstHost, secondHost]) != ["a", "b"])
      let over = run.received(.broken(rejected), from: second, cluster: cluster, now: at(2))
      #expect(started(over) == nil && lastFailure(over)?.code == .invalidRequest)
    }
  }

  @Test(
    "a request that is too long for one host is asked of the next; too long for all, it is at fault"
  )
  func contextTooSmall() throws {
    var run = run()
    let cluster = view([host("a"), host("b")])
    let small = AttemptFailure(
      .contextTooSmall, "it answered 400: maximum context length is 4096 tokens", status: 400)
    let (first, firstHost) = try #require(started(run.begin(cluster, now: at(0))))
    let (second, secondHost) = try #require(
      started(run.received(.broken(small), from: first, cluster: cluster, now: at(1))))
    #expect(firstHost != secondHost)
    let over = run.received(.broken(small), from: second, cluster: cluster, now: at(2))
    let failure = try #require(lastFailure(over))
    #expect(failure.code.rawValue == "context_length_exceeded" && failure.message.contains("4096"))
  }

  @Test("the first-token deadline gives the request to the next host, which has its own")
  func firstTokenDeadline() throws {
    var run = run()
    let cluster = view([host("a"), host("b")])
    _ = run.begin(cluster, now: at(0))
    #expect(run.nextWake == at(10))
    #expect(run.tick(cluster: cluster, now: at(9)).isEmpty)
    #expect(started(run.tick(cluster: cluster, now: at(10))) != nil)
    #expect(run.nextWake == at(20))
    let directives = run.tick(cluster: cluster, now: at(20))
    #expect(lastFailure(directives)?.code == .deadlineExceeded)
  }

  @Test("silence between tokens is a stall, and without another host the answer fails by name")
  func stall() throws {
    var run = run()
    let cluster = view([host("a")])
    let (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    _ = run.received(piece("x"), from: id, cluster: cluster, now: at(2))
    #expect(run.nextWake == at(7))
    _ = run.received(piece(" y"), from: id, cluster: cluster, now: at(6))
    #expect(run.tick(cluster: cluster, now: at(10)).isEmpty)
    let directives = run.tick(cluster: cluster, now: at(11))
    #expect(directives.first == .cancel(id))
    // The only host gets a second attempt. Another failure ends the run.
    let (again, _) = try #require(started(directives))
    let last = run.failed(AttemptFailure(.lost, "reset"), again, cluster: cluster, now: at(12))
    #expect(lastFailure(last)?.message.contains("host a: it sent nothing for 5000 ms") == true)
  }

  @Test("the total deadline holds for all hosts together, streamed or not")
  func totalDeadline() throws {
    let cluster = view([host("a")])
    for stream in [true, false] {
      var run = run(stream: stream)
      let (id, _) = try #require(started(run.begin(cluster, now: at(0))))
      for second in stride(from: 4, to: 60, by: 4) {
        _ = run.received(piece(" x"), from: id, cluster: cluster, now: at(second))
      }
      #expect(lastFailure(run.tick(cluster: cluster, now: at(60)))?.code == .deadlineExceeded)
    }
  }

  @Test("a stream that ends with neither a finish_reason nor [DONE] was cut")
  func cut() throws {
    let ending = UpstreamItem.end
    var run = run()
    let cluster = view([host("a")])
    let (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    _ = run.received(piece("x"), from: id, cluster: cluster, now: at(1))
    let directives = run.received(ending, from: id, cluster: cluster, now: at(2))
    #expect(run.attempts.first?.failure?.kind == .cut)
    let (again, _) = try #require(started(directives))
    let over = run.received(ending, from: again, cluster: cluster, now: at(3))
    #expect(lastFailure(over)?.code == .upstreamFailed)
  }

  @Test("a connection lost after the finish_reason costs nothing")
  func lostAfterFinish() throws {
    var run = run()
    let cluster = view([host("a")])
    let (id, _) = try #require(started(run.begin(cluster, now: at(0))))
    _ = run.received(piece("x", finish: "stop"), from: id, cluster: cluster, now: at(1))
    let directives = run.failed(
      AttemptFailure(.lost, "reset"), id, cluster: cluster, now: at(2))
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
          from: first, cluster: cluster, now: at(1))))
    let over = run.received(
      .broken(AttemptFailure(.busy, "503", status: 503, retryAfter: .seconds(4))),
      from: second, cluster: cluster, now: at(2))
    #expect(lastFailure(over)?.code == .hostsBusy)
    #expect(lastFailure(over)?.retryAfter == .seconds(4))
  }

  @Test("a client that leaves cancels the running attempts, once")
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
        started(run.failed(refused, first, cluster: cluster, now: at(0))))
      let (_, last) = try #require(
        started(run.failed(refused, second, cluster: cluster, now: at(0))))
      #expect(Set([firstHost, secondHost]) == ["a", "b"])
      #expect(last == "own")
      _ = run.abandon(now: at(1))
      // Fallback attempts are recorded with their own tier.
      #expect(run.attempts.map(\.tier) == [.community, .community, .fallback])
    }
  }

  @Test("random events never break a run: one end, no directive after it, every attempt closed")
  func randomEvents() {
    for seed in 0..<2_000 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      let cluster = view((0..<Int.random(in: 0..<5, using: &rng)).map { host("h\($0)") })
      let race: RaceMode? = [nil, .single, .dual, .hedged].randomElement(using: &rng) ?? nil
      var run = run(stream: Bool.random(using: &rng), race: race, seed: seed)
      var now = at(0)
      var all = run.begin(cluster, now: now)
      for _ in 0..<40 {
        now = now.advanced(by: .milliseconds(Int.random(in: 0..<4_000, using: &rng)))
        let id = AttemptID(Int.random(in: 0..<5, using: &rng))
        switch Int.random(in: 0..<9, using: &rng) {
        case 0: all += run.received(.done, from: id, cluster: cluster, now: now)
        case 1: all += run.received(.end, from: id, cluster: cluster, now: now)
        case 2:
          all += run.failed(AttemptFailure(.lost, "x"), id, cluster: cluster, now: now)
        case 3: all += run.tick(cluster: cluster, now: now)
        case 4 where seed % 5 == 0: all += run.abandon(now: now)
        case 5:
          all += run.received(piece("", finish: "stop"), from: id, cluster: cluster, now: now)
        default: all += run.received(piece("x"), from: id, cluster: cluster, now: now)
        }
      }
      all += run.tick(cluster: cluster, now: at(1_000))
      var started: Set<AttemptID> = []
      var closed: [AttemptID] = []
      var ends = 0
      for directive in all {
        #expect(ends == 0, "seed \(seed): \(directive) after the end")
        switch directive {
        case .start(let id, _, _): started.insert(id)
        case .cancel(let id), .release(let id): closed.append(id)
        case .complete, .fail: ends += 1
        case .open, .deliver, .observe: break
        }
      }
      #expect(ends == 1, "seed \(seed)")
      #expect(Set(closed) == started && closed.count == started.count, "seed \(seed)")
    }
  }
}
