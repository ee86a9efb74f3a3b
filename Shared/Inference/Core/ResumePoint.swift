/// Where an interrupted answer goes on.
public struct ResumePoint: Hashable, Sendable {
  /// UTF-8 text of the first choice that the next host continues: up to the last safe boundary,
  /// without the white space before the cut.
  ///
  /// Empty: the answer is asked anew from its start, because nothing was said yet, or because it
  /// holds tool calls or reasoning, which no backend continues. What the client has must then come
  /// again, and is dropped.
  public var prefix: [UInt8]
  /// Completion tokens in `prefix`, counted or estimated: the next host's `max_tokens` is lowered by
  /// it.
  public var spentTokens: Int

  public init(prefix: [UInt8] = [], spentTokens: Int = 0) {
    self.prefix = prefix
    self.spentTokens = spentTokens
  }
}
