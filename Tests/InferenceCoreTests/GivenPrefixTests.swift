import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private func host(_ id: String, resume: ResumeWay = .trailingAssistant) -> Host {
  Host(
    id: HostID(id), url: "http://\(id)", resume: resume, state: .ready, models: [.init(id: "m")])
}

private func run(
  after prefix: String, body: [UInt8] = conversation, stream: Bool = true
) -> InferenceRun {
  InferenceRun(
    request: InferenceRequest(
      endpoint: .chatCompletions, model: "m", body: body, stream: stream,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)),
      prefix: Array(prefix.utf8)),
    constraints: InferenceConstraints(
      deadlines: Deadlines(
        firstToken: .seconds(10), interToken: .seconds(5), total: .seconds(600)), seed: 1))
}

private typealias Start = (id: AttemptID, candidate: Candidate, resume: ResumePoint?)

private func starts(_ directives: [InferenceRun.Directive]) -> [Start] {
  directives.compactMap {
    guard case .start(let id, let candidate, let resume) = $0 else { return nil }
    return (id, candidate, resume)
  }
}

@Suite("An answer that another process began")
struct GivenPrefixTests {
  @Test("one host is asked to continue it, and only the new text is delivered")
  func goesOn() throws {
    let cluster = FixedCluster([host("a"), host("b")])
    var run = run(after: "The quick brown")
    var all = run.begin(cluster, now: at(ms: 0))
    #expect(starts(all).count == 1, "what was begun is not raced")
    let leg = try #require(starts(all).first)
    #expect(leg.resume?.prefix == Array("The quick brown".utf8))
    all += run.received(piece(" fox"), from: leg.id, cluster: cluster, now: at(ms: 10))
    all += run.received(
      piece(" jumps.", finish: "stop"), from: leg.id, cluster: cluster, now: at(ms: 20))
    all += run.received(.done, from: leg.id, cluster: cluster, now: at(ms: 21))
    #expect(clientText(all) == " fox jumps.")
    #expect(all.count { if case .open = $0 { true } else { false } } == 1)
    #expect(all.last == .complete)
    let summary = try #require(summaryOf(all))
    #expect(summary.firstToken == .milliseconds(10))
    #expect(summary.attempts.map(\.role) == [.resumption])
    for case .deliver(.chunk(let chunk)) in all {
      #expect(String(decoding: chunk.data, as: UTF8.self).contains(#""id":"c""#))
    }
  }

  @Test("text of it that the host repeats is dropped")
  func overlap() throws {
    let cluster = FixedCluster([host("a", resume: .instruct)])
    let prefix = "The orchestra tunes to the oboe, because its pitch is the steadiest of all"
    var run = run(after: prefix)
    var all = run.begin(cluster, now: at(ms: 0))
    let leg = try #require(starts(all).first)
    for word in ["pitch", " is the steadiest", " of all", " the winds", "."] {
      all += run.received(piece(word), from: leg.id, cluster: cluster, now: at(ms: 10))
    }
    all += run.received(piece("", finish: "stop"), from: leg.id, cluster: cluster, now: at(ms: 20))
    all += run.received(.done, from: leg.id, cluster: cluster, now: at(ms: 21))
    #expect(clientText(all) == " the winds.")
  }

  @Test("its tokens count towards max_tokens")
  func spends() throws {
    let body = Array(
      #"{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Go on."}]}"#.utf8)
    var run = run(after: String(repeating: "word ", count: 39) + "word", body: body)
    let leg = try #require(starts(run.begin(FixedCluster([host("a")]), now: at(ms: 0))).first)
    let resume = try #require(leg.resume)
    #expect(resume.spentTokens == 50)
    let request = InferenceRequest(
      endpoint: .chatCompletions, model: "m", body: body, stream: true,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
    let sent = try UpstreamRequest(request, to: leg.candidate, from: resume)
    #expect(String(decoding: sent.body, as: UTF8.self).contains(#""max_tokens":50"#))
  }

  @Test("the resuming host may die, too, and the next one gets both parts")
  func cascade() throws {
    let cluster = FixedCluster([host("a"), host("b")])
    var run = run(after: "One two")
    var all = run.begin(cluster, now: at(ms: 0))
    let first = try #require(starts(all).first)
    all += run.received(piece(" three"), from: first.id, cluster: cluster, now: at(ms: 10))
    all += run.received(piece(" four"), from: first.id, cluster: cluster, now: at(ms: 20))
    all += run.received(piece(" fi"), from: first.id, cluster: cluster, now: at(ms: 20))
    all += run.failed(AttemptFailure(.lost, "reset"), first.id, cluster: cluster, now: at(ms: 30))
    let second = try #require(starts(all).last)
    #expect(second.candidate.host.id != first.candidate.host.id)
    #expect(second.resume?.prefix == Array("One two three four".utf8))
    all += run.received(
      piece(" five.", finish: "stop"), from: second.id, cluster: cluster, now: at(ms: 40))
    all += run.received(.done, from: second.id, cluster: cluster, now: at(ms: 41))
    #expect(clientText(all) == " three four five.")
    #expect(all.count { if case .open = $0 { true } else { false } } == 1)
  }

  @Test("JSON that was begun stays JSON")
  func json() throws {
    let body = Array(
      (#"{"model":"m","response_format":{"type":"json_object"},"#
        + #""messages":[{"role":"user","content":"Go on."}]}"#).utf8)
    let cluster = FixedCluster([host("a")])
    var run = run(after: #"{"city": "Rio"#, body: body)
    var all = run.begin(cluster, now: at(ms: 0))
    let leg = try #require(starts(all).first)
    #expect(leg.resume?.prefix == Array(#"{"city": "Rio"#.utf8))
    let data = #"{"id":"c","choices":[{"index":0,"delta":{"content":" de Janeiro\"}"}}]}"#
    let rest = InferenceChunk(
      data: Array(data.utf8), facts: ChunkFacts(text: #" de Janeiro"}"#, finishReason: nil))
    all += run.received(.chunk(rest), from: leg.id, cluster: cluster, now: at(ms: 10))
    all += run.received(piece("", finish: "stop"), from: leg.id, cluster: cluster, now: at(ms: 20))
    all += run.received(.done, from: leg.id, cluster: cluster, now: at(ms: 21))
    #expect(clientText(all) == #" de Janeiro"}"#)
  }

  @Test(
    "if a host fails before its first word, the next one is asked; the last failure is reported")
  func nobody() throws {
    let cluster = FixedCluster([host("a"), host("b")])
    var run = run(after: "One two")
    var all = run.begin(cluster, now: at(ms: 0))
    for _ in 0..<2 {
      let leg = try #require(starts(all).last)
      all += run.failed(
        AttemptFailure(.connect, "refused"), leg.id, cluster: cluster, now: at(ms: 10))
    }
    #expect(Set(starts(all).map(\.candidate.host.id)).count == 2)
    let failure = try #require(lastFailure(all))
    #expect(failure.code == .upstreamFailed && failure.message.contains("refused"))
    #expect(!failure.message.contains("broke off"))
  }

  @Test("an answer of several choices cannot be continued, and the error says so")
  func choices() throws {
    let body = Array(
      #"{"model":"m","n":2,"messages":[{"role":"user","content":"Go on."}]}"#.utf8)
    var run = run(after: "One two", body: body)
    let failure = try #require(
      lastFailure(run.begin(FixedCluster([host("a")]), now: at(ms: 0))))
    #expect(failure.message.contains("2 choices"))
    #expect(run.nextWake == nil)
  }

  @Test("without a host it fails like any other request")
  func noHost() throws {
    var run = run(after: "One two")
    #expect(
      lastFailure(run.begin(FixedCluster([]), now: at(ms: 0)))?.code == .noEligibleHost)
  }

  @Test("the end of a word is not held against the host, white space is left to what follows")
  func whereItGoesOn() throws {
    for (prefix, place) in [("Tutti", "Tutti"), ("Tutti is ", "Tutti is"), ("a\n\n", "a")] {
      var run = run(after: prefix)
      let leg = try #require(starts(run.begin(FixedCluster([host("a")]), now: at(ms: 0))).first)
      #expect(leg.resume?.prefix == Array(place.utf8), "\(prefix)")
    }
  }
}
