public import ClusterModel

extension PlanRequest {
  /// Makes the planner's request from a client's request.
  /// - Parameters:
  ///   - rights: rights of the client's key. If the key allows only some models and the client
  ///     named none, the plan names the models that the key allows.
  ///   - isOrdered: whether the operator chose the available models, the best one first. If the
  ///     client named none, the plan names them in this order.
  ///   - budget: the token budget of the whole plan. `nil` means no limit.
  public init(
    _ request: ClientRequest, _ rights: KeyRights = KeyRights(), pattern: String,
    budget: TokenBudget?, seed: UInt64, available: [ModelID],
    isOrdered: Bool = false, hosts: [HostFacts],
    correction: EstimateCorrection = .none
  ) {
    var models = request.options.models
    if models.isEmpty, rights.limitsModels || isOrdered, !available.isEmpty {
      let count = request.options.members ?? OptionRanges.defaultMembers
      models = (0..<count).map { available[$0 % available.count] }
    }
    self.init(
      pattern: pattern, query: request.query, models: models,
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
