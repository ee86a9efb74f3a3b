import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

/// An answer is complete when every begun choice has ended.
///
/// A fixed number of `finish_reason`s does not complete it.
@Suite("Which choices of an answer have ended")
struct ChoiceTests {
  private let cluster = FixedCluster([
    Host(id: "a", url: "http://a", state: .ready, models: [.init(id: "m")])
  ])
  private func run(
    _ extra: String, endpoint: InferenceEndpoint = .chatCompletions
  ) -> (InferenceRun, AttemptID) {
    let prompt = endpoint == .completions ? "" : #","messages":[{"role":"user","content":"q"}]"#
    var run = InferenceRun(
      request: InferenceRequest(
        endpoint: endpoint, model: "m",
        body: Array(#"{"model":"m","stream":true\#(prompt)\#(extra)}"#.utf8), stream: true,
        trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
      constraints: InferenceConstraints(race: .single, seed: 1))
    for case .start(let id, _, _) in run.begin(cluster, now: .zero) { return (run, id) }
    Issue.record("no host was asked")
    return (run, AttemptID(0))
  }

  private func chunk(_ index: Int, _ text: String, _ reason: String = "null") throws -> UpstreamItem
  {
    let data = Array(
      #"{"id":"c","choices":[{"index":\#(index),"delta":{"content":"\#(text)"},"finish_reason":\#(reason)}]}"#
        .utf8)
    return .chunk(InferenceChunk(data: data, facts: try ChunkFacts(parsing: data)))
  }

  @Test(
    "a host that gives one choice where several were asked for has answered",
    arguments: [#","n":2"#, #","best_of":2"#], [UpstreamItem.done, .end])
  func fewer(_ extra: String, _ ending: UpstreamItem) throws {
    var (run, id) = run(extra)
    var all = run.received(try chunk(0, "One."), from: id, cluster: cluster, now: at(1))
    all += run.received(try chunk(0, "", #""stop""#), from: id, cluster: cluster, now: at(1))
    all += run.received(ending, from: id, cluster: cluster, now: at(1))
    #expect(all.last == .complete)
    #expect(run.attempts.map(\.outcome) == [.answered])
  }

  @Test("a choice that was begun and not ended makes a cut of the end")
  func unfinished() throws {
    var (run, id) = run(#","n":2"#)
    _ = run.received(try chunk(0, "One.", #""stop""#), from: id, cluster: cluster, now: at(1))
    _ = run.received(try chunk(1, "Two"), from: id, cluster: cluster, now: at(1))
    let all = run.received(.end, from: id, cluster: cluster, now: at(1))
    #expect(all.last != .complete)
    #expect(run.attempts.first?.failure?.kind == .cut)
  }

  @Test("the same choice ended twice is one choice")
  func twice() throws {
    var (run, id) = run(#","n":2"#)
    for _ in 0..<2 {
      _ = run.received(try chunk(0, "One.", #""stop""#), from: id, cluster: cluster, now: at(1))
    }
    _ = run.received(try chunk(1, "Two"), from: id, cluster: cluster, now: at(1))
    _ = run.failed(AttemptFailure(.lost, "reset"), id, cluster: cluster, now: at(2))
    #expect(run.attempts.first?.failure?.kind == .lost)
  }

  @Test("an empty finish_reason is none", arguments: [#""""#, "null"])
  func empty(_ reason: String) throws {
    var (run, id) = run("")
    _ = run.received(try chunk(0, "One two", reason), from: id, cluster: cluster, now: at(1))
    _ = run.failed(AttemptFailure(.lost, "reset"), id, cluster: cluster, now: at(2))
    #expect(run.attempts.first?.failure?.kind == .lost)
  }

  @Test("a host that sends an early stop and continues is not cut off while it sends")
  func early() throws {
    var (run, id) = run("")
    _ = run.received(try chunk(0, "Hm.", #""stop""#), from: id, cluster: cluster, now: at(1))
    for second in 2..<40 {
      _ = run.tick(cluster: cluster, now: at(second))
      _ = run.received(try chunk(0, " word"), from: id, cluster: cluster, now: at(second))
    }
    #expect(run.attempts.isEmpty)
    let all = run.received(.done, from: id, cluster: cluster, now: at(40))
    #expect(all.last == .complete)
  }

  @Test("a host that is silent after its last word has answered")
  func silent() throws {
    var (run, id) = run("")
    _ = run.received(try chunk(0, "One.", #""stop""#), from: id, cluster: cluster, now: at(1))
    #expect(run.nextWake == at(6))
    #expect(run.tick(cluster: cluster, now: at(6)).last == .complete)
    #expect(run.attempts.map(\.outcome) == [.answered])
  }

  @Test(
    "prompts × n choices are expected of /v1/completions",
    arguments: [
      (#","prompt":["a","b","c"]"#, 3), (#","prompt":["a","b"],"n":3"#, 6),
      (#","prompt":[1,2,3]"#, 1), (#","prompt":[[1,2],[3]]"#, 2), (#","prompt":"a","n":2"#, 2),
      (#","prompt":[]"#, 1), (#","prompt":"a","best_of":5"#, 1), (#","n":-1"#, 1),
      (#","n":9223372036854775807,"prompt":["a","b"]"#, AnswerShape.maximumChoices),
    ])
  func prompts(_ members: String, _ choices: Int) {
    let body = Array(#"{"model":"m"\#(members)}"#.utf8)
    #expect(AnswerShape(body: body, endpoint: .completions).choices == choices)
  }

  @Test("a batch of prompts is whole with its last choice, and not before", arguments: [3, 70])
  func batch(_ count: Int) throws {
    let prompts = (0..<count).map { #""p\#($0)""# }.joined(separator: ",")
    var (run, id) = run(#","prompt":[\#(prompts)]"#, endpoint: .completions)
    func ends(_ index: Int) throws -> UpstreamItem {
      let data = Array(
        #"{"choices":[{"index":\#(index),"text":"x","finish_reason":"stop"}]}"#.utf8)
      return .chunk(InferenceChunk(data: data, facts: try ChunkFacts(parsing: data)))
    }
    for index in 0..<count {
      #expect(run.attempts.isEmpty)
      _ = run.received(try ends(index), from: id, cluster: cluster, now: at(1))
    }
    let all = run.failed(AttemptFailure(.lost, "reset"), id, cluster: cluster, now: at(2))
    #expect(all.last == .complete && run.attempts.map(\.outcome) == [.answered])
  }

  @Test(
    "an index that no request can ask for is garbage where it is read",
    arguments: [
      -1, 4_096, .max, .min,
    ])
  func impossible(_ index: Int) {
    #expect(throws: AttemptFailure.self) { try chunk(index, "Two") }
  }

  @Test("a choice that was not asked for is garbage", arguments: [1, 63, 64])
  func foreign(_ index: Int) throws {
    var (run, id) = run("")
    _ = run.received(try chunk(0, "One"), from: id, cluster: cluster, now: at(1))
    _ = run.received(try chunk(index, "Two"), from: id, cluster: cluster, now: at(1))
    #expect(run.attempts.first?.failure?.kind == .garbage)
  }
}
