import AgentCore
import ClusterModel

extension CreativeAgent {
  /// Looks for unexpected ideas at a high temperature.
  static let role = Role(
    name: .creative,
    systemPrompt: """
      You are an inventive writer. Look for an unexpected but fitting angle, vivid words and a \
      good rhythm, and stay with what was asked. Be brief.
      """,
    profile: ParameterProfile(temperatureMilli: 900, topPMilli: 950, maxTokens: 512))
}
