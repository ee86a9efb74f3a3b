import Text

/// Prompt that asks a model to resume an answer. It is used for hosts that cannot continue a
/// prefix, or whose continuation did not join the answer.
enum ResumeInstruction {
  /// Maximum bytes of an anchor that is taken from the prefix. An anchor of this length is long
  /// enough to be found in the model's output and short enough to be repeated exactly.
  static let anchorBytes = 64

  /// Estimated tokens of the instruction without the anchor: one per word and punctuation mark.
  static let wordTokens = 59

  static func tokens(after prefix: [UInt8]) -> Int {
    wordTokens + TokenEstimate.tokens(bytes: anchor(of: prefix).utf8.count)
  }

  static func text(at resume: ResumePoint) -> String {
    let shown = resume.anchor.drop { $0 == 0x20 || $0 == 0x0A }
    return text(
      repeating: shown.isEmpty
        ? anchor(of: resume.prefix) : String(decoding: shown, as: UTF8.self))
  }

  private static func text(repeating anchor: String) -> String {
    "Your answer above was cut off. Go on with it in the same language and format. Begin by "
      + "repeating, exactly, its last words, which stand between the marks, then write what "
      + "follows them up to the end of the answer. Write nothing else: no remark, no marks.\n"
      + "<<<\(anchor)>>>"
  }

  /// The end of the text. The result begins at the start of a word if possible.
  static func anchor(of prefix: [UInt8]) -> String {
    guard prefix.count > anchorBytes else { return String(decoding: prefix, as: UTF8.self) }
    var tail = prefix.suffix(anchorBytes)
    // The anchor must not begin inside a character.
    tail = tail.drop { $0 & 0b1100_0000 == 0b1000_0000 }
    let words = tail.drop { $0 != 0x20 && $0 != 0x0A }.dropFirst()
    if words.count >= anchorBytes / 2 { tail = words }
    return String(decoding: tail, as: UTF8.self)
  }
}
