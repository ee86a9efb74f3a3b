import Limits

/// Tokens of what one host has said, as well as they can be known.
///
/// What the host has reported counts: some do so with every chunk. Behind the last report they are
/// counted here: a chunk with text is a token, as nearly all hosts send them, unless the chunks are
/// longer than tokens can be; then four bytes are one. It can err where a host sends two or three
/// short tokens in a chunk and reports none: it then counts too few.
struct TokenTally: Sendable {
  /// No vocabulary has longer tokens on average: prose has 4 to 5 bytes a token, code and JSON fewer,
  /// a sign of Chinese 3. One word may well be longer.
  static let longestAverage = 8
  /// Of English prose. Fewer for most else, so that rather too many tokens are counted than too few.
  static let bytesPerToken = 4

  /// With text, and bytes of all their texts.
  private(set) var chunks = 0
  private(set) var bytes = 0
  private var reported = 0
  private var reportedChunks = 0
  private var reportedBytes = 0

  /// A chunk that adds so many bytes of text.
  mutating func take(bytes more: Int) {
    chunks += 1
    bytes += more
  }

  /// The host's own count of all it has said up to now.
  mutating func report(_ tokens: Int) {
    reported = tokens
    reportedChunks = chunks
    reportedBytes = bytes
  }

  /// Nothing came behind the host's own count.
  var isReported: Bool { reportedChunks == chunks }

  var total: Int {
    let (chunks, bytes) = (chunks - reportedChunks, bytes - reportedBytes)
    return reported + (bytes <= Self.longestAverage * chunks ? chunks : Self.tokens(bytes))
  }

  /// Without what was said again and dropped, and without its last chunks, which were forgotten.
  func total(
    withoutBytes dropped: Int, orLastChunks lastChunks: Int = 0, ofBytes lastBytes: Int = 0
  ) -> Int {
    // An end mark is a token without text.
    let isOneAChunk = total <= chunks + chunks / 8 + 1
    let last = isOneAChunk ? lastChunks : share(of: lastBytes)
    return max(total - share(of: dropped) - last, 0)
  }

  private func share(of part: Int) -> Int {
    guard bytes > 0 else { return 0 }
    return total.multipliedCapped(by: min(part, bytes)).addingCapped(bytes / 2) / bytes
  }

  /// Of a text that nobody has counted.
  static func tokens(_ bytes: Int) -> Int { (bytes + bytesPerToken - 1) / bytesPerToken }
}
