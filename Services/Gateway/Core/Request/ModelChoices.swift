public import ClusterModel

/// The operator's choice of models for requests that leave the model to Tutti.
public struct ModelChoices: Hashable, Sendable {
  /// The model of requests that name none.
  public var requests: ModelID
  /// The model that answers `tutti/fast`, and `tutti/auto` if it makes no plan. `nil` means any chat
  /// model.
  public var fast: ModelID?
  /// The model or alias from which plans choose. `nil` means any chat model.
  public var plans: ModelID?

  /// - Parameters:
  ///   - fast: `RuntimeSetting.anyModel` means any chat model.
  ///   - plans: `RuntimeSetting.anyModel` means any chat model.
  public init(
    requests: String = GatewayRouting.fast, fast: String = RuntimeSetting.anyModel,
    plans: String = RuntimeSetting.anyModel
  ) {
    self.requests = ModelID(requests)
    self.fast = Self.model(fast)
    self.plans = Self.model(plans)
  }

  private static func model(_ name: String) -> ModelID? {
    name == RuntimeSetting.anyModel ? nil : ModelID(name)
  }

  /// The choices with the values that admins set at run time.
  public func overridden(by overrides: RuntimeOverrides) -> ModelChoices {
    var choices = self
    if let name = overrides.name(.gatewayDefaultModel) { choices.requests = ModelID(name) }
    if let name = overrides.name(.gatewayFastModel) { choices.fast = Self.model(name) }
    if let name = overrides.name(.gatewayPlanModels) { choices.plans = Self.model(name) }
    return choices
  }

  /// The model of a request to `tutti/fast`.
  ///
  /// - Parameter rights: if the key does not allow the operator's model, or no host of its pools
  ///   offers it, one of the key's own models answers, as without a choice.
  /// - Throws: `noEligibleHost` if no host offers the model.
  func fastModel(in table: HostTable, _ rights: KeyRights) throws(Failure) -> ModelID? {
    guard let fast, rights.allows(fast) else { return nil }
    guard table.offers(fast) else { throw Self.notOffered(fast, "tutti/fast is") }
    return rights.reaches(fast, in: table) ? fast : nil
  }

  /// The models from which a plan chooses, the best one first. `nil` means all that are available.
  ///
  /// - Parameters:
  ///   - available: chat models that hosts serve now and that the key may use.
  ///   - rights: if the key allows none of the operator's models, or no host of its pools offers
  ///     one, all available ones may be used.
  /// - Throws: `noEligibleHost` if none of the models is available.
  public func planModels(
    from available: [ModelID], in table: HostTable, _ rights: KeyRights
  ) throws(Failure) -> [ModelID]? {
    guard let plans else { return nil }
    guard rights.reaches(plans, in: table) || !table.offers(plans) else { return nil }
    let wanted = rights.allowed(table.models(of: plans))
    guard !wanted.isEmpty else { return nil }
    let models = wanted.filter(available.contains)
    guard !models.isEmpty else { throw Self.notOffered(plans, "the models of plans are") }
    return models
  }

  /// - Parameter subject: the setting in words, with its verb.
  private static func notOffered(_ model: ModelID, _ subject: String) -> Failure {
    Failure(
      .noEligibleHost,
      "\(subject) set to `\(model)`, which no host offers now; an admin can change this with "
        + "`tutti models default`")
  }
}

extension HostTable {
  /// The hosts' models for which an alias stands, the best rank first. A name that is no alias
  /// stands for itself.
  public func models(of name: ModelID) -> [ModelID] {
    var ranks: [ModelID: Int] = [:]
    for host in hosts {
      for offer in host.models where offer.id == name {
        let model = offer.upstream ?? name
        ranks[model] = min(ranks[model] ?? offer.rank, offer.rank)
      }
    }
    guard !ranks.isEmpty else { return [name] }
    return ranks.sorted { ($0.value, $0.key) < ($1.value, $1.key) }.map(\.key)
  }
}
