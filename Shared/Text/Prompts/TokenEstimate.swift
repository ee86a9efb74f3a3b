/// Estimates the tokens of prompts and texts that were not tokenised.
public enum TokenEstimate {
  /// Bytes per token of English prose, at the lower end, so that estimates of prose err on the high
  /// side.
  public static let bytesPerToken = 4
  /// Maximum tokens of a picture or a sound at the common sizes: 1,105 at OpenAI, some 1,600 at
  /// Anthropic. With a lower estimate, a prompt could exceed its host's context or its budget.
  public static let mediaTokens = 1_600
  /// Tokens of a chat template, often with a system prompt: 20 in the models that were examined,
  /// plus a margin.
  public static let templateTokens = 32
  /// Prompt tokens of a task in addition to its own text: the role's system prompt and the chat
  /// template. The examined models need 20 tokens for each. The rest is margin.
  public static let callTokens = 48
  /// Minimum completion tokens of a plan's tasks. When the plan runs, its sink may get fewer. A
  /// task that may write less is hardly worth a request.
  public static let leastTokens = 16

  /// Estimated tokens of a text with this many bytes, rounded up.
  public static func tokens(bytes: Int) -> Int {
    bytes / bytesPerToken + (bytes % bytesPerToken > 0 ? 1 : 0)
  }

  /// Estimated tokens of a text, rounded up.
  public static func tokens(of text: String) -> Int { tokens(bytes: text.utf8.count) }
}
