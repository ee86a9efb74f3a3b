import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

@Suite("A client that stops reading, in virtual time")
struct PausedReaderTests {
  private let cluster = FixedCluster([
    Host(id: "a", url: "http://a", state: .ready, models: [.init(id: "m")])
  ])

  private func answering() throws -> (InferenceRun, AttemptID) {
    var run = InferenceRun(
      request: InferenceRequest(
        endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
        trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
      constraints: InferenceConstraints(
        race: .single,
        deadlines: Deadlines(
          firstToken: .seconds(10), interToken: .seconds(5), total: .seconds(60)), seed: 1))
    let started = run.begin(cluster, now: at(0)).compactMap { directive -> AttemptID? in
      guard case .start(let id, _, _) = directive else { return nil }
      return id
    }
    let id = try #require(started.first)
    _ = run.received(piece("x"), from: id, cluster: cluster, now: at(1))
    return (run, id)
  }

  @Test("the silence of a host that is not read is no stall")
  func noStall() throws {
    let (begun, id) = try answering()
    var run = begun
    run.readingPaused(now: at(2))
    #expect(run.nextWake == at(60))
    #expect(run.tick(cluster: cluster, now: at(30)).isEmpty)
    run.readingResumed(now: at(40))
    #expect(run.nextWake == at(45))
    let last = run.received(piece(" y", finish: "stop"), from: id, cluster: cluster, now: at(41))
    #expect(clientText(last).contains("y"))
  }

  @Test("a pause counts neither as a host's pause nor as its pace")
  func noPace() throws {
    let (begun, id) = try answering()
    var run = begun
    run.readingPaused(now: at(2))
    run.readingResumed(now: at(32))
    _ = run.received(piece(" y", finish: "stop"), from: id, cluster: cluster, now: at(33))
    let directives = run.received(.end, from: id, cluster: cluster, now: at(33))
    var flow: (Duration, Duration?)?
    for case .observe(_, .flowed(_, let over, let longest), _) in directives {
      flow = (over, longest)
    }
    #expect(flow?.0 == .seconds(2) && flow?.1 == .seconds(2))
  }

  @Test("a deadline that passes while the client does not read is not counted against the host")
  func noBlame() throws {
    var run = try answering().0
    run.readingPaused(now: at(2))
    let directives = run.tick(cluster: cluster, now: at(60))
    #expect(lastFailure(directives)?.code == .deadlineExceeded)
    for case .observe(_, .failed, _) in directives {
      Issue.record("the host was blamed: \(directives)")
    }
  }
}
