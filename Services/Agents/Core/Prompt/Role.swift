public import ClusterModel

/// The prompts, sampling and model preference of an agent.
public struct Role: Equatable, Sendable {
  public var name: AgentRole
  /// System prompt before the conversation. Short, because small models follow short prompts.
  var systemPrompt: String
  public var profile: ParameterProfile
  /// Parts of model names that this role prefers, best first; empty means any chat model.
  public var preferredModels: [String]
  /// Replaces `systemPrompt` if the task wants JSON or one word. `nil` means the same prompt.
  var structuredPrompt: String?
  /// Which model the role prefers if several fit.
  var appetite: ModelAppetite
  /// Whether the role cites the documents that it used. Its claims are then checked against them.
  public var citesSources: Bool
  /// Whether the role judges its inputs. Mistakes in them that are found without a model are then
  /// added to the prompt.
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

/// Sampling parameters of a role if neither the client nor the task sets them.
public struct ParameterProfile: Equatable, Sendable {
  /// In thousandths, so that profiles compare and print exactly.
  var temperatureMilli: Int
  var topPMilli: Int
  /// Maximum tokens of an output without another limit. It does not apply to a direct answer.
  public var maxTokens: Int

  public init(temperatureMilli: Int, topPMilli: Int, maxTokens: Int) {
    self.temperatureMilli = temperatureMilli
    self.topPMilli = topPMilli
    self.maxTokens = maxTokens
  }
}
