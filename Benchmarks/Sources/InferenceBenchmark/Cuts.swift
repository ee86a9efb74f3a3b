import AnswerTesting
import ClusterModel

/// Cuts every answer of the test corpus at every byte.
///
/// For every cut and every `ResumingPersonality`, a host resumes the answer: once it completes the
/// prefix, and once it follows an instruction. The run takes minutes on one core.
enum Cuts {
  /// - Returns: whether every client received a correct text.
  static func run(near: Int = 1, far: Int = 1) throws -> Bool {
    let answers = try table("Every cut", AnswerCorpus.answers, near, far)
    print("")
    let repetitive = try table(
      "Every cut, texts that repeat themselves", AnswerCorpus.repetitive, near, far)
    return answers && repetitive
  }

  private static func table(
    _ title: String, _ answers: [CorpusAnswer], _ near: Int, _ far: Int
  ) throws -> Bool {
    print("\(title): \(answers.count) answers, \(answers.reduce(0) { $0 + $1.textBytes }) bytes")
    line(["way", "habit", "cuts", "identical", "white space", "ambiguous", "rejected", "wrong"])
    var isRight = true
    for way in [ResumeWay.continueFinalMessage, .instruct] {
      for habit in ResumingPersonality.allCases {
        let count = try EveryCut(way: way, near: near, far: far).run(habit, over: answers)
        line(
          [way == .instruct ? "instruct" : "complete", habit.rawValue]
            + [
              count.cuts, count.identical, count.spacedOtherwise, count.ambiguous, count.rejected,
              count.faults.count,
            ].map(String.init))
        for fault in count.faults.prefix(5) { print("  \(fault)") }
        isRight = isRight && count.faults.isEmpty
      }
    }
    return isRight
  }

  private static func line(_ cells: [String]) {
    let texts = cells.prefix(2).map { $0 + String(repeating: " ", count: max(1, 22 - $0.count)) }
    let numbers = cells.dropFirst(2).map {
      String(repeating: " ", count: max(1, 12 - $0.count)) + $0
    }
    print((texts + numbers).joined())
  }
}
