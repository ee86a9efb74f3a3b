import Text

/// Detects a model that repeats its instruction or its inputs instead of merging them.
/// The client may already have the output, so an echo is only recorded and not undone.
enum MergeEcho {
  /// Maximum bytes of the output to search. An echo starts near the beginning.
  private static let lookedAtBytes = 64 << 10
  /// Maximum bytes of an input to search for. A model does not repeat so many bytes by chance.
  private static let soughtBytes = 200
  /// Minimum bytes of a text to search for, without white space. A shorter text may occur in
  /// several answers by chance.
  private static let leastBytes = 40

  /// Returns a sentence for the trace if the output is an echo.
  /// `nil` means that the output is the model's own. An echo has the beginning of the instruction,
  /// of two inputs, or of one input after its name. One input alone is no echo, because it may be
  /// the best answer.
  static func reason(
    _ output: String, instruction: String, merging inputs: [MechanicalMerge.Input]
  ) -> String? {
    var work = 0
    return reason(output, instruction: instruction, merging: inputs, work: &work)
  }

  /// - Parameter work: increases by one per compared byte.
  static func reason(
    _ output: String, instruction: String, merging inputs: [MechanicalMerge.Input],
    work: inout Int
  ) -> String? {
    let outputBytes = nonSpaceBytes(output, limit: lookedAtBytes)
    let instructionBytes = nonSpaceBytes(instruction, limit: leastBytes)
    if instructionBytes.count == leastBytes,
      ByteSearch.contains(outputBytes, instructionBytes, work: &work)
    {
      return "it repeats its instruction"
    }
    var copies = 0
    var sought: Set<[UInt8]> = []
    for input in inputs {
      let text = nonSpaceBytes(input.text, limit: soughtBytes)
      // Inputs with equal beginnings count once.
      guard text.count >= leastBytes, sought.insert(text).inserted else { continue }
      let named = nonSpaceBytes("\(input.name):", limit: soughtBytes) + text.prefix(leastBytes)
      if ByteSearch.contains(outputBytes, named, work: &work) {
        return "it repeats its inputs instead of merging them"
      }
      if ByteSearch.contains(outputBytes, text, work: &work) { copies += 1 }
    }
    return copies > 1 ? "it repeats its inputs instead of merging them" : nil
  }

  private static func nonSpaceBytes(_ text: String, limit: Int) -> [UInt8] {
    Array(text.utf8.lazy.filter { $0 > 0x20 }.prefix(limit))
  }
}
