import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private func host(_ id: String, _ model: ModelID = "m") -> Host {
  Host(id: HostID(id), url: "http://\(id)", state: .ready, models: [.init(id: model)])
}

private let rejection = AttemptFailure(.rejected, "it answered 400: no", status: 400)

/// A rejection is final if a second host of the model agrees, or if there is no second host.
@Suite("Rejections of hosts")
struct RejectionTests {
  private func run(_ race: RaceMode? = .single, seed: UInt64 = 1) -> InferenceRun {
    InferenceRun(
      request: InferenceRequest(
        endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
        trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
      constraints: InferenceConstraints(race: race, seed: seed))
  }

  private func started(_ directives: [InferenceRun.Directive]) -> [(AttemptID, HostID)] {
    directives.compactMap {
      guard case .start(let id, let candidate, _) = $0 else { return nil }
      return (id, candidate.host.id)
    }
  }

  private func contradicted(_ directives: [InferenceRun.Directive]) -> [HostID] {
    directives.compactMap {
      guard case .observe(let host, .contradicted, _) = $0 else { return nil }
      return host
    }
  }

  @Test(
    "one other host is asked, and its answer is the client's",
    arguments: [RaceMode.single, .hedged])
  func answered(_ race: RaceMode) throws {
    // The cluster has no retry budget. A client must get an answer although the first host rejects
    // everything.
    var cluster = FixedCluster(["a", "b", "c"].map { host($0) })
    cluster.mayRetry = false
    var run = run(race)
    let (first, bad) = try #require(started(run.begin(cluster, now: at(0))).first)
    let again = run.received(.broken(rejection), from: first, cluster: cluster, now: at(1))
    #expect(started(again).count == 1)
    let (second, good) = try #require(started(again).first)
    #expect(good != bad)
    // No hedge follows this attempt.
    #expect(started(run.tick(cluster: cluster, now: at(20))).isEmpty)
    _ = run.received(piece("x", finish: "stop"), from: second, cluster: cluster, now: at(21))
    let over = run.received(.done, from: second, cluster: cluster, now: at(21))
    #expect(over.last == .complete)
    #expect(contradicted(over) == [bad])
  }

  @Test("two hosts that agree are believed, and neither is blamed")
  func agreed() throws {
    let cluster = FixedCluster(["a", "b", "c"].map { host($0) })
    var run = run()
    let (first, _) = try #require(started(run.begin(cluster, now: at(0))).first)
    let again = run.received(.broken(rejection), from: first, cluster: cluster, now: at(1))
    let (second, _) = try #require(started(again).first)
    let over = run.received(.broken(rejection), from: second, cluster: cluster, now: at(2))
    #expect(started(over).isEmpty && contradicted(over).isEmpty)
    #expect(lastFailure(over)?.code == .invalidRequest)
  }

  @Test("a host without another of its model is believed")
  func alone() throws {
    let cluster = FixedCluster([host("a"), host("b", "other")])
    var run = run()
    let (first, _) = try #require(started(run.begin(cluster, now: at(0))).first)
    let over = run.received(.broken(rejection), from: first, cluster: cluster, now: at(1))
    #expect(started(over).isEmpty && lastFailure(over)?.code == .invalidRequest)
  }

  @Test("in a race the other host is the second opinion")
  func raced() throws {
    let cluster = FixedCluster(["a", "b", "c"].map { host($0) })
    var run = run(.dual)
    let both = started(run.begin(cluster, now: at(0)))
    #expect(both.count == 2)
    let waits = run.received(.broken(rejection), from: both[0].0, cluster: cluster, now: at(1))
    #expect(started(waits).isEmpty && lastFailure(waits) == nil)
    let over = run.received(.broken(rejection), from: both[1].0, cluster: cluster, now: at(2))
    #expect(started(over).isEmpty && lastFailure(over)?.code == .invalidRequest)
  }

  @Test("a host that rejects everything fails no client and is soon not asked any more")
  func rejectsEverything() throws {
    for seed in 0..<10 as Range<UInt64> {
      let cluster = LearningCluster(["a", "b"].map { host($0) })
      var asked: [HostID: Int] = [:]
      for number in 0..<40 {
        // Three clients take turns.
        let client = ClientFingerprint(tag: "c\(number % 3)")
        var run = InferenceRun(
          request: InferenceRequest(
            endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
            trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
          constraints: InferenceConstraints(
            race: .single, client: client, seed: seed &* 1_000 &+ UInt64(number)))
        var pending = run.begin(cluster, now: cluster.now)
        var last: InferenceRun.Directive?
        while let directive = pending.first {
          pending.removeFirst()
          last = directive
          switch directive {
          case .observe(let host, let observation, let started):
            cluster.observe(observation, host, client, started)
          case .start(let id, let candidate, _):
            cluster.pass(0.1)
            if number >= 20 { asked[candidate.host.id, default: 0] += 1 }
            if candidate.host.id == "a" {
              pending += run.received(
                .broken(rejection), from: id, cluster: cluster, now: cluster.now)
            } else {
              pending += run.received(
                piece("x", finish: "stop"), from: id, cluster: cluster, now: cluster.now)
              pending += run.received(.done, from: id, cluster: cluster, now: cluster.now)
            }
          default: break
          }
        }
        #expect(last == .complete, "seed \(seed), request \(number): \(String(describing: last))")
      }
      #expect(asked["b"] == 20 && asked["a", default: 0] <= 5, "seed \(seed): \(asked)")
    }
  }
}
