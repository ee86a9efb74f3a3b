public import ClusterModel

extension PlanRequest {
  /// Makes the planner's request from a client's request.
  /// - Parameter budget: the token budget of the whole plan.
  public init(
    _ request: ClientRequest, pattern: String, budget: TokenBudget?, seed: UInt64,
    available: [ModelID], hosts: [HostFacts], correction: EstimateCorrection = .none
  ) {
    self.init(
      pattern: pattern, query: request.query, models: request.options.models,
      members: request.options.members, rounds: request.options.rounds,
      quorum: request.options.quorum, seed: seed, maxTokens: request.maxTokens,
      available: available, budgetTokens: budget.map { max(1, $0.tokens) },
      dataPolicy: request.options.dataPolicy, hosts: hosts,
      documents: request.options.documents.map {
        DocumentFacts(name: $0.name, bytes: $0.text.utf8.count)
      },
      conversationTokens: request.conversationTokens,
      isStructured: request.isStructured, correction: correction)
  }
}
