import AgentCore
import ClusterModel

extension CriticAgent {
  /// Finds mistakes in an answer. The temperature is low, so that the same answer usually gets the
  /// same verdict.
  /// Calculations and sources are checked in code, because small models compute badly.
  static let role = Role(
    name: .critic,
    systemPrompt: """
      You are a fair and exacting reviewer. Name what is wrong, what is missing and what is good, \
      most important first, each with the reason and a correction. Be brief.
      """,
    profile: ParameterProfile(temperatureMilli: 200, topPMilli: 900, maxTokens: 512),
    structuredPrompt: """
      You are a fair and exacting reviewer. Check whether the answer is right, complete and fits \
      together. Ask for changes only where something is wrong or missing, and say what, briefly. A \
      mistake that is certain must be corrected.
      """,
    appetite: .able, checksInputs: true)
}
