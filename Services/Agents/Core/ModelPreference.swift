public import ClusterModel

/// How much a role gains by a larger model, against what it loses by waiting for it.
public enum ModelAppetite: String, Hashable, Sendable {
  /// Its mistakes are everybody's: it plans, judges or writes what the client reads.
  case able
  case balanced
  /// Many small questions, each with one right answer.
  case quick
}

/// A model that some ready host offers, with what is known of it.
public struct OfferedModel: Hashable, Sendable {
  public var id: ModelID
  /// Of the fastest host that offers it, tokens a second; nil: nobody has measured one.
  public var tokensPerSecond: Double?
  /// Hosts that offer it and are not busy with other tasks of the plan.
  public var freeHosts: Int

  public init(id: ModelID, tokensPerSecond: Double? = nil, freeHosts: Int = 1) {
    self.id = id
    self.tokensPerSecond = tokensPerSecond
    self.freeHosts = freeHosts
  }
}

/// Chooses the model for a task, and says why: the same facts give the same choice.
public enum ModelPreference {
  public struct Choice: Equatable, Sendable {
    /// nil: any chat model; whoever picks the host decides.
    public var model: ModelID?
    /// When no host answers with it, before anything was said: these, in this order. nil: any chat model.
    public var alternatives: [ModelID?] = []
    /// For the trace.
    public var reason: String

    public init(model: ModelID?, reason: String) {
      self.model = model
      self.reason = reason
    }
  }

  /// - Parameters:
  ///   - offered: chat models of the hosts that may be asked, each once.
  ///   - remaining: until the task must be done.
  public static func choose(
    for task: PlanTask, role: Role, among offered: [OfferedModel], within remaining: Duration?
  ) -> Choice {
    if let model = task.model {
      var choice = Choice(model: model, reason: "the plan names it")
      choice.alternatives = task.alternatives
      return choice
    }
    guard offered.count > 1 else {
      return Choice(model: nil, reason: offered.isEmpty ? "none is offered" : "the only one there")
    }
    let tokens = task.maxTokens ?? role.profile.maxTokens
    let inTime = offered.filter { !isTooSlow($0, tokens, remaining) }
    let pool = inTime.isEmpty ? offered : inTime
    for wanted in role.preferredModels {
      let matches = pool.filter { $0.id.name.lowercased().contains(wanted.lowercased()) }
      if let best = best(of: matches, appetite(of: role, for: task)) {
        return Choice(model: best.id, reason: "\"\(wanted)\" suits a \(role.name.rawValue) agent")
      }
    }
    // A base model does not answer, one for code or pictures answers worse than its size says.
    let general = pool.filter { plainTags($0).isEmpty }
    return compare(general.isEmpty ? pool : general, appetite(of: role, for: task))
  }

  private static func plainTags(_ model: OfferedModel) -> Set<ModelName.Tag> {
    ModelName(model.id).tags.subtracting([.reasoning])
  }

  /// What the task is like says more than whose it is.
  private static func appetite(of role: Role, for task: PlanTask) -> ModelAppetite {
    if case .choice = task.contract { return .quick }
    switch task.profile {
    case .extraction: return .quick
    case .code, .reasoning: return .able
    case .factual, .creative, nil: return role.appetite
    }
  }

  private static func isTooSlow(
    _ model: OfferedModel, _ tokens: Int, _ remaining: Duration?
  ) -> Bool {
    guard let remaining, let rate = model.tokensPerSecond, rate > 0 else { return false }
    return Double(tokens) / rate > remaining.inSeconds
  }

  // MARK: - Comparing

  private static func compare(_ models: [OfferedModel], _ appetite: ModelAppetite) -> Choice {
    let tellApart = models.contains {
      ModelName($0.id).sizeMillions != nil || $0.tokensPerSecond != nil
    }
    guard models.count > 1, tellApart, let best = best(of: models, appetite) else {
      return models.count == 1
        ? Choice(model: models[0].id, reason: "the only general one")
        : Choice(model: nil, reason: "nothing tells them apart")
    }
    var reason = "\(appetite.rawValue), of \(models.count)"
    if let size = ModelName(best.id).sizeMillions { reason += ", \(ModelName.shown(size))" }
    if let rate = best.tokensPerSecond, rate.isFinite {
      reason += ", \(Int(min(max(rate, 0), 1e9).rounded())) tokens/s"
    }
    if best.freeHosts == 0 { reason += ", its hosts are busy" }
    return Choice(model: best.id, reason: reason)
  }

  private static func best(
    of models: [OfferedModel], _ appetite: ModelAppetite
  ) -> OfferedModel? {
    // What is not known counts as the middle of what is.
    let size = middle(models.compactMap { ModelName($0.id).sizeMillions.map { Double($0) } })
    let rate = middle(models.compactMap(\.tokensPerSecond))
    func score(_ model: OfferedModel) -> Double {
      let size = ModelName(model.id).sizeMillions.map { Double($0) } ?? size
      let rate = max(model.tokensPerSecond ?? rate, 0.1)
      let (sizeWeight, rateWeight) = weights(appetite)
      // Waiting for a free host costs about as much as half the speed.
      return sizeWeight * BinaryLogarithm.of(size) + rateWeight * BinaryLogarithm.of(rate)
        - (model.freeHosts == 0 ? max(rateWeight, 0.5) : 0)
    }
    return models.sorted { $0.id < $1.id }.max { score($0) < score($1) }
  }

  /// Of a doubling of the size, and of the speed. A model of twice the size makes somewhat fewer
  /// mistakes at half the speed: `able` takes that, `balanced` takes it at two thirds, `quick` never.
  private static func weights(_ appetite: ModelAppetite) -> (Double, Double) {
    switch appetite {
    case .able: (1, 0.4)
    case .balanced: (0.6, 1)
    case .quick: (0.1, 1)
    }
  }

  private static func middle(_ values: [Double]) -> Double {
    values.isEmpty ? 1 : max(values.sorted()[values.count / 2], 0.1)
  }
}
