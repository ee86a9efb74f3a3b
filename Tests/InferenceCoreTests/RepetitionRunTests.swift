import ClusterModel
import Testing

@testable import InferenceCore

/// Items of a host that repeats a phrase.
private func endless(_ phrase: String, times: Int = 2_000) -> [UpstreamItem] {
  (0..<times).map { _ in piece(phrase) }
}

private func limits(_ watch: RepetitionWatch) -> InferenceLimits {
  var overrides = RuntimeOverrides()
  overrides.set(.inferenceRepetition, to: .choice(watch.rawValue))
  return InferenceLimits().overridden(by: overrides)
}

private func embedded(_ id: String) -> Host {
  var host = Host.scripted(id)
  host.tags = [RepetitionWatch.tag]
  return host
}

@Suite("Answers of hosts that repeat themselves")
struct RepetitionRunTests {
  private typealias Outcome = (
    directives: [InferenceRun.Directive], records: [AttemptRecord], form: RequestForm?
  )

  /// Feeds one host's items to a run until the run ends or the items do.
  private func outcome(
    of host: Host, _ items: [UpstreamItem], _ request: InferenceRequest,
    _ watch: RepetitionWatch = .tagged
  ) throws -> Outcome {
    let cluster = LearningCluster([host])
    var run = InferenceRun(
      request: request, constraints: InferenceConstraints(race: .single, seed: 1),
      limits: limits(watch))
    var directives = run.begin(cluster, now: cluster.now)
    var started: (id: AttemptID, form: RequestForm)?
    for case .start(let id, let candidate, _) in directives { started = (id, candidate.form) }
    let attempt = try #require(started)
    for item in items where run.nextWake != nil {
      directives += run.received(item, from: attempt.id, cluster: cluster, now: cluster.now)
    }
    cluster.observe(directives)
    #expect(cluster.errorRate(of: host.id) == 0)
    return (directives, run.attempts, attempt.form)
  }

  private let streamed = InferenceRequest.chat(#","stream":true"#, stream: true)

  @Test("the answer ends with finish_reason length; its host is cancelled and has not failed")
  func ends() throws {
    let (directives, records, _) = try outcome(of: embedded("a"), endless("🎉"), streamed)
    let summary = try #require(summaryOf(directives))
    #expect(summary.finishReason == "length")
    #expect(directives.last == .complete)
    #expect(directives.contains { if case .cancel = $0 { true } else { false } })
    #expect(records.map(\.outcome) == [.answered])
    #expect(records.map(\.ending) == [.repetition])
    #expect(records.map(\.outcomeName) == ["repetition"])
    #expect(records.map(\.facts.ending) == ["repetition"])
    // The client has all text that the host sent before it was cancelled.
    let text = clientText(directives)
    #expect(text.utf8.count >= RepetitionMeter.leastBytes)
    #expect(text.utf8.count <= RepetitionMeter.leastBytes + 2 * RepetitionMeter.window)
    #expect(summary.usage.completionTokens >= 150)
  }

  @Test("a client that does not stream gets the body of the answer so far")
  func body() throws {
    let (directives, _, form) = try outcome(of: embedded("a"), endless("ha "), .chat())
    // A watched host is asked for a stream, because a body shows only at its end what is in it.
    #expect(form?.isEmpty == true)
    var body: [UInt8] = []
    for case .deliver(.body(let bytes)) in directives { body = bytes }
    #expect(try ChunkFacts(parsing: body).finishReason == "length")
    #expect(summaryOf(directives)?.finishReason == "length")
    let (_, _, unwatched) = try outcome(of: .scripted("a"), [], .chat())
    #expect(unwatched == .unstreamed)
  }

  @Test("only hosts that the setting includes are watched")
  func setting() throws {
    func ends(_ host: Host, _ watch: RepetitionWatch) throws -> Bool {
      summaryOf(try outcome(of: host, endless("ha "), streamed, watch).directives) != nil
    }
    #expect(try ends(embedded("a"), .tagged))
    #expect(try !ends(.scripted("a"), .tagged))
    #expect(try ends(.scripted("a"), .all))
    #expect(try !ends(embedded("a"), .off))
  }

  @Test("JSON and several choices are not watched")
  func unwatched() throws {
    for extra in [#","response_format":{"type":"json_object"}"#, #","n":2"#] {
      let request = InferenceRequest.chat(#","stream":true"# + extra, stream: true)
      let (directives, _, _) = try outcome(of: embedded("a"), endless("[0], "), request)
      #expect(summaryOf(directives) == nil)
    }
  }

  @Test("an answer that the host ends itself before the limit keeps its own finish reason")
  func hostEnds() throws {
    let items = endless("ha ", times: 100) + [piece("!", finish: "stop"), .done]
    let (directives, records, _) = try outcome(of: embedded("a"), items, streamed)
    #expect(summaryOf(directives)?.finishReason == "stop")
    #expect(records.map(\.ending) == [nil])
  }
}
