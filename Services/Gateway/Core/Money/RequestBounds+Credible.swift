public import ClusterModel
public import InferenceCore
import Limits

extension RequestBounds {
  /// No tokenizer makes more tokens than this of one estimated token.
  private static let mostTokensPerEstimate = 8
  private static let writingsPerAttempt = 2

  /// The summary with the credible part of its counts.
  ///
  /// A host counts the tokens that it is paid for. Without a bound, a false count would use up the
  /// client's hold, and cost the operator any amount: a host is paid even if the hold is too low.
  ///
  /// - Parameter tokens: maximum tokens of one answer that the host was given. `nil` means none.
  public func credible(_ summary: InferenceSummary, tokens: Int?) -> InferenceSummary {
    var summary = summary
    summary.usage.promptTokens = min(
      summary.usage.promptTokens, prompt.multipliedCapped(by: Self.mostTokensPerEstimate))
    summary.usage.completionTokens = min(
      summary.usage.completionTokens, (tokens ?? answer).multipliedCapped(by: answers))
    return summary
  }

  /// The tokens of a plan's task, with the credible part of its counts.
  ///
  /// A task reads and writes at most what the whole plan may. An attempt writes the task's answer
  /// and perhaps a correction of it.
  ///
  /// - Parameter tokens: maximum tokens of the plan. `nil` means none.
  public func credible(_ line: PlanTrace.TaskLine, of plan: Plan, tokens: Int?) -> Usage {
    let most = tokens ?? prompt.addingCapped(answer)
    let writings = max(1, line.attempts).multipliedCapped(by: Self.writingsPerAttempt)
    let granted = plan.tasks.first { $0.id == line.id }?.maxTokens
    let written = granted.map { max(0, $0).multipliedCapped(by: writings) } ?? .max
    var usage = line.usage
    usage.promptTokens = min(
      usage.promptTokens, most.multipliedCapped(by: Self.mostTokensPerEstimate))
    usage.completionTokens = min(usage.completionTokens, written, most)
    return usage
  }
}
