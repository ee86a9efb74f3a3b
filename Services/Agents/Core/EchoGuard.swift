public import ClusterModel
import Text

/// Watches the first words of the answer for those that its model was given: an instruction or a
/// heading that comes back is nothing for a client. What may become one is held for these few words.
///
/// White space does not count.
public struct EchoGuard: Sendable {
  public enum Verdict: Equatable, Sendable {
    /// It may still become an echo.
    case hold
    /// It is none: from now on nothing needs to be asked.
    case clear
    case echo
  }

  /// Bytes. Nobody begins with so many of the instruction's by chance.
  private static let instructionBytes = 32
  /// Bytes. A longer question is not looked for.
  private static let questionBytes = 2_048

  private let seams: [[UInt8]]
  /// Positions in `seams` of those that the answer begins with so far.
  private var open: [Int]
  /// Bytes of the answer that were compared.
  private var compared = 0
  /// Comparisons so far.
  private(set) var work = 0

  /// - Parameter told: what else stands in its prompt, for example how far its inputs agree.
  /// - Returns: nil when the task has nothing that could come back: it reads no text but the client's.
  public init?(_ order: TaskOrder, told: [String] = []) {
    guard order.writesAnswer, !order.inputs.isEmpty, order.prefix.isEmpty else { return nil }
    // The answer comes without the marks.
    let fence = Fence(seed: order.task.seed)
    let instruction = Self.ink(fence.removed(from: order.task.instruction).utf8)
      .prefix(Self.instructionBytes)
    var seams = order.inputs.map { Self.ink("\($0.name):".utf8) }
    if instruction.count == Self.instructionBytes {
      seams.append(Array(instruction))
      let question = Self.ink(LastQuestion.text(of: order.conversation).utf8)
      // The question alone may well be said again before it is answered.
      if question.count <= Self.questionBytes { seams.append(question + instruction) }
    }
    for text in told {
      let begin = Self.ink(fence.removed(from: text).utf8).prefix(Self.instructionBytes)
      if begin.count == Self.instructionBytes { seams.append(Array(begin)) }
    }
    self.seams = seams
    open = Array(seams.indices)
  }

  /// Compares each byte of the answer once with each seam that is still open.
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

  private static func ink(_ text: String.UTF8View) -> [UInt8] { text.filter { $0 > 0x20 } }
}
