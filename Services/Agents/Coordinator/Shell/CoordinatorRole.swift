import AgentCore
import ClusterModel

extension CoordinatorAgent {
  /// Chooses the specialists for a question, and writes the final answer from their work. All other
  /// tasks depend on its decisions, so it needs an able model.
  static let role = Role(
    name: .coordinator,
    systemPrompt: """
      You bring the work of several people together into one answer. Answer the person \
      directly, in one voice, complete and without repetition. Do not speak of how the answer was made.
      """,
    profile: ParameterProfile(temperatureMilli: 300, topPMilli: 900, maxTokens: 1024),
    structuredPrompt: """
      You plan the work of several people. Look at what is asked, decide what has to be done, and \
      give each part to the one who is best at it. Use as few as will do. Do not answer the \
      question yourself.
      """,
    appetite: .able)
}
