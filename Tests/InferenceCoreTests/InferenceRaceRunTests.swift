import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private func host(_ id: String, price: Int = 0, tier: HostTier = .community) -> Host {
  var host = Host(
    id: HostID(id), url: "http://\(id)", tier: tier, state: .ready, models: [.init(id: "m")])
  host.price = HostPrice(input: Int64(price), output: Int64(price))
  return host
}

private func view(_ hosts: [Host]) -> FixedCluster { FixedCluster(hosts) }

private func run(
  race: RaceMode? = nil, stream: Bool = true, require: HostID? = nil,
  endpoint: InferenceEndpoint = .chatCompletions
) -> InferenceRun {
  InferenceRun(
    request: InferenceRequest(
      endpoint: endpoint, model: "m", body: conversation, stream: stream,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
    constraints: InferenceConstraints(
      race: race,
      deadlines: Deadlines(
        firstToken: .seconds(10), interToken: .seconds(5), total: .seconds(600)),
      require: require, seed: 1))
}

private func starts(
  _ directives: [InferenceRun.Directive]
) -> [(id: AttemptID, host: HostID, resume: ResumePoint?)] {
  directives.compactMap {
    guard case .start(let id, let candidate, let resume) = $0 else { return nil }
    return (id, candidate.host.id, resume)
  }
}

@Suite("Races between hosts, as one request runs them")
struct InferenceRaceRunTests {
  @Test("hosts without a price race in pairs; the beaten one is cancelled and has not failed")
  func dual() throws {
    let cluster = view([host("a"), host("b"), host("c")])
    var run = run()
    let legs = starts(run.begin(cluster, now: at(ms: 0)))
    #expect(Set(legs.map(\.host)).count == 2)
    var all = run.received(piece("Hi"), from: legs[1].id, cluster: cluster, now: at(ms: 90))
    #expect(all.contains(.cancel(legs[0].id)))
    // Late chunks of the loser never mix with the answer.
    #expect(run.received(piece("No"), from: legs[0].id, cluster: cluster, now: at(ms: 91)).isEmpty)
    all += run.received(
      piece(" there", finish: "stop"), from: legs[1].id, cluster: cluster, now: at(ms: 95))
    all += run.received(.done, from: legs[1].id, cluster: cluster, now: at(ms: 96))
    #expect(clientText(all) == "Hi there")
    let records = try #require(summaryOf(all)).attempts
    #expect(records.map(\.outcome) == [.beaten, .answered])
    #expect(records.map(\.role) == [.first, .speculative])
    #expect(records.map(\.tokens) == [0, 2])
  }

  @Test("hosts that cost something are hedged: the second is asked late, and never when not needed")
  func hedged() throws {
    let cluster = view([host("a", price: 5), host("b", price: 5)])
    var run = run()
    let first = try #require(starts(run.begin(cluster, now: at(ms: 0))).first)
    #expect(run.nextWake == at(ms: 1_000))
    let second = try #require(starts(run.tick(cluster: cluster, now: at(ms: 1_000))).first)
    #expect(second.host != first.host)
    let won = run.received(piece("x"), from: first.id, cluster: cluster, now: at(ms: 1_010))
    #expect(won.contains(.cancel(second.id)))
  }

  @Test("hosts with a credential and without a stated price are hedged, and free ones are not")
  func notStated() throws {
    for (price, count) in [(nil, 1), (.free, 2)] as [(HostPrice?, Int)] {
      let hosts = ["a", "b"].map { id in
        var paid = host(id)
        paid.credential = "env:TUTTI_CREDENTIAL_A"
        paid.price = price
        return paid
      }
      var run = run()
      let legs = starts(run.begin(view(hosts), now: at(ms: 0)))
      #expect(legs.count == count)
    }
  }

  @Test("with a free host, one with a price is only a hedge, and a free one is asked at once")
  func mixedPrices() throws {
    let mixed = view([host("free"), host("paid", price: 5), host("dear", price: 9)])
    func run(_ race: RaceMode?, avoid: [HostID]) -> InferenceRun {
      InferenceRun(
        request: InferenceRequest(
          endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
          trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
        constraints: InferenceConstraints(race: race, avoid: avoid, seed: 1))
    }
    var hedged = run(nil, avoid: ["paid", "dear"])
    #expect(starts(hedged.begin(mixed, now: at(ms: 0))).map(\.host) == ["free"])
    // The hedge may use a priced host.
    let late = starts(hedged.tick(cluster: mixed, now: at(ms: 1_000))).map(\.host)
    #expect(late == ["paid"] || late == ["dear"])
    // An explicit dual race uses a priced host.
    var asked = run(.dual, avoid: ["paid", "dear"])
    #expect(starts(asked.begin(mixed, now: at(ms: 0))).count == 2)

    let two = view([host("free"), host("paid", price: 5), host("gratis")])
    var free = run(nil, avoid: ["paid", "gratis"])
    #expect(starts(free.begin(two, now: at(ms: 0))).map(\.host) == ["free", "gratis"])
  }

  @Test("if the winner breaks off, the beaten host resumes, not the winner itself")
  func beatenGoesOn() throws {
    for seed in 0..<20 as Range<UInt64> {
      let cluster = view([host("a"), host("b")])
      var run = InferenceRun(
        request: InferenceRequest(
          endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
          trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
        constraints: InferenceConstraints(race: .dual, seed: seed))
      let legs = starts(run.begin(cluster, now: at(ms: 0)))
      #expect(legs.count == 2)
      _ = run.received(piece("The quick"), from: legs[0].id, cluster: cluster, now: at(ms: 10))
      _ = run.received(piece(" brown"), from: legs[0].id, cluster: cluster, now: at(ms: 20))
      let lost = AttemptFailure(.lost, "reset")
      let next = starts(run.failed(lost, legs[0].id, cluster: cluster, now: at(ms: 30)))
      #expect(next.map(\.host) == [legs[1].host])
      // The first host gets one more attempt, because its failure may have been temporary.
      let last = try #require(next.first)
      let again = starts(run.failed(lost, last.id, cluster: cluster, now: at(ms: 40)))
      #expect(again.map(\.host) == [legs[0].host])
    }
  }

  @Test("a request that chooses no race gets the default of the process, if that has one")
  func standard() {
    let priced = view([host("a", price: 5), host("b", price: 5)])
    let free = view([host("a"), host("b")])
    func legs(
      _ hosts: FixedCluster, standard: RaceDefault?, race: RaceMode? = nil,
      endpoint: InferenceEndpoint = .chatCompletions
    ) -> Int {
      var overrides = RuntimeOverrides()
      overrides.set(.inferenceRace, to: standard.map { .choice($0.rawValue) })
      var run = InferenceRun(
        request: InferenceRequest(
          endpoint: endpoint, model: "m", body: conversation,
          stream: endpoint == .chatCompletions,
          trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
        constraints: InferenceConstraints(race: race, seed: 1),
        limits: InferenceLimits().overridden(by: overrides))
      return starts(run.begin(hosts, now: at(ms: 0))).count
    }
    #expect(legs(priced, standard: nil) == 1 && legs(free, standard: nil) == 2)
    #expect(legs(priced, standard: .byPrice) == 1 && legs(free, standard: .byPrice) == 2)
    #expect(legs(priced, standard: .dual) == 2)
    #expect(legs(free, standard: .hedged) == 1)
    #expect(legs(free, standard: .single) == 1)
    #expect(legs(free, standard: .single, race: .dual) == 2)
    #expect(legs(free, standard: .dual, endpoint: .embeddings) == 1)
  }

  @Test("limits of a request that were set at run time win over the configuration")
  func overridden() {
    var configured = InferenceLimits()
    configured.race = .single
    configured.raceWidth = 3
    var overrides = RuntimeOverrides()
    #expect(configured.overridden(by: overrides) == configured)
    overrides.set(.inferenceRace, to: .choice("by_price"))
    overrides.set(.inferenceRaceWidth, to: .integer(4))
    overrides.set(.inferenceFailures, to: .integer(9))
    let limits = configured.overridden(by: overrides)
    #expect(limits.race == nil && limits.raceWidth == 4 && limits.failures == 9)
  }

  @Test("one host, a required host and embeddings are not raced")
  func notRaced() {
    let one = view([host("a")])
    var alone = run(race: .dual)
    #expect(starts(alone.begin(one, now: at(ms: 0))).count == 1)
    let two = view([host("a"), host("b")])
    var required = run(race: .dual, require: "b")
    #expect(starts(required.begin(two, now: at(ms: 0))).map(\.host) == ["b"])
    var embeddings = run(stream: false, endpoint: .embeddings)
    #expect(starts(embeddings.begin(two, now: at(ms: 0))).count == 1)
  }

  @Test(
    "many short texts fit into the small context of an embedding model, a long one does not",
    arguments: [
      (#"["\#(String(repeating: #"some words", ""#, count: 400))"]"#, true),
      (#""\#(String(repeating: "some words ", count: 400))""#, false),
      (#"["short", "\#(String(repeating: "some words ", count: 400))"]"#, false),
      ("[[\([String](repeating: "7", count: 300).joined(separator: ","))],[1]]", true),
      ("[\([String](repeating: "7", count: 600).joined(separator: ","))]", false),
    ])
  func embeddingContext(_ input: String, fits: Bool) {
    var small = host("a")
    small.models[0].contextTokens = 512
    var large = host("b")
    large.models[0].contextTokens = 8_192
    let request = InferenceRequest(
      endpoint: .embeddings, model: "m", body: Array(#"{"input":\#(input)}"#.utf8), stream: false,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
    var run = InferenceRun(
      request: request, constraints: InferenceConstraints(avoid: ["b"], seed: 1))
    // If the prompt may not fit the small host, the large one is chosen. If there is no large host,
    // the small one gets the request and accepts or refuses it.
    #expect(
      starts(run.begin(view([small, large]), now: at(ms: 0))).map(\.host) == [fits ? "a" : "b"])
    var alone = InferenceRun(request: request, constraints: InferenceConstraints(seed: 1))
    #expect(starts(alone.begin(view([small]), now: at(ms: 0))).map(\.host) == ["a"])
  }

  @Test("the operator's own hosts never race; a missed deadline brings them in before anybody else")
  func fallbackTier() throws {
    let cluster = view([host("own", tier: .fallback), host("a"), host("b"), host("c")])
    for mode in [RaceMode.single, .dual] {
      var run = run(race: mode)
      let legs = starts(run.begin(cluster, now: at(ms: 0)))
      #expect(!legs.map(\.host).contains("own"))
      let late = starts(run.tick(cluster: cluster, now: at(ms: 10_000)))
      #expect(late.map(\.host).contains("own"))
    }
  }

  @Test(
    "a client in a hurry leaves a host without a mark against it; that another was faster is one")
  func haste() throws {
    let cluster = view([host("a"), host("b")])
    for wanted in [Duration.milliseconds(10), nil] {
      var run = InferenceRun(
        request: InferenceRequest(
          endpoint: .chatCompletions, model: "m", body: Array(#"{"model":"m"}"#.utf8), stream: true,
          trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
        constraints: InferenceConstraints(
          race: .single, deadlines: Deadlines(firstToken: wanted), seed: 1))
      _ = run.begin(cluster, now: at(ms: 0))
      var late = run.tick(cluster: cluster, now: try #require(run.nextWake))
      let other = try #require(starts(late).first)
      func isMarked() -> Bool {
        late.contains { if case .observe(_, .failed, _) = $0 { true } else { false } }
      }
      #expect(!isMarked())
      late += run.received(piece("Hi"), from: other.id, cluster: cluster, now: at(ms: 70_000))
      #expect(isMarked() == (wanted == nil))
    }
  }

  @Test("a race is lost only when every leg is")
  func everyLeg() {
    let cluster = view([host("a"), host("b")])
    var run = run()
    let legs = starts(run.begin(cluster, now: at(ms: 0)))
    let refused = AttemptFailure(.connect, "refused")
    #expect(
      lastFailure(run.failed(refused, legs[0].id, cluster: cluster, now: at(ms: 1))) == nil)
    let over = run.failed(refused, legs[1].id, cluster: cluster, now: at(ms: 2))
    #expect(lastFailure(over)?.code == .upstreamFailed)
  }
}

@Suite("An answer that goes on at another host")
struct InferenceResumeRunTests {
  @Test("one host begins and another ends: nothing is lost or repeated, and there is one opening")
  func resumes() throws {
    let cluster = view([host("a"), host("b")])
    var run = run(race: .single)
    let first = try #require(starts(run.begin(cluster, now: at(ms: 0))).first)
    var all = run.received(piece("The quick"), from: first.id, cluster: cluster, now: at(ms: 10))
    all += run.received(piece(" brown"), from: first.id, cluster: cluster, now: at(ms: 20))
    all += run.received(piece(" fo"), from: first.id, cluster: cluster, now: at(ms: 30))
    let cut = run.failed(
      AttemptFailure(.lost, "reset"), first.id, cluster: cluster, now: at(ms: 40))
    all += cut
    let second = try #require(starts(cut).first)
    #expect(second.host != first.host)
    let prefix = String(decoding: try #require(second.resume).prefix, as: UTF8.self)
    #expect(prefix == "The quick brown")
    #expect(clientText(all) == prefix)
    all += run.received(piece(" fox"), from: second.id, cluster: cluster, now: at(ms: 60))
    all += run.received(
      piece(" jumps.", finish: "stop"), from: second.id, cluster: cluster, now: at(ms: 70))
    all += run.received(.done, from: second.id, cluster: cluster, now: at(ms: 71))
    #expect(clientText(all) == "The quick brown fox jumps.")
    #expect(all.last == .complete)
    #expect(all.count { if case .open = $0 { true } else { false } } == 1)
    let records = try #require(summaryOf(all)).attempts
    #expect(records.map(\.role) == [.first, .resumption])
    #expect(records.first?.failure?.kind == .lost)
  }

  @Test("a client that does not stream gets one body, whoever wrote which part of it")
  func wholeBody() throws {
    let cluster = view([host("a"), host("b")])
    var run = run(race: .single, stream: false)
    let first = try #require(starts(run.begin(cluster, now: at(ms: 0))).first)
    for word in ["One", " two", " th"] {
      _ = run.received(piece(word), from: first.id, cluster: cluster, now: at(ms: 10))
    }
    let cut = run.received(.end, from: first.id, cluster: cluster, now: at(ms: 20))
    let second = try #require(starts(cut).first)
    var all = run.received(piece(" three"), from: second.id, cluster: cluster, now: at(ms: 30))
    all += run.received(
      piece("", finish: "stop"), from: second.id, cluster: cluster, now: at(ms: 40))
    all += run.received(.done, from: second.id, cluster: cluster, now: at(ms: 41))
    #expect(clientText(all).isEmpty)
    let bodies = all.compactMap { directive -> ChunkFacts? in
      guard case .deliver(.body(let body)) = directive else { return nil }
      return try? ChunkFacts(parsing: body)
    }
    #expect(bodies.map(\.text) == ["One two three"])
  }

  @Test(
    "a slow host is replaced by one that was not asked yet, and kept if there is none")
  func crawl() throws {
    for spare in [true, false] {
      let cluster = view(spare ? [host("a"), host("b")] : [host("a")])
      var run = run(race: .single)
      let first = try #require(starts(run.begin(cluster, now: at(ms: 0))).first)
      _ = run.received(piece("slow"), from: first.id, cluster: cluster, now: at(ms: 100))
      var asked: [AttemptID] = []
      for (word, second) in zip([" and", " never", " fast"], stride(from: 4, through: 12, by: 4)) {
        let now = at(ms: second * 1_000)
        asked += starts(run.tick(cluster: cluster, now: now)).map(\.id)
        _ = run.received(piece(word), from: first.id, cluster: cluster, now: now)
      }
      #expect(asked.count == (spare ? 1 : 0), "\(asked)")
      #expect(run.attempts.isEmpty, "nothing is given up before another host goes on")
      guard let other = asked.first else { continue }
      for word in [" never", " quick", " at all"] {
        _ = run.received(piece(word), from: other, cluster: cluster, now: at(ms: 12_500))
      }
      #expect(run.attempts.first?.failure?.kind == .crawl)
    }
  }

  @Test("the second host may die too, and the third")
  func cascade() throws {
    let cluster = view([host("a"), host("b"), host("c"), host("d")])
    var run = run(race: .single)
    var all = run.begin(cluster, now: at(ms: 0))
    for (number, word) in ["One", " two", " three", " four"].enumerated() {
      let leg = try #require(starts(all).last)
      #expect(starts(all).count == number + 1)
      all += run.received(piece(word), from: leg.id, cluster: cluster, now: at(ms: number * 10))
      all += run.received(piece(" "), from: leg.id, cluster: cluster, now: at(ms: number * 10))
      guard number < 3 else {
        all += run.received(
          piece("end.", finish: "stop"), from: leg.id, cluster: cluster, now: at(ms: 100))
        all += run.received(.done, from: leg.id, cluster: cluster, now: at(ms: 100))
        break
      }
      all += run.failed(AttemptFailure(.lost, "reset"), leg.id, cluster: cluster, now: at(ms: 100))
    }
    #expect(clientText(all) == "One two three four end.")
    #expect(Set(starts(all).map(\.host)).count == 4)
  }

  @Test("a backend that refuses a trailing assistant message is asked in words")
  func instructed() throws {
    var b = host("b")
    b.resume = .trailingAssistant
    var a = host("a")
    a.resume = .trailingAssistant
    let cluster = view([a, b])
    var run = run(race: .single)
    let first = try #require(starts(run.begin(cluster, now: at(ms: 0))).first)
    for word in ["One", " two", " th"] {
      _ = run.received(piece(word), from: first.id, cluster: cluster, now: at(ms: 10))
    }
    let second = try #require(
      starts(run.received(.end, from: first.id, cluster: cluster, now: at(ms: 20))).first)
    let refused = run.received(
      .broken(AttemptFailure(.rejected, "it answered 400", status: 400)), from: second.id,
      cluster: cluster, now: at(ms: 30))
    guard case .start(_, let candidate, _)? = refused.last else {
      Issue.record("nobody was asked: \(refused)")
      return
    }
    #expect(candidate.host.id == second.host)
    #expect(candidate.host.resume == .instruct)
  }
}
