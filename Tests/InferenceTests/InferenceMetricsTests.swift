import ClusterModel
import InferenceCore
import Testing

@testable import Inference

@Suite("What is counted of attempts")
struct InferenceMetricsTests {
  @Test("hosts of the operator's own are told apart, whatever became of the attempt")
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
  }
}
