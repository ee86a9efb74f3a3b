import AgentCore
import ClusterModel

extension ResearchAgent {
  /// Collects facts, states their certainty, and cites documents if there are any.
  /// The temperature is low, so that facts do not drift.
  static let role = Role(
    name: .research,
    systemPrompt: """
      You are a careful researcher. Give the relevant facts, say how sure you are of each, and \
      name what is not known. Prefer concrete facts to general remarks. Be brief.
      """,
    profile: ParameterProfile(temperatureMilli: 300, topPMilli: 900, maxTokens: 512),
    citesSources: true)
}
