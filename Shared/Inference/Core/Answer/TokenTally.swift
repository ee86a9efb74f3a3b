import Limits
import Text

/// Counts the completion tokens of one host, and estimates tokens that the host does not report.
///
/// If the host reports a count, the count is used. Some hosts report it in every chunk. After the
/// last report, each chunk with text counts as one token, because nearly all hosts send one token
/// per chunk. If chunks are longer than tokens can be, four bytes count as one token.
///
/// The count is too low if a host sends two or three short tokens per chunk and reports no count.
public struct TokenTally: Sendable {
  /// Number of bytes per token that no vocabulary exceeds on average. A token has 4 to 5 bytes in
  /// prose, fewer in code and JSON, and 3 for a Chinese character. One token may have more bytes,
  /// for example the token of a long word.
  static let longestAverage = 8

  /// Maximum tokens without text that a choice has in addition to one per chunk. Such tokens end a
  /// text or delimit tool calls and reasoning.
  private static let markTokens = 16

  /// Number of chunks with text. `bytes` has the bytes of all their texts.
  private(set) var chunks = 0
  private(set) var bytes = 0
  private var reported = 0
  private var reportedChunks = 0
  private var reportedBytes = 0

  public init() {}

  /// Counts a chunk that adds this many bytes of text.
  public mutating func take(bytes more: Int) {
    chunks += 1
    bytes += more
  }

  /// Records the host's own count of all tokens so far.
  mutating func report(_ tokens: Int) {
    reported = tokens
    reportedChunks = chunks
    reportedBytes = bytes
  }

  /// Maximum tokens of an answer.
  ///
  /// Each choice has at most one token per byte, one token without text per chunk, and `markTokens`
  /// more without text.
  static func most(bytes: Int, chunks: Int, choices: Int) -> Int {
    bytes.addingCapped(chunks).addingCapped(markTokens).multipliedCapped(by: max(1, choices))
  }

  /// Whether the host's own count includes all text so far.
  var isReported: Bool { reportedChunks == chunks }

  public var total: Int {
    let (chunks, bytes) = (chunks - reportedChunks, bytes - reportedBytes)
    return reported
      + (bytes <= Self.longestAverage * chunks ? chunks : TokenEstimate.tokens(bytes: bytes))
  }

  /// Total tokens, minus the tokens of repeated text that was dropped and of the last chunks that
  /// were forgotten.
  func total(
    withoutBytes dropped: Int, orLastChunks lastChunks: Int = 0, ofBytes lastBytes: Int = 0
  ) -> Int {
    // The end-of-text token has no text, so there may be one more token.
    let isOneAChunk = total <= chunks + chunks / 8 + 1
    let last = isOneAChunk ? lastChunks : share(of: lastBytes)
    return max(total - share(of: dropped) - last, 0)
  }

  private func share(of part: Int) -> Int {
    guard bytes > 0 else { return 0 }
    return total.multipliedCapped(by: min(part, bytes)).addingCapped(bytes / 2) / bytes
  }
}
