import ClusterModel
import Limits
import Logging
import Overload
import Telemetry

/// Logs streamed answers that ended with an error after their first token. The rate is limited,
/// because a host that breaks off every answer causes the lines.
struct BrokenAnswerLog: Sendable {
  private let logger: Logger
  private let gate = RateGate(
    every: .milliseconds(Limits.brokenAnswerPause.value), burst: Limits.brokenAnswers.value)

  init(logger: Logger) { self.logger = logger }

  /// Whether an operator should see the ending. A client that left, a key that was revoked and a
  /// budget that was used up end answers as intended.
  static func isBroken(status: Int, _ failure: Failure, isStream: Bool, hasToken: Bool) -> Bool {
    isStream && hasToken && failure.code != .cancelled && status >= 500
  }

  /// - Parameter attempts: the attempts of a direct answer. A plan has none here: its tasks have
  ///   spans of their own.
  func record(
    _ trace: TraceID, model: String, pattern: String, host: String, attempts: [AttemptFacts],
    _ failure: Failure
  ) {
    guard let skipped = gate.pass() else { return }
    let hosts = attempts.map { "\($0.host.name) (\($0.outcome))" }.joined(separator: ", ")
    logger.report(
      .answerBroken,
      metadata: [
        LogKey.trace: "\(trace)", LogKey.model: "\(model)", "pattern": "\(pattern)",
        LogKey.host: "\(host.isEmpty ? attempts.last?.host.name ?? "" : host)",
        "attempts": "\(hosts)", LogKey.code: "\(failure.code.rawValue)",
        LogKey.reason: "\(failure.message)", "skipped": "\(skipped)",
      ])
  }
}
