import ClusterModel
public import InferenceCore
import Limits

extension RequestBounds {
  /// No tokenizer makes more tokens than this of one estimated token.
  private static let mostTokensPerEstimate = 8

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
}
