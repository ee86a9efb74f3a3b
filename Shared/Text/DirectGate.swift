/// The first stage of the decision to split a request: what is cheap to answer directly is not
/// looked at any further. Deterministic, and cheap enough for every request.
public enum DirectGate {
  /// An answer that short is written before its parts could be put together.
  public static let leastAnswerTokens = 96
  /// Prompts of several parts alone would use it up.
  public static let leastBudgetTokens = 1_024
  /// Nobody writes a sentence longer than this.
  private static let lookedAt = 4 * 1_024
  /// Fewer words ask for one thing.
  public static let leastWords = 8

  /// - Parameters:
  ///   - query: the last message of the client.
  ///   - maxTokens: the client's limit on the answer.
  ///   - budgetTokens: the client's limit on everything.
  ///   - documents: how many came with the request.
  ///   - isStructured: the client wants JSON, or gave tools.
  /// - Returns: why it is to be answered directly; nil: it may be worth splitting.
  public static func reason(
    query: String, maxTokens: Int?, budgetTokens: Int?, documents: Int, isStructured: Bool
  ) -> String? {
    if let reason = boundReason(
      maxTokens: maxTokens, budgetTokens: budgetTokens, isStructured: isStructured)
    {
      return reason
    }
    // Documents are work of their own, however short the question about them.
    return documents > 1 ? nil : shapeReason(query)
  }

  /// What the client bounded leaves no room for parts.
  /// - Parameters and result: as of `reason`.
  public static func boundReason(
    maxTokens: Int?, budgetTokens: Int?, isStructured: Bool
  ) -> String? {
    if isStructured { return "the answer is one structure" }
    if let maxTokens, maxTokens < leastAnswerTokens {
      return "the answer has at most \(maxTokens) tokens"
    }
    if let budgetTokens, budgetTokens < leastBudgetTokens {
      return "the budget is \(budgetTokens) tokens"
    }
    return nil
  }

  /// The query does not look like more than one thing.
  /// - Returns: why; nil: it may be more.
  public static func shapeReason(_ query: String) -> String? {
    let shape = QueryShape(query, limit: lookedAt)
    if shape.words < leastWords { return "it is short" }
    let enumerates =
      shape.listItems > 1 || shape.inlineMarkers > 1 || shape.separators > 1
    if shape.sentences < 2, !enumerates { return "it is a single sentence" }
    return nil
  }
}
