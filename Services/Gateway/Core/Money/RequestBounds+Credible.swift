public import ClusterModel
public import InferenceCore
import Limits
import Text

extension RequestBounds {
  /// Maximum tokens of any tokenizer for the text of one estimated token: one per byte.
  fileprivate static let mostTokensPerEstimate = TokenEstimate.bytesPerToken
  /// Maximum tokens per estimated token for which hosts are paid if the client's hold does not pay
  /// them. Prose has at most one, most code and Chinese text at most two.
  private static let paidTokensPerEstimate = 2
  private static let writingsPerAttempt = 2

  /// The summary with its counts lowered to credible values.
  ///
  /// A host itself counts the tokens for which it is paid. A false count could use up the client's
  /// hold. If the hold is too low, hosts are paid for more tokens only up to `paidPrompt`.
  ///
  /// - Parameter tokens: maximum tokens of one answer that the hold pays. `nil` means that `answer`
  ///   is the maximum.
  public func credible(_ summary: InferenceSummary, tokens: Int?) -> InferenceSummary {
    var summary = summary
    summary.usage.limitPrompt(to: prompt.multipliedCapped(by: Self.mostTokensPerEstimate))
    summary.usage.completionTokens = min(
      summary.usage.completionTokens, mostCompletion(tokens: tokens))
    return summary
  }

  /// Maximum completion tokens of all answers. The client does not pay for more tokens, and the
  /// host is not paid for more.
  ///
  /// - Parameter tokens: maximum tokens of one answer, or of a plan, that the hold pays. `nil`
  ///   means that `answer` is the maximum.
  public func mostCompletion(tokens: Int?) -> Int {
    (tokens ?? answer).multipliedCapped(by: answers)
  }

  /// Maximum prompt tokens for which the hosts of a direct answer are paid if the hold does not pay
  /// them.
  public var paidPrompt: Int { prompt.multipliedCapped(by: Self.paidTokensPerEstimate) }

  /// Maximum prompt tokens for which the hosts of a plan are paid if the hold does not pay them.
  /// The plan's own estimates of its prompts and answers add up to at most half of it.
  ///
  /// - Parameter tokens: maximum tokens of the plan. `nil` means that the sum of `prompt` and
  ///   `answer` is the maximum.
  public func paidPromptOfPlan(tokens: Int?) -> Int {
    (tokens ?? prompt.addingCapped(answer)).multipliedCapped(by: Self.paidTokensPerEstimate)
  }

  /// The tokens of a plan's task, with their counts lowered to credible values.
  ///
  /// A task may not read or write more than the whole plan. An attempt writes the task's answer
  /// once, and perhaps again to correct it.
  ///
  /// - Parameter tokens: maximum tokens of the plan. `nil` means that the sum of `prompt` and
  ///   `answer` is the maximum.
  public func credible(_ line: PlanTrace.TaskLine, of plan: Plan, tokens: Int?) -> Usage {
    let most = tokens ?? prompt.addingCapped(answer)
    let writings = max(1, line.attempts).multipliedCapped(by: Self.writingsPerAttempt)
    let granted = plan.tasks.first { $0.id == line.id }?.maxTokens
    let written = granted.map { max(0, $0).multipliedCapped(by: writings) } ?? .max
    var usage = line.usage
    usage.limitPrompt(to: paidPromptOfPlan(tokens: tokens))
    usage.completionTokens = min(usage.completionTokens, written, most)
    return usage
  }

  /// The tokens of a plan, with its tasks' counts lowered to credible values.
  ///
  /// - Parameters:
  ///   - written: tokens of the answer that the client received. They count if the task that writes
  ///     the answer has reported no usage.
  ///   - tokens: maximum tokens of the plan. `nil` means that the sum of `prompt` and `answer` is
  ///     the maximum.
  public func credible(_ trace: PlanTrace, written: Int, tokens: Int?) -> Usage {
    var counted = Usage.zero
    var total = Usage.zero
    for line in trace.tasks {
      counted = counted + line.usage
      var usage = credible(line, of: trace.plan, tokens: tokens)
      if usage == .zero, written > 0, trace.isAnswer(line) {
        usage = Usage(promptTokens: 0, completionTokens: written, estimated: true)
      }
      total = total + usage
    }
    // If no count was changed, the trace's usage is used. It may contain tokens of an earlier
    // dispatcher that no task's line contains.
    return total == counted ? trace.usage : total
  }
}

extension ClientRequest {
  /// A host's counts lowered to credible values, for a request that costs nothing.
  public func credible(_ usage: Usage) -> Usage {
    var usage = usage
    usage.limitPrompt(
      to: Usage.bounded(promptBound).multipliedCapped(by: RequestBounds.mostTokensPerEstimate))
    if let maxTokens, maxTokens > 0 {
      usage.completionTokens = min(
        usage.completionTokens, maxTokens.multipliedCapped(by: answers))
    }
    return usage
  }

  /// Tokens of an answer that the client did not receive to its end.
  /// - Parameter completion: tokens that were written to the client's socket.
  public func usage(ofPart completion: Int) -> Usage {
    guard completion > 0 else { return .zero }
    return credible(
      Usage(
        promptTokens: Usage.bounded(promptBound), completionTokens: Usage.bounded(completion),
        estimated: true))
  }
}
