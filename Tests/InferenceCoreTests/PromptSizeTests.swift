import ClusterModel
import InferenceCore
import Testing

@Suite("Estimated length of a prompt without its tokeniser")
struct PromptSizeTests {
  private func tokens(_ body: String) -> Int { AnswerShape(body: Array(body.utf8)).promptTokens }

  private func body(_ parts: String, _ more: String = "") -> String {
    #"{"model":"m","messages":[{"role":"user","content":[\#(parts)]}]\#(more)}"#
  }

  private let picture =
    #"{"type":"image_url","image_url":{"url":"data:image/png;base64,\#(String(repeating: "A", count: 400_000))"}}"#

  @Test("text is four bytes a token")
  func text() {
    let words = String(repeating: "word ", count: 8_000)
    #expect((10_000...10_050).contains(tokens(body(#"{"type":"text","text":"\#(words)"}"#))))
  }

  @Test("a picture costs what a picture costs, not what it is long")
  func pictures() {
    #expect((1_600...1_700).contains(tokens(body(picture))))
    #expect((3_200...3_300).contains(tokens(body("\(picture),\(picture)"))))
    // The URL of a picture is short and adds little to this estimate.
    #expect(
      tokens(body(#"{"type":"image_url","image_url":{"url":"https://example.org/a.png"}}"#)) < 50)
  }

  @Test("our own options go to no host")
  func options() {
    let document = String(repeating: "x", count: 100_000)
    #expect(tokens(body("", #","tutti":{"documents":["\#(document)"]}"#)) < 50)
  }

  @Test("a body that is not JSON is estimated by its length")
  func noJSON() { #expect(tokens(String(repeating: "x", count: 400)) == 100) }

  @Test("the text of an answer counts if another host resumes it")
  func answer() throws {
    func host(_ id: HostID, _ context: Int) -> Host {
      Host(
        id: id, url: "http://\(id)", state: .ready,
        models: [ModelOffer(id: "m", contextTokens: context)])
    }
    let cluster = FixedCluster([host("large", 4_096), host("small", 100)])
    for (words, next) in [(20, "small" as HostID), (120, "large")] {
      var run = InferenceRun(
        request: InferenceRequest(
          endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
          trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
        constraints: InferenceConstraints(race: .single, avoid: ["small"], seed: 1))
      func asked(_ directives: [InferenceRun.Directive]) throws -> (AttemptID, HostID) {
        for case .start(let id, let candidate, _) in directives { return (id, candidate.host.id) }
        throw Failure(.internalError, "nobody was asked")
      }
      let (first, firstHost) = try asked(run.begin(cluster, now: .zero))
      #expect(firstHost == "large")
      for _ in 0..<words {
        _ = run.received(piece(" word"), from: first, cluster: cluster, now: .zero)
      }
      let directives = run.failed(
        AttemptFailure(.lost, "reset"), first, cluster: cluster, now: .zero)
      #expect(try asked(directives).1 == next)
    }
  }
}
