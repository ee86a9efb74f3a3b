/// Finds stop sequences in streamed text, on average in constant time per byte and sequence.
///
/// Uses one Knuth-Morris-Pratt automaton per sequence, so that no text is read twice.
struct StopMatcher: Sendable {
  private struct Pattern: Sendable {
    let bytes: [UInt8]
    /// Fallback table of the automaton. For each length of a matched prefix, it has the length with
    /// which to continue after a mismatch.
    let fallback: [Int]

    init(_ bytes: [UInt8]) {
      self.bytes = bytes
      var fallback = Array(repeating: 0, count: bytes.count + 1)
      var length = 0
      for end in bytes.indices.dropFirst() {
        while length > 0, bytes[end] != bytes[length] { length = fallback[length] }
        if bytes[end] == bytes[length] { length += 1 }
        fallback[end + 1] = length
      }
      self.fallback = fallback
    }
  }

  private let patterns: [Pattern]
  /// For each sequence: the length of its longest prefix that the text ends with.
  private var matched: [Int]
  /// Steps since the last `takeWork()`.
  private var work = 0

  /// - Parameter sequences: stop sequences. None of them may be empty.
  init(_ sequences: [[UInt8]]) {
    patterns = sequences.map(Pattern.init)
    matched = sequences.map { _ in 0 }
  }

  /// Watches for beginnings of sequences instead of whole sequences. Beginnings have at most
  /// `longest` bytes.
  ///
  /// - Returns: `nil` if no sequence is longer than one byte.
  init?(beginningsOf sequences: [[UInt8]], longest: Int) {
    let beginnings = sequences.filter { $0.count > 1 }.map {
      Array($0.prefix(min($0.count - 1, longest)))
    }
    guard !beginnings.isEmpty else { return nil }
    self.init(beginnings)
  }

  /// - Returns: the length of the longest pattern that ends with this byte. 0 means that none does.
  @discardableResult
  mutating func take(_ byte: UInt8) -> Int {
    var longest = 0
    for index in patterns.indices {
      let pattern = patterns[index]
      var length = matched[index]
      if length == pattern.bytes.count { length = pattern.fallback[length] }
      while length > 0, pattern.bytes[length] != byte {
        length = pattern.fallback[length]
        work += 1
      }
      if pattern.bytes[length] == byte { length += 1 }
      matched[index] = length
      if length == pattern.bytes.count { longest = max(longest, length) }
    }
    work += patterns.count
    return longest
  }

  /// Length of the longest beginning of a pattern that the text ends with. At most `bound` bytes.
  mutating func openLength(atMost bound: Int) -> Int {
    var longest = 0
    for index in patterns.indices {
      var length = matched[index]
      while length > bound {
        length = patterns[index].fallback[length]
        work += 1
      }
      longest = max(longest, length)
    }
    work += patterns.count
    return longest
  }

  /// Steps since the last call.
  mutating func takeWork() -> Int {
    defer { work = 0 }
    return work
  }

  /// Forgets the text.
  mutating func reset() {
    for index in matched.indices { matched[index] = 0 }
  }
}
