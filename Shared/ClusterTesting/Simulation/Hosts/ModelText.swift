/// Text of the simulated model: every word shows which answer it belongs to and its position.
///
/// A checker needs no other knowledge to find a lost, repeated or foreign word.
enum ModelText {
  /// Identifies one of 2¹⁸ texts.
  struct Tag: Hashable, Sendable {
    let number: UInt32

    /// The tag of the answer to a prompt.
    init(prompt: some Sequence<UInt8>) {
      var hash: UInt64 = 0xCBF2_9CE4_8422_2325
      for byte in prompt { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
      number = UInt32(truncatingIfNeeded: hash ^ hash >> 20 ^ hash >> 40) & 0x3FFFF
    }

    init(number: UInt32) { self.number = number }

    var wordCount: Int { 6 + Int(number % 19) }
  }

  static func full(_ tag: Tag) -> String {
    (0..<tag.wordCount).map { word(tag, $0) }.joined(separator: " ") + "."
  }

  // MARK: - Words

  /// Encodes a tag and a position as a word of five syllables, 6 bits each.
  ///
  /// The bits are mixed by a permutation, so that the words of one text do not resemble each other.
  static func word(_ tag: Tag, _ position: Int) -> String {
    var code = (tag.number << 12 | UInt32(position) & 0xFFF) & mask
    code = (code &* multiplier) & mask
    code ^= code >> 15
    code = (code &* multiplier) & mask
    var word = ""
    for shift in [24, 18, 12, 6, 0] as [UInt32] {
      let syllable = Int(code >> shift & 0x3F)
      word.unicodeScalars.append(consonants[syllable >> 2])
      word.unicodeScalars.append(vowels[syllable & 3])
    }
    return word
  }

  /// - Returns: `nil` if the word is not the model's.
  static func position(of word: some StringProtocol) -> (tag: Tag, position: Int)? {
    let letters = Array(word.unicodeScalars)
    guard letters.count == 10 else { return nil }
    var code: UInt32 = 0
    for index in stride(from: 0, to: 10, by: 2) {
      guard let consonant = consonants.firstIndex(of: letters[index]),
        let vowel = vowels.firstIndex(of: letters[index + 1])
      else { return nil }
      code = code << 6 | UInt32(consonant << 2 | vowel)
    }
    code = (code &* inverse) & mask
    code ^= code >> 15
    code = (code &* inverse) & mask
    let tag = Tag(number: code >> 12)
    let position = Int(code & 0xFFF)
    return position < tag.wordCount ? (tag, position) : nil
  }

  private static let consonants = Array("bdfghjklmnprstvz".unicodeScalars)
  private static let vowels = Array("aeio".unicodeScalars)
  private static let mask: UInt32 = 0x3FFF_FFFF
  private static let multiplier: UInt32 = 0x2545_F491
  /// Inverse of `multiplier` modulo 2³⁰. Each step of Newton's iteration doubles the number of
  /// correct bits: 3, 6, 12, 24, 48.
  private static let inverse: UInt32 = {
    var inverse = multiplier
    for _ in 0..<4 { inverse = inverse &* (2 &- multiplier &* inverse) }
    return inverse & mask
  }()

  // MARK: - Checking

  /// Finds the first mistake in a text that must consist of whole answers.
  /// - Returns: `nil` if the text has no mistake.
  static func mistake(in text: String) -> String? {
    var expected: (tag: Tag, position: Int)?
    for word in text.split(whereSeparator: { !$0.isLetter }) {
      guard let found = position(of: word) else { return "\"\(word)\" is a foreign word" }
      if let expected {
        guard found == expected else {
          return found.tag == expected.tag
            ? "word \(found.position) follows word \(expected.position - 1) of \(found.tag.number)"
            : "answer \(expected.tag.number) stops before word \(expected.position)"
        }
      } else if found.position != 0 {
        return "answer \(found.tag.number) begins with word \(found.position)"
      }
      expected = found.position + 1 < found.tag.wordCount ? (found.tag, found.position + 1) : nil
    }
    if let expected { return "answer \(expected.tag.number) ends before word \(expected.position)" }
    return text.isEmpty ? "the text is empty" : nil
  }
}
