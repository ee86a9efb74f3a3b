/// A text in the form that `Agreement` compares.
struct ComparedText {
  /// Maximum words of a text that is compared exactly. In such a text, a single word can change the
  /// meaning.
  static let shortWords = 6

  private let words: [String]
  /// The answer that the text names, otherwise the whole text if it is short. `nil` means a long
  /// text that names no answer.
  private let answer: String?
  /// Hashes of word pairs, and character trigrams as numbers. Both are sorted and without
  /// duplicates, and empty for a short text.
  private let pairs: [UInt64]
  private let trigrams: [UInt64]
  /// Numbers, negations and opinion words (`NormalWords.mark`), sorted and without duplicates.
  /// Empty for a short text.
  private let marks: [String]

  init(_ text: String) {
    let text = Self.bounded(text)
    words = NormalWords.words(of: text)
    if words.count <= Self.shortWords {
      answer = ShortAnswer.of(text)
      (pairs, trigrams, marks) = ([], [], [])
    } else {
      answer = ShortAnswer.named(in: text)
      pairs = Self.pairs(of: words)
      trigrams = Self.trigrams(of: words)
      marks = Set(words.compactMap(NormalWords.mark)).sorted()
    }
  }

  private var isShort: Bool { words.count <= Self.shortWords }

  /// - Parameter meaningMilli: similarity by an embedding model (`VectorLikeness`), in thousandths.
  ///   `nil` means that no model was used. Vectors hardly reflect numbers and negations, so these
  ///   are always compared as words.
  func similarityMilli(to other: ComparedText, meaningMilli: Int? = nil) -> Int {
    if words == other.words { return 1_000 }
    if words.isEmpty || other.words.isEmpty { return 0 }
    if isShort || other.isShort {
      // A short text agrees only with a text that names the same answer.
      guard let answer, answer == other.answer else { return 0 }
      return isShort && other.isShort ? 1_000 : 800
    }
    var likeness = (Self.dice(pairs, other.pairs) + Self.dice(trigrams, other.trigrams)) / 2
    if let meaningMilli {
      likeness = (likeness + Agreement.meaningShare * meaningMilli) / (1 + Agreement.meaningShare)
    }
    let decided = likeness * (1_000 + 2 * Self.shared(marks, other.marks)) / 3_000
    guard let answer, let theirs = other.answer else { return decided }
    return answer == theirs ? 500 + decided / 2 : decided / 2
  }

  // MARK: - Features

  static func bounded(_ text: String) -> String {
    guard text.utf8.count > Agreement.comparedBytes else { return text }
    let bytes = Array(text.utf8)
    let half = Agreement.comparedBytes / 2
    return String(decoding: bytes.prefix(half), as: UTF8.self) + " "
      + String(decoding: bytes.suffix(half), as: UTF8.self)
  }

  private static func pairs(of words: [String]) -> [UInt64] {
    let hashes = words.map { hash($0.utf8) }
    return Set(zip(hashes, hashes.dropFirst()).map { $0 &* 31 &+ $1 }).sorted()
  }

  private static func trigrams(of words: [String]) -> [UInt64] {
    let scalars = words.joined(separator: " ").unicodeScalars.map { UInt64($0.value) }
    guard scalars.count > 2 else { return [] }
    // A code point has 21 bits, so three fit into 64.
    return Set(
      (2..<scalars.count).map { scalars[$0 - 2] << 42 | scalars[$0 - 1] << 21 | scalars[$0] }
    ).sorted()
  }

  /// FNV-1a hash. Unlike the standard library's hash, it is the same in every process.
  private static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  /// Dice coefficient (twice the common elements over the sum of both counts), in thousandths.
  private static func dice(_ a: [UInt64], _ b: [UInt64]) -> Int {
    guard a.count + b.count > 0 else { return 1_000 }
    return 2_000 * common(a, b) / (a.count + b.count)
  }

  /// Jaccard index (common elements over the union), in thousandths.
  private static func shared(_ a: [String], _ b: [String]) -> Int {
    let both = common(a, b)
    let either = a.count + b.count - both
    return either == 0 ? 1_000 : 1_000 * both / either
  }

  /// Number of elements that two sorted arrays share.
  private static func common<Element: Comparable>(_ a: [Element], _ b: [Element]) -> Int {
    var (count, left, right) = (0, 0, 0)
    while left < a.count, right < b.count {
      if a[left] == b[right] {
        count += 1
        left += 1
        right += 1
      } else if a[left] < b[right] {
        left += 1
      } else {
        right += 1
      }
    }
    return count
  }
}
