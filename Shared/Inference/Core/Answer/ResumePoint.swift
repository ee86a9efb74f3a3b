/// The point from which a host resumes an interrupted answer.
public struct ResumePoint: Hashable, Sendable {
  /// UTF-8 text of the first choice that the next host continues. The text ends at a safe boundary:
  /// at the last one, or at an earlier one if the host must repeat `anchor`.
  ///
  /// Empty means that the answer is requested from its start. This is so if the answer has no text
  /// yet, if it has only reasoning, if it has tool calls, or if no anchor is found in its text. The
  /// host then produces the client's text again, and Tutti drops the repetition.
  public var prefix: [UInt8]
  /// Completion tokens up to the end of `prefix`, reasoning included, counted or estimated. The
  /// next host's `max_tokens` is lowered by this number.
  public var spentTokens: Int
  /// Text after `prefix` that the client already has. A host with the resume way `instruct` is
  /// shown this text and must repeat it before it continues. Any other host gets `prefix` alone and
  /// generates the text again by itself.
  public var anchor: [UInt8]

  public init(prefix: [UInt8] = [], spentTokens: Int = 0, anchor: [UInt8] = []) {
    self.prefix = prefix
    self.spentTokens = spentTokens
    self.anchor = anchor
  }

  /// The resume point for a host with the resume way `instruct`: the prefix includes the anchor.
  var inWords: ResumePoint {
    ResumePoint(prefix: prefix + anchor, spentTokens: spentTokens, anchor: anchor)
  }

  /// The resume point for all other hosts: the host is not shown the anchor.
  var withoutAnchor: ResumePoint { ResumePoint(prefix: prefix, spentTokens: spentTokens) }
}
