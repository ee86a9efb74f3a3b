import ClusterModel
import Limits
import Text

extension ClientRequest {
  /// Tokens that the smallest plan of the request's pattern takes at least: its readings of the
  /// conversation, and its shortest useful outputs.
  ///
  /// The planner knows the instructions and documents, too, so it may need more, but never less. A
  /// request whose key cannot pay these tokens is refused before a planner is asked.
  var leastPlanTokens: Int {
    let plan = smallestPlan
    return conversationTokens.addingCapped(TokenEstimate.callTokens)
      .multipliedCapped(by: plan.calls)
      .addingCapped(TokenEstimate.leastTokens * plan.outputs)
  }

  /// Estimated tokens of a plan before it is made, for the limits of the client's key. A plan never
  /// takes more than the client's own budget.
  public var leastCountedTokens: Int { min(leastPlanTokens, options.budgetTokens ?? .max) }

  /// Calls that read the conversation, and outputs that are written or read as inputs, of the
  /// smallest plan of the pattern. The planner counts in the same way.
  private var smallestPlan: (calls: Int, outputs: Int) {
    switch PatternName(rawValue: model.name) {
    // One call for each vote on a closed question.
    case .ensemble: (leastMembers, leastMembers)
    // The positions, one round and the answer. In the round, each member reads all positions.
    case .debate:
      (2 * leastMembers + 1, 2 * leastMembers + leastMembers * leastMembers + leastMembers + 2)
    // Analysis, one specialist, draft, two calls for the review, a second analysis, and the answer.
    case .maestro: (7, 12)
    // One call may suffice. A split whose parts do not read a long conversation may take less, but
    // every request must pay its prompt once.
    case .auto, .decompose, nil: (1, 1)
    }
  }

  /// Minimum members of the plan. Without a number from the client, it depends on the models that
  /// hosts have.
  private var leastMembers: Int {
    options.members ?? (options.models.isEmpty ? 2 : options.models.count)
  }
}
