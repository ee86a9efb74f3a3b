import ClusterModel

/// Length limit in the instruction of the model that writes the answer from drafts.
///
/// Drafts may be longer than the answer. A model that does not know the limit writes as much as the
/// drafts, and is cut off before it has answered.
enum AnswerLength {
  /// Returns the sentence to append to the instruction. Empty if the client sets no limit, or a
  /// limit that has room for a draft.
  static func text(_ request: PlanRequest) -> String {
    guard let tokens = request.maxTokens, tokens < PlanLimits.leastDraftTokens else { return "" }
    // Models with a small vocabulary need two tokens for a word.
    let words = max(1, tokens / 2)
    let limit = words == 1 ? "one word" : "at most \(words) words"
    return tokens <= PlanLimits.closedTokens
      ? " Reply with what I asked for alone, without a sentence around it, in \(limit)."
      : " Reply in \(limit)."
  }
}
