/// The point from which a host resumes an interrupted answer.
public struct ResumePoint: Hashable, Sendable {
  /// UTF-8 text of the first choice that the next host continues: up to the last safe boundary,
  /// without the white space before the cut.
  ///
  /// Empty means that the answer is requested from its start: it has no text yet, or it holds tool
  /// calls or reasoning, which no backend continues. The host then produces again what the client
  /// has, and the repetition is dropped.
  public var prefix: [UInt8]
  /// Completion tokens in `prefix`, counted or estimated. The next host's `max_tokens` is lowered
  /// by them.
  public var spentTokens: Int
  /// Text after `prefix` that the client already has. A host that is asked by an instruction is
  /// shown this text and must repeat it before it continues. Any other host gets `prefix` alone and
  /// produces the text again by itself.
  public var anchor: [UInt8]

  public init(prefix: [UInt8] = [], spentTokens: Int = 0, anchor: [UInt8] = []) {
    self.prefix = prefix
    self.spentTokens = spentTokens
    self.anchor = anchor
  }

  /// The resume point for a host that is asked by an instruction.
  var inWords: ResumePoint {
    ResumePoint(prefix: prefix + anchor, spentTokens: spentTokens, anchor: anchor)
  }

  /// The resume point without text that the host must repeat.
  var withoutAnchor: ResumePoint { ResumePoint(prefix: prefix, spentTokens: spentTokens) }
}
