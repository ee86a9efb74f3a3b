public import ClusterModel
import Text

/// Detects an answer that begins by repeating instructions or headings of its prompt.
/// The client must not receive them, so the first words are held back until they cannot be an echo.
///
/// White space is ignored.
public struct InstructionEcho: Sendable {
  public enum Verdict: Equatable, Sendable {
    /// The text may still become an echo.
    case hold
    /// The text is not an echo; the check is over.
    case clear
    case echo
  }

  /// Number of the instruction's first bytes to compare. A match of this length is no accident.
  private static let instructionBytes = 32
  /// Maximum bytes of the client's question. A longer question is not compared.
  private static let questionBytes = 2_048

  private let seams: [[UInt8]]
  /// Indices of the `seams` (texts with which an echo begins) that match the answer so far.
  private var open: [Int]
  /// Bytes of the answer compared so far.
  private var compared = 0
  /// Comparisons so far.
  private(set) var work = 0

  /// - Parameter otherTexts: other texts of the prompt, for example how far the inputs agree.
  /// - Returns: `nil` if the output is not checked: it is not the answer, resumes a text, or is
  ///   made without inputs.
  public init?(_ order: TaskOrder, otherTexts: [String] = []) {
    guard order.writesAnswer, !order.inputs.isEmpty, order.prefix.isEmpty else { return nil }
    // The answer arrives without fence marks.
    let fence = Fence(seed: order.task.seed)
    let instruction = Self.nonSpaceBytes(fence.removed(from: order.task.instruction).utf8)
      .prefix(Self.instructionBytes)
    var seams = order.inputs.map { Self.nonSpaceBytes("\($0.name):".utf8) }
    if instruction.count == Self.instructionBytes {
      seams.append(Array(instruction))
      let question = Self.nonSpaceBytes(LastQuestion.text(of: order.conversation).utf8)
      // An answer may repeat the question. Only a question followed by the instruction is an echo.
      if question.count <= Self.questionBytes { seams.append(question + instruction) }
    }
    for text in otherTexts {
      let begin = Self.nonSpaceBytes(fence.removed(from: text).utf8).prefix(Self.instructionBytes)
      if begin.count == Self.instructionBytes { seams.append(Array(begin)) }
    }
    self.seams = seams
    open = Array(seams.indices)
  }

  /// Compares each byte of the answer once with each seam that still matches.
  public mutating func take(_ text: String) -> Verdict {
    for byte in text.utf8 where byte > 0x20 {
      work += open.count
      open.removeAll { compared >= seams[$0].count || seams[$0][compared] != byte }
      compared += 1
      if open.contains(where: { seams[$0].count == compared }) { return .echo }
      if open.isEmpty { return .clear }
    }
    return open.isEmpty ? .clear : .hold
  }

  private static func nonSpaceBytes(_ text: String.UTF8View) -> [UInt8] {
    text.filter { $0 > 0x20 }
  }
}
