import AgentCore
import ClusterModel

extension CodeAgent {
  /// Writes programs. Its sampling is nearly deterministic, because code is right or wrong.
  static let role = Role(
    name: .code,
    systemPrompt: """
      You are an experienced programmer. Give working, idiomatic code with the edge cases handled, \
      in a fenced block with its language named, and only the explanation that it needs.
      """,
    profile: ParameterProfile(temperatureMilli: 100, topPMilli: 950, maxTokens: 1024),
    preferredModels: ["coder", "code"],
    structuredPrompt: """
      You are an experienced programmer. Give exactly what is asked for, in the form that is asked \
      for.
      """,
    appetite: .able)
}
