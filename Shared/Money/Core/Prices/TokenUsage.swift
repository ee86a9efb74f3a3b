/// Tokens of one answer, or a sum of answers. No count is negative.
public struct TokenUsage: Hashable, Codable, Sendable {
  /// All prompt tokens, including the cached ones.
  public let prompt: Int64
  /// Prompt tokens that the host had in its cache. They are at most `prompt`.
  public let cached: Int64
  public let completion: Int64

  public static let zero = TokenUsage()

  private init() {
    prompt = 0
    cached = 0
    completion = 0
  }

  /// - Throws: `MoneyError.invalidTokens` if a count is negative, or more tokens are cached than
  ///   the prompt has.
  public init(prompt: Int64, cached: Int64 = 0, completion: Int64) throws(MoneyError) {
    guard prompt >= 0, (0...prompt).contains(cached), completion >= 0 else {
      throw .invalidTokens
    }
    self.prompt = prompt
    self.cached = cached
    self.completion = completion
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      prompt: members.decode(Int64.self, forKey: .prompt),
      cached: members.decodeIfPresent(Int64.self, forKey: .cached) ?? 0,
      completion: members.decode(Int64.self, forKey: .completion))
  }

  public func adding(_ other: TokenUsage) throws(MoneyError) -> TokenUsage {
    let (prompt, first) = prompt.addingReportingOverflow(other.prompt)
    let (completion, second) = completion.addingReportingOverflow(other.completion)
    guard !first, !second else { throw .overflow }
    // The sum of cached counts cannot overflow, because it is at most the sum of prompt counts.
    return try TokenUsage(
      prompt: prompt, cached: cached + other.cached, completion: completion)
  }
}
