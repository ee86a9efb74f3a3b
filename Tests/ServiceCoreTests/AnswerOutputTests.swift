import CommandLineCore
import Testing

@Suite("An answer and its progress on two outputs")
struct AnswerOutputTests {
  typealias Kind = OutputArrangement.Kind

  @Test("outputs into one log are shared, whatever the log is", arguments: Kind.allCases)
  func shared(kind: Kind) {
    #expect(OutputArrangement(output: kind, error: kind, areOne: true) == .shared)
  }

  @Test(
    "a piped answer may appear next to its progress, even if progress goes to a file",
    arguments: Kind.allCases)
  func piped(kind: Kind) {
    #expect(OutputArrangement(output: .pipe, error: kind, areOne: false) == .adjacent)
  }

  @Test("an answer in a file is apart from its progress", arguments: Kind.allCases)
  func file(kind: Kind) {
    #expect(OutputArrangement(output: .other, error: kind, areOne: false) == .apart)
  }

  @Test("an answer on a terminal is apart from progress in a file")
  func progressFile() {
    #expect(OutputArrangement(output: .terminal, error: .other, areOne: false) == .apart)
  }

  @Test("in a shared output, progress waits for the end of the answer's line")
  func waits() {
    var output = AnswerOutput(.shared)
    #expect(output.report(["task started"]) == [.progress("task started")])
    #expect(output.append("influencing") == [.answer("influencing")])
    #expect(output.report(["task ended"]).isEmpty)
    #expect(output.append(" all.") == [.answer(" all.")])
    #expect(output.end() == [.answer("\n"), .progress("task ended")])
    #expect(output.end().isEmpty)
  }

  @Test("a line end of the answer releases the progress that waited")
  func released() {
    var output = AnswerOutput(.shared)
    _ = output.append("first")
    _ = output.report(["a", "b"])
    #expect(output.append(" line\n") == [.answer(" line\n"), .progress("a"), .progress("b")])
    #expect(output.report(["c"]) == [.progress("c")])
  }

  @Test("in adjacent outputs, one line break separates progress from an open line")
  func setOff() {
    var output = AnswerOutput(.adjacent)
    _ = output.append("influencing")
    #expect(output.report(["task ended"]) == [.lineBreak, .progress("task ended")])
    #expect(output.report(["expanded"]) == [.progress("expanded")])
    _ = output.append(" all.")
    #expect(output.report(["task ended"]) == [.lineBreak, .progress("task ended")])
  }

  @Test("an answer elsewhere needs no line break")
  func apart() {
    var output = AnswerOutput(.apart)
    _ = output.append("influencing")
    #expect(output.report(["task ended"]) == [.progress("task ended")])
    #expect(output.end() == [.answer("\n")])
  }

  @Test("a carriage return without a line end leaves the line open")
  func heldReturn() {
    var output = AnswerOutput(.shared)
    _ = output.append("half")
    #expect(output.append("\r").isEmpty)
    #expect(output.report(["task ended"]).isEmpty)
    #expect(output.end() == [.answer("␍\n"), .progress("task ended")])
  }
}
