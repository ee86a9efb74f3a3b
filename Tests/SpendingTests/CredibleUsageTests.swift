import ClusterModel
import InferenceCore
import Testing

@testable import GatewayCore

@Suite("Credible token counts")
struct CredibleUsageTests {
  private static func summary(_ prompt: Int, _ completion: Int) -> InferenceSummary {
    InferenceSummary(
      host: "h", model: "m", usage: Usage(promptTokens: prompt, completionTokens: completion),
      finishReason: "stop", firstToken: .zero, total: .seconds(1), attempts: [])
  }

  @Test("a host is not paid for more tokens than the request can have")
  func falseCounts() throws {
    let bounds = RequestBounds(
      try Sample.request(#""max_tokens":100,"n":2,"#), models: ["m"],
      table: Sample.hosts(context: 8_192))
    let claimed = Self.summary(Usage.mostTokens, Usage.mostTokens)
    #expect(bounds.credible(claimed, tokens: 40).usage.promptTokens == 8 * bounds.prompt)
    #expect(bounds.credible(claimed, tokens: 40).usage.completionTokens == 80)
    #expect(bounds.credible(claimed, tokens: nil).usage.completionTokens == 200)
    let vectors = RequestBounds(
      try Sample.request("", endpoint: .embeddings), models: ["m"],
      table: Sample.hosts(context: 512))
    #expect(vectors.credible(claimed, tokens: nil).usage.completionTokens == 0)
  }

  @Test("counts within the request's limits stay")
  func possibleCounts() throws {
    let bounds = RequestBounds(
      try Sample.request(#""max_tokens":100,"#), models: ["m"],
      table: Sample.hosts(context: 8_192))
    let counted = Self.summary(2 * bounds.prompt, 100)
    #expect(bounds.credible(counted, tokens: 100) == counted)
  }
}
