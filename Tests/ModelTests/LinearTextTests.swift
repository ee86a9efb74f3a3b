import ClusterTesting
import Limits
import Testing

@testable import Text

@Suite("Texts are read in linear time")
struct LinearTextTests {
  /// Checks that twice the text costs at most `factor` times the work.
  private func expectLinear(
    _ hostile: HostileText, from bytes: Int, factor: Double = 2.2, _ work: (String) -> Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let (once, twice) = (work(hostile.text(bytes)), work(hostile.text(2 * bytes)))
    #expect(
      Double(twice) <= factor * Double(once) + 64, "\(once) → \(twice)",
      sourceLocation: sourceLocation
    )
  }

  @Test("splitting into sentences", arguments: HostileText.allCases)
  func sentences(hostile: HostileText) {
    expectLinear(hostile, from: 32 << 10) {
      var work = 0
      _ = Sentences.split($0, work: &work)
      return work
    }
  }

  @Test("looking for a mark from the end", arguments: HostileText.allCases)
  func mark(hostile: HostileText) {
    expectLinear(hostile, from: 32 << 10) {
      var work = 0
      _ = $0.textAfterLast("My reply now:", work: &work)
      return work
    }
  }

  /// Twice the text takes one or two more bisections: 16 instead of 14. So the factor is larger.
  @Test("compressing", arguments: HostileText.allCases)
  func compression(hostile: HostileText) {
    expectLinear(hostile, from: 16 << 10, factor: 2.4) {
      var work = 0
      _ = Compression.compressed($0, toTokens: 1_000, work: &work)
      return work
    }
  }

  @Test("normalising", arguments: HostileText.allCases)
  func normalisation(hostile: HostileText) {
    expectLinear(hostile, from: 16 << 10) {
      var normaliser = Normaliser()
      _ = normaliser.append($0)
      _ = normaliser.finish()
      #expect(normaliser.work <= 16 * $0.utf8.count)
      return normaliser.work
    }
  }

  @Test("looking for words in bytes")
  func search() {
    for count in [1_000, 64_000] {
      var work = 0
      let text = [UInt8](repeating: 0x61, count: count)
      let words = [UInt8](repeating: 0x61, count: 200) + [0x62]
      #expect(!ByteSearch.contains(text, words, work: &work))
      #expect(work <= 2 * count + 2 * words.count)
      #expect(ByteSearch.contains(text + words, words))
    }
    #expect(
      ByteSearch.contains([1, 2, 1, 2, 3], [1, 2, 3]) && !ByteSearch.contains([1, 2], [1, 2, 3]))
    #expect(ByteSearch.contains([], []) && ByteSearch.contains([1], []))
  }

  @Test(
    "sentences end where they did",
    arguments: [
      ("One. Two? Three! Four", ["One.", "Two?", "Three!", "Four"]),
      ("E.g. this, i.e. that. Next.", ["E.g. this, i.e. that.", "Next."]),
      ("J. R. R. Tolkien wrote it. Yes.", ["J. R. R. Tolkien wrote it.", "Yes."]),
      ("1. First thing. 2. Second thing.", ["1. First thing.", "2. Second thing."]),
      ("  12.  Item\nNext line", ["12.  Item", "Next line"]), (". . x . y", ["x . y"]),
      ("Version 2.5 is out. vs. old", ["Version 2.5 is out.", "vs. old"]),
      ("", []), ("\r\n \u{301}\r\n", []), ("It is 4 . So.", ["It is 4 .", "So."]),
    ] as [(String, [String])])
  func sentenceEnds(text: String, expected: [String]) {
    #expect(Sentences.split(text) == expected)
  }

  @Test("the text after a mark, whatever its case and its neighbours")
  func marks() {
    #expect("a MARK: b mark: c".textAfterLast("Mark:") == "c")
    #expect("MARK:".textAfterLast("mark:") == "MARK:" && "x".textAfterLast("") == "x")
    #expect("🇩🇪🇩🇪mark: e\u{301}".textAfterLast("mark:") == "e\u{301}")
    #expect("é mark:\r\nso".textAfterLast("mark:") == "so")
  }

  @Test(
    "control tokens are broken wherever they stand, once",
    arguments: [
      "<|im_start|>system", "`<|eot_id|>`", "```\n[INST] x [/INST]\n```", "<s>a</s>",
      "<|channel|>analysis<|message|>", "◁think▷", "<｜begin▁of▁sentence｜>", "<|reserved_12|>",
      "<<SYS>>", "<|<|im_end|>|>", "</think>",
    ])
  func controlTokens(text: String) {
    let broken = Fence.withoutControlTokens(text)
    #expect(Fence.withoutControlTokens(broken) == broken)
    for token in ControlTokens.withReasoning.tokens {
      #expect(!broken.contains(String(decoding: token.bytes, as: UTF8.self)))
    }
    #expect(!broken.contains("<|reserved_12|>"))
    #expect(broken.filter { $0 != " " } == text.filter { $0 != " " })
  }

  @Test(
    "code with bars and angles stays as it is",
    arguments: [
      "xs |> map f <| y", "a < b || c > d", "Vec<T>", "[1] [x](y)", "<b>x</b>",
    ])
  func code(text: String) {
    #expect(Fence.withoutControlTokens(text) == text)
  }

  @Test("nothing traps, and what comes out is bounded", arguments: HostileText.allCases)
  func noTrap(hostile: HostileText) {
    let text = hostile.text(20_000)
    _ = Ballot([text, "Answer: \(text)", "\\boxed{\(text)", text + "."])
    _ = Agreement.matrix(of: [text, String(text.reversed())])
    _ = QueryFeatures(text)
    _ = Compression.shape(of: text)
    #expect(Compression.compressed(text, toTokens: 100).utf8.count <= 400)
    _ = Fence(seed: 1).enclosing(text)
    _ = Normaliser.normalised(text)
  }

  @Test("an answer of initials is read once from its end")
  func initials() {
    let text = "The answer is " + String(repeating: "A. ", count: 5_000) + "Kafka, as said."
    #expect(Ballot([text]).answers[0].isEmpty == false)
    #expect(Ballot(["The answer is F. Kafka."]).answers == Ballot(["F. Kafka"]).answers)
  }

  @Test("vectors longer than any model gives are not compared")
  func vectors() {
    let long = [Double](repeating: 1, count: Limits.vectorNumbers.value + 1)
    #expect(VectorLikeness.matrix(of: [long, long], unrelated: [long]) == nil)
  }
}
