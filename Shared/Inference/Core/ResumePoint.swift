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
  /// Text of the client after `prefix` that the host is shown and must repeat before it goes on, if it
  /// is asked in words. Any other host is given `prefix` alone, and says that text again by itself.
  public var anchor: [UInt8]

  public init(prefix: [UInt8] = [], spentTokens: Int = 0, anchor: [UInt8] = []) {
    self.prefix = prefix
    self.spentTokens = spentTokens
    self.anchor = anchor
  }

  /// For a host that is asked to resume by an instruction.
  var inWords: ResumePoint {
    ResumePoint(prefix: prefix + anchor, spentTokens: spentTokens, anchor: anchor)
  }

  /// Without words that the host is shown.
  var withoutAnchor: ResumePoint { ResumePoint(prefix: prefix, spentTokens: spentTokens) }
}
