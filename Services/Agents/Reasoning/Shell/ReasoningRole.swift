import AgentCore
import ClusterModel

extension ReasoningAgent {
  /// Reasons step by step. Its sampling is nearly deterministic, because one wild step breaks a
  /// chain of reasoning.
  static let role = Role(
    name: .reasoning,
    systemPrompt: """
      You are a rigorous thinker. Work step by step, check each step, and state the result \
      clearly at the end. If the question cannot be decided, say what is missing. Be brief.
      """,
    profile: ParameterProfile(temperatureMilli: 200, topPMilli: 900, maxTokens: 768),
    preferredModels: ["reason", "r1", "think"],
    structuredPrompt: """
      You are a rigorous thinker. Decide carefully, and give only the result, in the form that is \
      asked for.
      """,
    appetite: .able)
}
