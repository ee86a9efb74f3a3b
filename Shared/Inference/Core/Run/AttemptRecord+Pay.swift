public import ClusterModel
import Limits

extension AttemptRecord {
  /// The facts that determine the pay of the host.
  public var paid: PaidAttempt {
    let outcome: PaidAttempt.Outcome =
      switch self.outcome {
      case .answered: .delivered
      case .beaten: .beaten
      // The client left or did not read, which is not the host's fault.
      case .failed(let failure) where failure.kind == .consumerLeft && tokens > 0: .delivered
      case .failed: .failed
      }
    return PaidAttempt(
      host: host, model: hostModel, tier: tier, tokens: tokens, outcome: outcome)
  }
}

extension TaskInference {
  /// An inference that has ended, with the attempts that may earn something.
  public init(_ summary: InferenceSummary) {
    // A failed attempt without tokens earns nothing.
    let attempts = summary.attempts.map(\.paid).filter { $0.outcome != .failed || $0.tokens > 0 }
    // The last attempt completed the answer, so the first ones are left out if there are too many.
    self.init(
      model: summary.model, usage: summary.usage,
      attempts: Array(attempts.suffix(Limits.inferenceAttempts.value)))
  }
}
