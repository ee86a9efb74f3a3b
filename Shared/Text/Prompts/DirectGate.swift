/// First stage of the split decision: finds requests that are cheap to answer directly.
///
/// It is deterministic, and cheap enough for every request.
public enum DirectGate {
  /// Least `max_tokens` of a request that is split. A shorter answer is complete before its parts
  /// could be merged.
  static let leastAnswerTokens = 96
  /// Least token budget of a split. The prompts of several parts alone would use up a smaller one.
  static let leastBudgetTokens = 1_024
  /// Maximum bytes of the query that are examined. Hardly any question is longer.
  private static let lookedAt = 4 * 1_024
  /// Least words of a query that is split, unless it has several documents. A query with fewer
  /// words asks for one thing.
  static let leastWords = 8

  /// The reason to answer a request directly, if there is one.
  ///
  /// - Parameters:
  ///   - query: the last message of the client.
  ///   - maxTokens: the client's limit on the answer.
  ///   - budgetTokens: the client's limit on all prompts and answers together.
  ///   - documents: number of documents in the request.
  ///   - isStructured: whether the client wants JSON or sent tools.
  /// - Returns: the reason for a direct answer. `nil` means that a split may be worthwhile.
  public static func reason(
    query: String, maxTokens: Int?, budgetTokens: Int?, documents: Int, isStructured: Bool
  ) -> String? {
    if let reason = boundReason(
      maxTokens: maxTokens, budgetTokens: budgetTokens, isStructured: isStructured)
    {
      return reason
    }
    // Several documents are several pieces of work, even if the question about them is short.
    return documents > 1 ? nil : shapeReason(query)
  }

  /// Checks whether a required structure or the client's limits rule out a split.
  ///
  /// Parameters and result are those of `reason`.
  public static func boundReason(
    maxTokens: Int?, budgetTokens: Int?, isStructured: Bool
  ) -> String? {
    if isStructured {
      return "the answer is JSON or may call tools, so it cannot be joined from parts"
    }
    if let maxTokens, maxTokens < leastAnswerTokens {
      return "the answer has at most \(maxTokens) tokens; a split is worthwhile from "
        + "\(leastAnswerTokens)"
    }
    if let budgetTokens, budgetTokens < leastBudgetTokens {
      return "the budget is \(budgetTokens) tokens; a split needs \(leastBudgetTokens)"
    }
    return nil
  }

  /// Checks whether the query asks for a single thing.
  /// - Returns: the reason for a direct answer. `nil` means that the query may ask for several
  ///   things.
  public static func shapeReason(_ query: String) -> String? {
    let shape = QueryShape(query, limit: lookedAt)
    let isShort = shape.words < leastWords
    let enumerates =
      shape.listItems > 1 || shape.inlineMarkers > 1 || shape.separators > 1
    guard isShort || shape.sentences < 2 && !enumerates else { return nil }
    if let reason = stepsReason(query) { return reason }
    guard isShort else { return "it is one sentence without a list" }
    let words = shape.words == 1 ? "1 word" : "\(shape.words) words"
    return "the question has \(words); a split is worthwhile from \(leastWords)"
  }

  /// The reason to answer a question with steps directly. `nil` means that it names no steps. A
  /// step may need the result of the one before, so steps do not run at the same time.
  public static func stepsReason(_ query: String) -> String? {
    QuerySteps.count(query).map {
      "its \($0) steps follow each other, so one call does them in order"
    }
  }
}
