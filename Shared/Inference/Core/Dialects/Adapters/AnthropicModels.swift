import ClusterModel
import Text

/// Facts about Anthropic models, looked up by model name.
enum AnthropicModels {
  /// Maximum answer tokens for a request that sets no limit.
  ///
  /// The API requires a limit. A client that sets none wants the whole answer, so the limit is as
  /// high as the model allows.
  ///
  /// Source: https://platform.claude.com/docs/en/about-claude/models/overview
  static func mostTokens(of model: ModelID, at host: Host, _ promptBytes: Int) -> Int {
    let offer = host.models.first { $0.id == model }
    if let reported = offer.flatMap(limit) { return reported }
    let name = model.name.lowercased()
    let known = table.first { entry in entry.names.contains { name.contains($0) } }?.tokens
    if let known { return known }
    // Some servers count the prompt and the answer together against the context.
    guard !name.contains("claude"), let context = offer?.contextTokens else { return 64_000 }
    return min(64_000, max(leastTokens, context - promptBytes / bytesPerToken))
  }

  private static let leastTokens = 1_024
  /// Lower than in most prompts, so that the prompt is overestimated and the answer fits into the
  /// context.
  private static let bytesPerToken = 2

  private static let table: [(names: [String], tokens: Int)] = [
    (["claude-instant", "claude-2", "claude-3-opus", "claude-3-sonnet", "claude-3-haiku"], 4_096),
    (["claude-3-5"], 8_192),
    (["claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2025"], 32_000),
  ]

  /// Maximum answer tokens in the host's model list. `nil` means that the list has no limit.
  private static func limit(_ offer: ModelOffer) -> Int? {
    guard !offer.facts.isEmpty,
      let facts = try? JSONDocument(validating: Array("{\(offer.facts)}".utf8))
    else { return nil }
    return facts.values(["max_tokens", "max_output_tokens"], in: facts.root).lazy
      .compactMap { $0.flatMap(facts.integer) }.first { $0 > 0 }
  }

  /// Whether the model accepts an assistant message at the end. Newer models, from 4.6 on, answer
  /// such a request with an error. The result is `true` only for models that are known to accept
  /// it.
  static func takesPrefix(_ model: ModelID) -> Bool {
    let name = model.name.lowercased()
    let old = [
      "claude-instant", "claude-2", "claude-3", "claude-opus-4-2025", "claude-sonnet-4-2025",
    ]
    return old.contains(where: name.hasPrefix)
      || ["-4-0", "-4-1", "-4-5"].contains { name.hasSuffix($0) || name.contains($0 + "-") }
  }
}
