public import ClusterModel
import Limits
import Text

/// How a request is answered.
public enum GatewayRoute: Hashable, Sendable {
  /// One model answers without a plan. `nil` means any chat model.
  case direct(ModelID?)
  /// One model answers without a plan, because the gate found no benefit in a plan. `nil` means any
  /// chat model.
  case gated(ModelID?, reason: String)
  /// A plan of this pattern answers.
  case plan(String)
}

/// Chooses the route of a request.
public enum GatewayRouting {
  public static let fast = "tutti/fast"
  public static let auto = PatternName.auto.rawValue
  public static let patterns = PatternName.allCases.map(\.rawValue)
  /// Names in the list of models in addition to the hosts' models.
  public static let ownModels = [fast] + patterns

  /// - Parameters:
  ///   - rights: rights of the client's key. Errors suggest only models that the key may see.
  ///   - choices: the operator's models for requests that leave the model to Tutti.
  /// - Throws: a failure if the request does not fit its route, or if the model is unknown. The
  ///   error for an unknown model suggests similar names.
  public static func route(
    _ request: ClientRequest, table: HostTable, rights: KeyRights = KeyRights(),
    choices: ModelChoices = ModelChoices()
  ) throws(Failure) -> GatewayRoute {
    let name = request.model.name
    func unknown(_ model: String, _ param: String) -> Failure {
      let table = rights.reachable(table)
      return notFound(
        model, among: table.suggestedModels(where: rights.allows), rights, param: param)
    }
    if let pattern = PatternName(rawValue: name) {
      guard request.endpoint == .chatCompletions else {
        throw .invalid(
          "model", "is \(name), which serves only \(InferenceEndpoint.chatCompletions.rawValue)")
      }
      guard request.choices == 1 else {
        throw .invalid("n", "must be 1 with \(name): a plan gives one answer")
      }
      if let option = request.logprobsOption {
        throw .invalid(
          option,
          "is not supported with \(name): a plan's answer may be put together without a model; "
            + "use \(fast) or the name of a host's model")
      }
      try request.options.checkUse(by: name, pattern)
      for (index, member) in request.options.models.enumerated()
      where !table.offers(member) {
        throw unknown(member.name, "tutti.members[\(index)]")
      }
      let budget = TokenBudget.of(request, table: table, pools: rights.pools)
      try budget?.check()
      guard name == auto, let reason = directReason(request, budget, rights) else {
        return .plan(name)
      }
      if let member = request.options.models.first { return .gated(member, reason: reason) }
      return .gated(try choices.fastModel(in: table, rights), reason: reason)
    }
    if name.isEmpty {
      try request.options.checkUse(by: "an embedding model")
      return .direct(try onlyEmbedder(rights.reachable(table), rights))
    }
    if name == fast {
      guard request.endpoint != .embeddings else {
        throw .invalid(
          "model", "must name an embedding model: vectors of different models cannot be compared")
      }
      try request.options.checkUse(by: name)
      return .direct(try choices.fastModel(in: table, rights))
    }
    guard table.offers(request.model) else {
      throw unknown(name, "model")
    }
    try request.options.checkUse(by: name)
    return .direct(request.model)
  }

  /// The model of an embeddings request that names none. Hidden models and aliases do not count.
  private static func onlyEmbedder(
    _ table: HostTable, _ rights: KeyRights
  ) throws(Failure) -> ModelID {
    let offers = table.hosts.flatMap(\.models).filter {
      $0.isEmbedding && $0.upstream == nil && !$0.isHidden
    }
    let models = Set(rights.allowed(offers.map(\.id)))
    guard models.count == 1, let only = models.first else {
      let names = models.sorted().prefix(3).map {
        "`\($0.name.cut(toBytes: Limits.errorNameBytes.value))`"
      }
      throw .invalid(
        "model",
        "is missing; name an embedding model"
          + (names.isEmpty ? ": no host offers one" : " such as \(names.joined(separator: ", "))"))
    }
    return only
  }

  /// The direct gate. From the request alone, it recognises requests that gain nothing from a plan.
  /// A key that may not use plans gets direct answers only.
  /// - Returns: why no plan is made. `nil` means that the planner decides.
  private static func directReason(
    _ request: ClientRequest, _ budget: TokenBudget?, _ rights: KeyRights
  ) -> String? {
    // Documents need a plan, because only tasks read them.
    guard request.options.documents.isEmpty else { return nil }
    guard rights.allowsPlans else { return "the key does not permit plans" }
    return DirectGate.reason(
      query: request.query, maxTokens: request.maxTokens,
      budgetTokens: budget?.tokens, documents: request.options.documents.count,
      isStructured: request.isStructured)
  }

  /// The error for an unknown model name. It suggests similar names or the list of models.
  ///
  /// - Parameter models: models that the client may see.
  static func notFound(
    _ name: String, among models: [ModelID], _ rights: KeyRights, param: String
  ) -> Failure {
    let own = ownModels.filter(rights.allows(ownModel:))
    let shown = name.cut(toBytes: Limits.errorNameBytes.value)
    if ownModels.contains(name) {
      return .inRequest(
        .modelNotFound,
        "`\(shown)` is one of Tutti's own names, not a host's model; GET /v1/models lists both",
        param: param)
    }
    if name.hasPrefix(ModelID.ownPrefix) {
      let there = own.isEmpty ? "none" : own.map { "`\($0)`" }.joined(separator: ", ")
      return .inRequest(
        .modelNotFound, "`\(shown)` is not available in this version; available: \(there)",
        param: param)
    }
    let near = NearNames.near(name, among: own + models.map(\.name))
    let hint =
      near.isEmpty
      ? "GET /v1/models lists the available models"
      : "similar names: "
        + near.map { "`\($0.cut(toBytes: Limits.errorNameBytes.value))`" }.joined(separator: ", ")
    return .inRequest(
      .modelNotFound, "no host offers the model `\(shown)`; \(hint)", param: param)
  }
}
