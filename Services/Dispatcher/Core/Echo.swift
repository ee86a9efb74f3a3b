import Text

/// Whether a model that was to merge texts gave them back instead. Its words are on their way to the
/// client when that shows, so it is said, not undone.
enum Echo {
  /// Answers are looked at so far: an echo begins at once.
  private static let lookedAtBytes = 64 << 10
  /// So much of an input is looked for: nobody writes that many words again by chance.
  private static let soughtBytes = 200
  /// Bytes of ink. What is shorter may well be said by several, and by the answer.
  private static let leastBytes = 40

  /// A sentence for the trace; nil: it is an answer of its own. One input alone may be the best answer
  /// there is, two of them side by side are no merge, and neither is one under its name.
  static func reason(
    _ output: String, instruction: String, merging inputs: [MechanicalMerge.Input]
  ) -> String? {
    var work = 0
    return reason(output, instruction: instruction, merging: inputs, work: &work)
  }

  /// - Parameter work: gains one unit per byte that was compared.
  static func reason(
    _ output: String, instruction: String, merging inputs: [MechanicalMerge.Input],
    work: inout Int
  ) -> String? {
    let said = ink(output, limit: lookedAtBytes)
    let told = ink(instruction, limit: leastBytes)
    if told.count == leastBytes, ByteSearch.holds(said, told, work: &work) {
      return "it gives back what it was told"
    }
    var copies = 0
    var sought: Set<[UInt8]> = []
    for input in inputs {
      let text = ink(input.text, limit: soughtBytes)
      // Two that say the same are one.
      guard text.count >= leastBytes, sought.insert(text).inserted else { continue }
      let named = ink("\(input.name):", limit: soughtBytes) + text.prefix(leastBytes)
      if ByteSearch.holds(said, named, work: &work) {
        return "it gives back what it was to merge"
      }
      if ByteSearch.holds(said, text, work: &work) { copies += 1 }
    }
    return copies > 1 ? "it gives back what it was to merge" : nil
  }

  private static func ink(_ text: String, limit: Int) -> [UInt8] {
    Array(text.utf8.lazy.filter { $0 > 0x20 }.prefix(limit))
  }
}
