import ClusterModel
import InferenceCore
import Testing

@testable import Inference

@Suite("Metrics of attempts")
struct InferenceMetricsTests {
  @Test("the first token counts for its host, also if another host continued the answer")
  func firstToken() {
    func attempt(
      _ host: HostID, _ started: Double, _ ended: Double, _ tokens: Int, _ outcome: AttemptOutcome
    ) -> AttemptRecord {
      AttemptRecord(
        host: host, model: "m", started: .seconds(started), ended: .seconds(ended), tokens: tokens,
        outcome: outcome)
    }
    func said(_ first: Double, _ attempts: [AttemptRecord]) -> String? {
      let summary = InferenceSummary(
        host: attempts.last?.host ?? "", model: "m",
        usage: Usage(promptTokens: 1, completionTokens: 1), finishReason: "stop",
        firstToken: .seconds(first), total: .seconds(9), attempts: attempts)
      return InferenceMetrics.firstToken(of: summary, attempts).map {
        "\($0.host) \($0.waited.wholeMilliseconds)"
      }
    }
    let lost = AttemptOutcome.failed(AttemptFailure(.lost, ""))
    let refused = AttemptOutcome.failed(AttemptFailure(.connect, ""))
    #expect(said(0.5, [attempt("a", 0, 1, 7, .answered)]) == "a 500")
    #expect(said(0.5, [attempt("a", 0, 3, 7, lost), attempt("b", 3, 9, 7, .answered)]) == "a 500")
    #expect(
      said(0.5, [attempt("a", 0, 0.2, 0, refused), attempt("b", 0.2, 9, 7, .answered)]) == "b 300")
    #expect(
      said(0.5, [attempt("a", 0, 0.5, 0, .beaten), attempt("b", 0.1, 9, 7, .answered)]) == "b 400")
    // An answer in one body counts no tokens.
    #expect(said(0.5, [attempt("a", 0, 0.5, 0, .answered)]) == "a 500")
  }

  @Test("a cancelled answer counts the tokens that its hosts made, and a loser its own")
  func work() {
    func attempt(
      _ host: HostID, _ tokens: Int, _ outcome: AttemptOutcome
    ) -> AttemptRecord {
      AttemptRecord(
        host: host, model: "m", started: .zero, ended: .seconds(1), tokens: tokens,
        outcome: outcome)
    }
    func work(_ attempts: [AttemptRecord], _ usage: Usage?) -> [String] {
      let summary = usage.map {
        InferenceSummary(
          host: "a", model: "m", usage: $0, finishReason: "stop", firstToken: .zero,
          total: .seconds(1), attempts: attempts)
      }
      return InferenceMetrics.work(of: attempts, summary, promptTokens: 7)
        .map { "\($0.host) \($0.promptTokens) \($0.completionTokens)" }
    }
    let left = AttemptOutcome.failed(AttemptFailure(.consumerLeft, ""))
    let lost = AttemptOutcome.failed(AttemptFailure(.lost, ""))
    let usage = Usage(promptTokens: 5, completionTokens: 9)
    #expect(work([attempt("a", 12, left)], nil) == ["a 7 12"])
    #expect(work([attempt("a", 0, left)], nil) == [])
    #expect(work([attempt("a", 8, .answered)], usage) == ["a 5 9"])
    // An answer in one body counts no tokens.
    #expect(work([attempt("a", 0, .answered)], usage) == ["a 5 9"])
    #expect(
      work([attempt("b", 2, .beaten), attempt("a", 8, .answered)], usage) == ["b 5 2", "a 5 9"])
    #expect(
      work([attempt("b", 4, lost), attempt("a", 5, .answered)], usage) == ["b 5 4", "a 5 5"])
  }

  @Test("the operator's own hosts have their own label, for every outcome of an attempt")
  func tiers() {
    var attempt = AttemptRecord(
      host: "own", model: "m", tier: .fallback, started: .zero, ended: .seconds(1),
      outcome: .answered)
    func labels() -> [String] {
      InferenceMetrics.dimensions(of: attempt, host: "own").map { "\($0.0)=\($0.1)" }
    }
    #expect(labels() == ["host=own", "tier=fallback", "outcome=answered"])
    attempt.tier = .community
    attempt.outcome = .failed(AttemptFailure(.noSecret, ""))
    #expect(labels() == ["host=own", "tier=community", "outcome=no_secret"])
    // The attempt lost a race; its answer was not read.
    attempt.outcome = .beaten
    #expect(labels() == ["host=own", "tier=community", "outcome=beaten"])
    attempt.outcome = .answered
    attempt.ending = .repetition
    #expect(labels() == ["host=own", "tier=community", "outcome=repetition"])
  }
}
