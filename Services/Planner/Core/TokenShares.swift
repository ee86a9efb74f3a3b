import ClusterModel

/// A client's budget of tokens cut into equal shares.
///
/// Every task reads the conversation; what else is read and written is counted in shares, so a
/// pattern says how many of them it needs at most, and its tasks write one or two each.
struct TokenShares {
  /// nil: there is no budget.
  let share: Int?

  /// - Parameters:
  ///   - prompts: tasks that read the conversation.
  ///   - units: shares that are written, and those that are read again by others.
  ///   - shape: for the message, for example "3 members".
  /// - Throws: `budgetTooSmall`, saying how much would be enough.
  init(
    _ basis: PlanBasis, prompts: Int, units: Int, for shape: String
  ) throws(PlanError) {
    guard let total = basis.request.budgetTokens else {
      share = nil
      return
    }
    let share = Self.share(of: total, basis, prompts: prompts, units: units)
    guard share >= PlanLimits.leastTokens else {
      let needed = prompts * basis.conversationTokens + units * PlanLimits.leastTokens
      throw PlanError(
        .budgetTooSmall,
        "tutti.budget.tokens is \(total); \(shape) need at least \(needed) for this query. Ask for "
          + "more tokens or for less.")
    }
    self.share = share
  }

  /// How large a share is; may be negative.
  static func share(of total: Int, _ basis: PlanBasis, prompts: Int, units: Int) -> Int {
    (total - prompts * basis.conversationTokens) / units
  }

  /// What a draft may have: a client that wants a short answer wants short drafts; one that wants a
  /// long answer still gets drafts that fit beside each other into a small context.
  func draft(_ request: PlanRequest, atMost most: Int = PlanLimits.draftTokens) -> Int {
    let wanted = min(most, max(PlanLimits.leastTokens, request.maxTokens ?? .max))
    return min(wanted, share ?? .max)
  }

  /// What a task may have whose output a program reads: a client's limit on the answer would cut it
  /// in the middle of its JSON.
  var working: Int { min(PlanLimits.draftTokens, share ?? .max) }

  /// What the answer may have: two shares, since it stands for all drafts.
  /// - Returns: nil: the client's own limit, or none.
  func answer(_ request: PlanRequest) -> Int? {
    share.map { min(2 * $0, request.maxTokens ?? .max) }
  }
}
