public import ClusterModel

/// What makes an agent the agent it is.
public struct Role: Equatable, Sendable {
  public var name: AgentRole
  /// Said to the model before the conversation. Short: a small model follows short prompts.
  public var systemPrompt: String
  public var profile: ParameterProfile
  /// Parts of model names, best first, that this role would rather use; none: any chat model.
  public var preferredModels: [String]

  public init(
    name: AgentRole, systemPrompt: String, profile: ParameterProfile,
    preferredModels: [String] = []
  ) {
    self.name = name
    self.systemPrompt = systemPrompt
    self.profile = profile
    self.preferredModels = preferredModels
  }

  /// The model for a task: the task's own, else the first that fits the role's preference, else nil,
  /// which leaves the choice to whoever picks the host.
  public func model(for task: PlanTask, among ready: [ModelID]) -> ModelID? {
    if let model = task.model { return model }
    for wanted in preferredModels {
      let wanted = wanted.lowercased()
      if let match = ready.first(where: { $0.name.lowercased().contains(wanted) }) { return match }
    }
    return nil
  }
}

/// Sampling parameters that a role uses where neither the client nor the task says otherwise.
public struct ParameterProfile: Equatable, Sendable {
  /// In thousandths, so that a profile compares and prints exactly.
  public var temperatureMilli: Int
  public var topPMilli: Int
  /// Of an answer that nobody limited.
  public var maxTokens: Int

  public init(temperatureMilli: Int, topPMilli: Int, maxTokens: Int) {
    self.temperatureMilli = temperatureMilli
    self.topPMilli = topPMilli
    self.maxTokens = maxTokens
  }
}
