public import ClusterModel

/// How a role weighs a larger model against the wait for it.
public enum ModelAppetite: String, Hashable, Sendable {
  /// For roles whose mistakes affect all other tasks: planning, judging, writing the answer.
  case able
  case balanced
  /// For many small questions with one right answer each.
  case quick
}

/// A model that a ready host offers, with its known properties.
public struct OfferedModel: Hashable, Sendable {
  public var id: ModelID
  /// Tokens a second of the fastest host that offers the model. `nil` means not measured.
  public var tokensPerSecond: Double?
  /// Hosts that offer the model, have a free slot, and run no other task of the plan.
  public var freeHosts: Int

  public init(id: ModelID, tokensPerSecond: Double? = nil, freeHosts: Int = 1) {
    self.id = id
    self.tokensPerSecond = tokensPerSecond
    self.freeHosts = freeHosts
  }
}

/// Chooses the model for a task and explains why. The same facts give the same choice.
public enum ModelPreference {
  public struct Choice: Equatable, Sendable {
    /// The chosen model. `nil` means any chat model.
    public var model: ModelID?
    /// Models to try in order if no host answers with `model`. `nil` means any chat model.
    public var alternatives: [ModelID?] = []
    /// For the trace.
    public var reason: String

    public init(model: ModelID?, reason: String) {
      self.model = model
      self.reason = reason
    }

    /// Returns the choice with models in place of "any chat model". For the latter, `infer()` uses
    /// any model of the hosts, also those that the task may not use.
    ///
    /// - Parameter offered: the models that the task may use. Those with free hosts come first.
    /// - Throws: `noEligibleHost` if there is none.
    public func naming(_ offered: [OfferedModel]) throws(Failure) -> Choice {
      guard model == nil else { return self }
      let free = offered.filter { $0.freeHosts > 0 }.map(\.id)
      let models = (free + offered.filter { $0.freeHosts == 0 }.map(\.id))
        .prefix(1 + Self.maximumAlternatives)
      guard let first = models.first else {
        throw Failure(
          .noEligibleHost, "no host that may be asked offers a chat model that the plan may use")
      }
      var choice = self
      choice.model = first
      choice.alternatives = models.dropFirst().map(Optional.some)
      return choice
    }

    /// Further models that are tried if the plan names none. Each takes the time of a failure.
    private static let maximumAlternatives = 4
  }

  /// - Parameters:
  ///   - offered: chat models of the hosts that may be asked, without duplicates.
  ///   - remaining: time until the task's deadline.
  public static func choose(
    for task: PlanTask, role: Role, among offered: [OfferedModel], within remaining: Duration?
  ) -> Choice {
    if let model = task.model {
      var choice = Choice(model: model, reason: "the plan names it")
      choice.alternatives = task.alternatives
      return choice
    }
    guard offered.count > 1 else {
      return Choice(
        model: nil, reason: offered.isEmpty ? "none is offered" : "the only one offered")
    }
    let tokens = task.maxTokens ?? role.profile.maxTokens
    let inTime = offered.filter { !isTooSlow($0, tokens, remaining) }
    let pool = inTime.isEmpty ? offered : inTime
    for preferred in role.preferredModels {
      let matches = pool.filter { $0.id.name.lowercased().contains(preferred.lowercased()) }
      if let best = best(of: matches, appetite(of: role, for: task)) {
        return Choice(
          model: best.id, reason: "\"\(preferred)\" suits a \(role.name.rawValue) agent")
      }
    }
    // A base model follows no instructions. Code and vision models answer general questions worse
    // than other models of their size.
    let general = pool.filter { plainTags($0).isEmpty }
    return compare(general.isEmpty ? pool : general, appetite(of: role, for: task))
  }

  private static func plainTags(_ model: OfferedModel) -> Set<ModelName.Tag> {
    ModelName(model.id).tags.subtracting([.reasoning])
  }

  /// The task's kind matters more than the role.
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
    let areComparable = models.contains {
      ModelName($0.id).sizeMillions != nil || $0.tokensPerSecond != nil
    }
    guard models.count > 1, areComparable, let best = best(of: models, appetite) else {
      return models.count == 1
        ? Choice(model: models[0].id, reason: "the only general one")
        : Choice(model: nil, reason: "no size or speed is known")
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
    // An unknown size or rate counts as the median of the known ones.
    let size = middle(models.compactMap { ModelName($0.id).sizeMillions.map { Double($0) } })
    let rate = middle(models.compactMap(\.tokensPerSecond))
    func score(_ model: OfferedModel) -> Double {
      let size = ModelName(model.id).sizeMillions.map { Double($0) } ?? size
      let rate = max(model.tokensPerSecond ?? rate, 0.1)
      let (sizeWeight, rateWeight) = weights(appetite)
      // A model whose hosts are all busy loses about as much score as a model of half the speed.
      return sizeWeight * BinaryLogarithm.of(size) + rateWeight * BinaryLogarithm.of(rate)
        - (model.freeHosts == 0 ? max(rateWeight, 0.5) : 0)
    }
    return models.sorted { $0.id < $1.id }.max { score($0) < score($1) }
  }

  /// Weights of a doubling of the size, and of the speed.
  /// A model of twice the size makes somewhat fewer mistakes at half the speed. For twice the size,
  /// `able` accepts about a fifth of the speed, `balanced` about two thirds, and `quick` almost no
  /// loss of speed.
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
