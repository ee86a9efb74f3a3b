import ClusterModel
import ClusterTesting
import Testing

@testable import Text

@Suite("Agreement of texts")
struct AgreementTests {
  static let essay = """
    The river rises in the mountains, runs through three valleys and reaches the sea near the old \
    harbour. In spring the melting snow doubles its flow, and the fields on both sides are under \
    water for two weeks. Farmers wait for this, because the mud makes the ground rich.
    """

  @Test("case, white space and punctuation do not count")
  func normalised() {
    #expect(Agreement.similarityMilli("Yes.", " yes ") == 1_000)
    #expect(Agreement.similarityMilli(Self.essay, Self.essay.uppercased()) == 1_000)
    let spaced = Self.essay.split(separator: " ").joined(separator: "\n\n")
    #expect(Agreement.similarityMilli(Self.essay, spaced) == 1_000)
    #expect(Agreement.similarityMilli("", "  ") == 1_000)
    #expect(Agreement.similarityMilli("", "word") == 0)
  }

  @Test("short texts agree or do not")
  func short() {
    #expect(Agreement.similarityMilli("42", "43") == 0)
    #expect(Agreement.similarityMilli("Paris", "Parts") == 0)
    #expect(Agreement.similarityMilli("The answer is 42.", "42") == 1_000)
    #expect(Agreement.similarityMilli("-5", "5") == 0)
    #expect(Agreement.similarityMilli("3.14", "314") == 0)
  }

  @Test("a long text with a word more agrees, one about something else does not")
  func long() {
    let reworded = Self.essay.replacing("rich", with: "very fertile")
    #expect(Agreement.similarityMilli(Self.essay, reworded) > 800)
    let other = """
      A compiler reads the program once, builds a tree from it and checks that every name has a \
      meaning. Only then does it write machine code, which another program joins with libraries.
      """
    #expect(Agreement.similarityMilli(Self.essay, other) < 250)
  }

  @Test("a number or a negation counts for more than the words around it")
  func marks() {
    let sum =
      "When all the invoices of the year are added up, the sum that has to be paid is 4,200."
    #expect(
      Agreement.similarityMilli(sum, sum.replacing("4,200", with: "4,300")) < Agreement.sameMilli)
    #expect(Agreement.similarityMilli(sum, sum.replacing("4,200", with: "4200")) == 1_000)
    #expect(
      Agreement.similarityMilli(sum, sum.replacing("has to", with: "does not have to"))
        < Agreement.sameMilli)
  }

  @Test("the answer that a text names decides, however it got there")
  func namedAnswer() {
    let one = Self.essay + "\nAnswer: B"
    let two = "By a quite different road, with not a word in common, we come to it. Answer: (B)."
    let three = Self.essay + "\nAnswer: C"
    #expect(Agreement.similarityMilli(one, two) >= 500)
    #expect(Agreement.similarityMilli(one, three) <= 500)
    #expect(Agreement.similarityMilli(one, "B") == 800)
    #expect(Agreement.similarityMilli(one, "C") == 0)
  }

  @Test("similarity is symmetric, within bounds, and whole for a text and itself")
  func laws() {
    var rng = SeededGenerator(seed: 4)
    let texts = (0..<60).map { _ in Self.randomText(using: &rng) }
    let matrix = Agreement.matrix(of: texts)
    for (row, a) in texts.enumerated() {
      #expect(Agreement.similarityMilli(a, a) == 1_000)
      for (column, b) in texts.enumerated() {
        #expect(matrix[row][column] == Agreement.similarityMilli(b, a))
        #expect((0...1_000).contains(matrix[row][column]))
      }
    }
  }

  static func randomText(using rng: inout SeededGenerator) -> String {
    let words = ["river", "42", "not", "é", "答", "Answer:", "B", "\n", "-3", ",", "1,000", "🙂"]
    return (0..<Int.random(in: 0...20, using: &rng)).map { _ in
      words[Int.random(in: 0..<words.count, using: &rng)]
    }.joined(separator: Bool.random(using: &rng) ? " " : "")
  }

  @Test("texts of megabytes are compared by their ends")
  func bounded() {
    let long = String(repeating: "lorem ipsum ", count: 200_000)
    #expect(Agreement.similarityMilli("begin " + long, "begin " + long + " x y z") > 500)
    #expect(ComparedText.bounded(long).utf8.count <= Agreement.comparedBytes + 1)
    #expect(Ballot([long, "B", "b"]).winner == 1)
  }

  @Test("groups are of those that agree, dissent keeps a weight")
  func groups() {
    let texts = ["Berlin", "The moon", "berlin.", "Berlin", "Rome"]
    let matrix = Agreement.matrix(of: texts)
    #expect(Agreement.groups(in: matrix) == [[0, 2, 3], [1], [4]])
    #expect(Agreement.weights(in: matrix) == [500, 50, 500, 500, 50])
    #expect(Agreement.weights(of: ["alone"]) == [1_000])
    #expect(Agreement.weights(of: []).isEmpty)
  }
}

@Suite("Votes")
struct BallotTests {
  @Test(
    "an answer is the same in all its forms",
    arguments: [
      (
        "b",
        [
          "B", "b.", "(B)", "**B**", "B) Paris", "Answer: B", "The answer is B.",
          "Final answer: (b)", "**B.** Paris", "The answer is B. It is the largest of them.",
        ]
      ),
      (
        "42",
        ["42", "42.", "42.0", "= 42", "The answer is 42, because 6 · 7 = 42.", "**Answer:** 42"]
      ),
      ("42", [#"We get \boxed{42}."#, "So much for 41.\nThe result is 42", "It is 42"]),
      ("1000", ["1,000", "1000", "The solution is: 1,000.00"]),
      ("yes", ["Yes.", "yes, it is", "YES!", "Answer: yes", "<think>no?</think>\nYes."]),
      ("-3", ["-3", "\u{2212}3", "The answer is -3"]),
      ("1/2", ["1/2", "The answer would be 1/2.", #"So it is \boxed{\dfrac{1}{2}}"#]),
      ("paris", ["Paris", "paris!", "It's Paris.", "The answer is: Paris"]),
    ])
  func variants(answer: String, texts: [String]) {
    for text in texts { #expect(ShortAnswer.of(text) == answer, "\(text)") }
  }

  @Test("different answers stay different")
  func different() {
    for (a, b) in [
      ("42", "-42"), ("4.2", "42"), ("1/2", "12"), ("yes", "no"), ("No one knows", "no"),
      ("A dog", "A"), ("B", "C"), ("1,000", "1,0"),
      (#"\boxed{\frac{5}{6}}"#, #"\boxed{\frac{5}{8}}"#),
      (#"\boxed{\frac{5}{6}}"#, #"\boxed{-\frac{5}{6}}"#), ("F. Kafka", "F. Scott Fitzgerald"),
      ("The answer is F. Kafka.", "The answer is F. Scott Fitzgerald."),
    ] {
      #expect(ShortAnswer.of(a) != ShortAnswer.of(b), "\(a) and \(b)")
    }
  }

  @Test("the majority wins, the first of equals otherwise, and silence does not vote")
  func winner() {
    #expect(Ballot(["A", "B", "(b)", "C"]).winner == 1)
    #expect(Ballot(["A", "B"]).winner == 0)
    #expect(Ballot(["", " ", "C"]).winner == 2)
    #expect(Ballot(["", "\n"]).winner == nil)
    #expect(Ballot([]).winner == nil)
  }

  @Test("a letter before a full stop is a choice if another answer is a letter alone")
  func options() {
    #expect(
      Ballot(["C", "B. Paris", "B", "C. Rome", "B. In Paris"]).answers == ["c", "b", "b", "c", "b"])
    #expect(Ballot(["F. Kafka", "F. Scott Fitzgerald", "F. Kafka"]).counts.map(\.votes) == [2, 1])
    // The last answer may reveal that the question had options, which can change the majority.
    let early = Ballot(["C. Rome", "C. Rome", "B. Paris", "C. Rome", "B. In Paris"])
    #expect(!early.isDecided(missing: 1) && early.isDecided(missing: 0))
  }

  @Test("a decided vote does not change with further answers")
  func decided() {
    var rng = SeededGenerator(seed: 9)
    var decided = 0
    for _ in 0..<2_000 {
      let texts = (0..<Int.random(in: 1...7, using: &rng)).map { _ in
        ["A", "B", "the answer is B", "", "B. One", "B. Two"].randomElement(using: &rng) ?? ""
      }
      let known = Int.random(in: 0...texts.count, using: &rng)
      let early = Ballot(Array(texts[..<known]))
      guard early.isDecided(missing: texts.count - known), let winner = early.winner else {
        continue
      }
      decided += known < texts.count ? 1 : 0
      let late = Ballot(texts)
      #expect(late.winner.map { late.answers[$0] } == early.answers[winner])
    }
    #expect(decided > 100)
    #expect(!Ballot(["A", "A"]).isDecided(missing: 2))
    #expect(Ballot(["A", "A"]).isDecided(missing: 1))
  }
}
