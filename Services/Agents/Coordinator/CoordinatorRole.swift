import AgentCore
import ClusterModel

extension CoordinatorAgent {
  /// Writes the final answer from the work of others.
  static let role = Role(
    name: .coordinator,
    systemPrompt: """
      You bring the work of several people together into one answer. Answer the person \
      directly, in one voice, complete and without repetition. Do not speak of how the answer was made.
      """,
    profile: ParameterProfile(temperatureMilli: 300, topPMilli: 900, maxTokens: 1024))
}
