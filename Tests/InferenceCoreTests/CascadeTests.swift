import ClusterModel
import InferenceCore
import Testing

/// Two and three failures within one answer, at four hosts whose breakers record them all.
@Suite("Cascades of failures within one answer", .serialized)
struct CascadeTests {
  private static let text =
    "The quick brown fox jumps over the lazy dog, and then it rests in the shade of an old oak "
    + "tree until the evening comes and the air is cool enough to go on."

  /// A cluster with shared statistics for all requests of one process.
  private final class Cluster: ClusterAccess {
    var statistics = HostStatistics(seed: 1)
    var now = Instant.zero
    init(_ hosts: Int) {
      statistics.adopt(
        HostTable(
          epoch: 1, revision: 1,
          hosts: (0..<hosts).map {
            Host(
              id: HostID("h\($0)"), url: "http://h\($0)", resume: .trailingAssistant,
              state: .ready, models: [.init(id: "m")])
          }), now: .zero)
    }

    func view() -> ClusterView { statistics.view(now: now) }
    func requestBegan(at view: ClusterView) {}
    func mayRace(at view: ClusterView) -> Bool { true }
    func mayRetry(at view: ClusterView) -> Bool { true }

    func learn(_ directives: [InferenceRun.Directive]) {
      for case .observe(let host, let observation, let started) in directives {
        statistics.observe(observation, of: host, started: started, now: now)
      }
    }
  }

  private static let faults: [AttemptFailure] = [
    AttemptFailure(.lost, "reset"), AttemptFailure(.garbage, "no JSON"),
    AttemptFailure(.errorEvent, "it sent an error"), AttemptFailure(.connect, "refused"),
    AttemptFailure(.status, "it answered 500", status: 500), AttemptFailure(.cut, "no end"),
  ]

  /// - Returns: the client's text, whether the answer is complete, and the number of attempts.
  private func answer(
    _ cluster: Cluster, failures: Int, seed: UInt64
  ) -> (text: String, isWhole: Bool, asked: Int) {
    var rng = SplitMix64(seed: seed)
    var run = InferenceRun(
      request: InferenceRequest(
        endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
        trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
      constraints: InferenceConstraints(race: .single, seed: seed))
    var all: [InferenceRun.Directive] = []
    func apply(_ directives: [InferenceRun.Directive]) {
      cluster.learn(directives)
      all += directives
    }
    apply(run.begin(cluster, now: cluster.now))
    var failed = 0
    var handled = 0
    while true {
      let started = all.compactMap { directive -> (AttemptID, ResumePoint?)? in
        guard case .start(let id, _, let resume) = directive else { return nil }
        return (id, resume)
      }
      guard started.count > handled else { break }
      handled = started.count
      let (id, resume) = started[handled - 1]
      let rest = Array(Self.text.utf8.dropFirst(resume?.prefix.count ?? 0))
      let cutAt = failed < failures ? Int.random(in: 0...min(40, rest.count - 1), using: &rng) : nil
      var said = 0
      while said < (cutAt ?? rest.count) {
        let piece = rest[said...].prefix(min(4, (cutAt ?? rest.count) - said))
        said += piece.count
        cluster.now = cluster.now.advanced(by: .milliseconds(5))
        apply(
          run.received(
            InferenceCoreTests.piece(String(decoding: piece, as: UTF8.self)), from: id,
            cluster: cluster, now: cluster.now))
      }
      if cutAt == nil {
        apply(
          run.received(
            InferenceCoreTests.piece("", finish: "stop"), from: id, cluster: cluster,
            now: cluster.now))
        apply(run.received(.done, from: id, cluster: cluster, now: cluster.now))
      } else {
        failed += 1
        let fault = Self.faults[Int.random(in: 0..<Self.faults.count, using: &rng)]
        apply(run.failed(fault, id, cluster: cluster, now: cluster.now))
      }
    }
    return (clientText(all), all.last == .complete, handled)
  }

  @Test(
    "at four hosts nineteen of twenty answers are whole, and none is wrong", arguments: [1, 2, 3])
  func whole(_ failures: Int) {
    let cluster = Cluster(4)
    var whole = 0
    let count = 154
    for seed in 0..<UInt64(count) {
      let (text, isWhole, _) = answer(cluster, failures: failures, seed: seed)
      #expect(Self.text.hasPrefix(text), "seed \(seed): \(text)")
      if isWhole {
        #expect(text == Self.text, "seed \(seed)")
        whole += 1
      }
    }
    #expect(whole * 100 >= count * 95, "\(whole) of \(count)")
  }
}
