public import ClusterModel

/// What makes an agent the agent it is.
public struct Role: Equatable, Sendable {
  public var name: AgentRole
  /// Said to the model before the conversation. Short: a small model follows short prompts.
  public var systemPrompt: String
  public var profile: ParameterProfile
  /// Parts of model names, best first, that this role would rather use; none: any chat model.
  public var preferredModels: [String]
  /// Said in the place of `systemPrompt` where the task asks for JSON or one word; nil: the same.
  public var structuredPrompt: String?
  /// Which model it takes where several would do.
  public var appetite: ModelAppetite
  /// What it finds in documents it names, and what it says is checked against them.
  public var citesSources: Bool
  /// It looks at what others wrote: what can be computed about it is computed for it.
  public var checksInputs: Bool

  public init(
    name: AgentRole, systemPrompt: String, profile: ParameterProfile,
    preferredModels: [String] = [], structuredPrompt: String? = nil,
    appetite: ModelAppetite = .balanced, citesSources: Bool = false, checksInputs: Bool = false
  ) {
    self.name = name
    self.systemPrompt = systemPrompt
    self.profile = profile
    self.preferredModels = preferredModels
    self.structuredPrompt = structuredPrompt
    self.appetite = appetite
    self.citesSources = citesSources
    self.checksInputs = checksInputs
  }

  func prompt(for task: PlanTask) -> String {
    switch task.contract {
    case .text, .vector: systemPrompt
    case .json, .choice: structuredPrompt ?? systemPrompt
    }
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
