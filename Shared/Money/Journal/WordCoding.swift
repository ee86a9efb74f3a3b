/// A checksum that detects words that were damaged or written only in part. It does not protect
/// against forgery.
struct WordChecksum {
  private(set) var value: UInt64

  init(seed: UInt64) { value = seed ^ 0x9E37_79B9_7F4A_7C15 }

  /// Each step is a bijection, so that a change of a single word always changes the result.
  mutating func add(_ word: UInt64) {
    value = (value ^ word) &* 0x9FB2_1C65_1E98_DF25
    value ^= value >> 32
  }

  static func of(_ words: some Sequence<UInt64>, seed: UInt64) -> UInt64 {
    var checksum = WordChecksum(seed: seed)
    for word in words { checksum.add(word) }
    return checksum.value
  }
}

/// Writes numbers and texts into a fixed number of words. The first word is the checksum, and words
/// after the last text are zero.
struct WordWriter {
  private var words: [UInt64]
  /// Number of words so far, including those that exceed the limit and are not stored.
  private var count = 1

  init(limit: Int) { words = [UInt64](repeating: 0, count: limit) }

  mutating func append(_ word: UInt64) {
    if count < words.count { words[count] = word }
    count += 1
  }

  mutating func append(_ number: Int64) { append(UInt64(bitPattern: number)) }

  /// Appends the length in bytes and then the bytes, padded to whole words.
  mutating func append(_ text: String) {
    let bytes = text.utf8
    append(UInt64(bytes.count))
    var word: UInt64 = 0
    var shift: UInt64 = 0
    for byte in bytes {
      word |= UInt64(byte) << shift
      shift += 8
      if shift == 64 {
        append(word)
        (word, shift) = (0, 0)
      }
    }
    if shift > 0 { append(word) }
  }

  /// The checksum and the words. `nil` means that the words exceed the limit.
  mutating func sealed(seed: UInt64) -> [UInt64]? {
    guard count <= words.count else { return nil }
    words[0] = WordChecksum.of(words[1...], seed: seed)
    return words
  }
}

/// Reads the output of `WordWriter`. Every read is checked, because the words come from a file.
struct WordReader {
  private var rest: ArraySlice<UInt64>

  /// Returns `nil` if the checksum does not match.
  init?(_ words: ArraySlice<UInt64>, seed: UInt64) {
    guard let checksum = words.first,
      checksum == WordChecksum.of(words.dropFirst(), seed: seed)
    else { return nil }
    rest = words.dropFirst()
  }

  mutating func word() -> UInt64? { rest.popFirst() }

  mutating func number() -> Int64? { word().map { Int64(bitPattern: $0) } }

  mutating func text() -> String? {
    guard let length = word(), length <= UInt64(rest.count) * 8 else { return nil }
    let words = (Int(length) + 7) / 8
    let bytes = rest.prefix(words).flatMap { word in
      (0..<8).map { UInt8(truncatingIfNeeded: word >> (8 * UInt64($0))) }
    }
    rest = rest.dropFirst(words)
    return String(validating: bytes.prefix(Int(length)), as: UTF8.self)
  }
}
