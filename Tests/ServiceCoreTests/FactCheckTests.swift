import AgentCore
import ClusterModel
import ClusterTesting
import Testing
import Text

private func check(_ answer: String, _ sources: String...) -> FactCheck {
  FactCheck(answer, against: sources.map { .init(name: "s.md", text: $0) })
}

@Suite("Claims against sources")
struct FactCheckTests {
  static let budget = """
    # Kestrel
    The Kestrel project has a total budget of 42 million euros. It began in March 2021.
    The project is not open to visitors. Its director is Anna Berg.
    """

  @Test(
    "each claim is supported, unsupported or contradicted",
    arguments: [
      ("The total budget of the Kestrel project is 42 million euros.", FactCheck.Verdict.supported),
      ("Kestrel's total budget: 42 million euros [1].", .supported),
      ("The Kestrel project has a total budget of 45 million euros.", .contradicted),
      ("The project began in March 2021.", .supported),
      ("The project began in March 2019.", .contradicted),
      ("The project is open to visitors.", .contradicted),
      ("The project isn't open to visitors.", .supported),
      ("The director of the project is Anna Berg.", .supported),
      ("Its headquarters overlook the harbour of Lisbon.", .unsupported),
      ("It employs 300 people in seven cities.", .unsupported),
    ])
  func verdicts(answer: String, verdict: FactCheck.Verdict) {
    let check = check(answer, Self.budget)
    #expect(check.claims.map(\.verdict) == [verdict], "\(check.claims)")
  }

  @Test("a wrong sum in a draft is contradicted, with or without a source")
  func wrongSum() {
    let draft = "Both teams together: 17 + 25 = 43 people. The rest follows from that fact."
    #expect(check(draft).claims.first?.verdict == .contradicted)
    #expect(
      check("The invoice has a total of 45 euros.", "The invoice has a total of 42 euros.")
        .claims.map(\.verdict) == [.contradicted])
  }

  @Test("numbers are equal however they are written")
  func numbers() {
    for written in ["1,000.50", "1000.5", "1000.50"] {
      #expect(
        check("The fee is \(written) dollars a year.", "The yearly fee is 1,000.50 dollars.")
          .claims.map(\.verdict) == [.supported], "\(written)")
    }
  }

  @Test("questions, headings and code claim nothing; numbers of lists are no numbers of sentences")
  func noClaims() {
    let answer = """
      # Result 7
      Is the total budget 45 million?
      ```
      total = 45
      ```
      1. The total budget of the Kestrel project is 42 million euros.
      """
    #expect(check(answer, Self.budget).claims.map(\.verdict) == [.supported])
  }

  @Test("the tail names the sources that were used, and what they do not bear out")
  func tail() {
    let sources = [
      PromptDocuments.Source(name: "budget.md", text: Self.budget),
      PromptDocuments.Source(name: "other.md", text: "Nothing of the kind."),
    ]
    let answer =
      "The Kestrel project began in March 2021. Its total budget is 45 million euros. "
      + "Cats sleep in the server room."
    let check = FactCheck(answer, against: sources)
    #expect(check.summary == "1 supported, 1 unsupported, 1 contradicted")
    #expect(check.tail(sources, hasVerdicts: false) == "Sources: [1] budget.md")
    let told = check.tail(sources, hasVerdicts: true)
    #expect(told.contains("The sources say otherwise than this: \"Its total budget is 45"))
    #expect(told.contains("Not found in the sources: \"Cats sleep in the server room.\""))
    let cited = FactCheck("It is so. [2] And also this [9].", against: sources)
    #expect(cited.tail(sources, hasVerdicts: false) == "Sources: [2] other.md")
    #expect(FactCheck("", against: sources).tail(sources, hasVerdicts: true) == "")
  }

  @Test("an answer of any length and kind is checked, in bounds")
  func anything() {
    var rng = SeededGenerator(seed: 3)
    let pieces = [
      "The total is 4. ", "[1]", "[999]", "```", "\n", "- ", "12. ", "?", "1+1=3", "é", "日本。",
      "not ", "=", "\u{0}", "'", "n't", "…",
    ]
    for _ in 0..<500 {
      var text = ""
      for _ in 0..<Int.random(in: 0...40, using: &rng) {
        text += pieces[Int.random(in: 0..<pieces.count, using: &rng)]
      }
      let check = check(text, Self.budget, text)
      #expect(check.claims.count <= 100)
      #expect(check.cited.allSatisfy { (1...2).contains($0) })
    }
    let long = String(repeating: "The total of it is 4 million. ", count: 20_000)
    #expect(check(long, Self.budget).claims.count == 100)
  }
}

@Suite("Sums in texts")
struct ArithmeticCheckTests {
  @Test(
    "a wrong sum is found, with the right one",
    arguments: [
      ("17 + 25 = 43", "17 + 25 = 43", "42"), ("so 2*3=7.", "2*3=7", "6"),
      ("It costs $10 + $5 = $16 in all", "10 + $5 = $16", "15"),
      ("1,200 − 300 = 800", "1,200 − 300 = 800", "900"), ("2 + 3 × 4 = 20", "2 + 3 × 4 = 20", "14"),
      ("10 / 4 = 1", "10 / 4 = 1", "2.5"), ("1.1 + 2.2 = 3.4", "1.1 + 2.2 = 3.4", "3.3"),
    ])
  func wrong(text: String, written: String, right: String) {
    #expect(
      ArithmeticCheck.wrongEquations(in: text) == [.init(written: written, right: right)])
  }

  @Test(
    "right sums, rounded ones and other text are not reported",
    arguments: [
      "17 + 25 = 42", "10 / 3 = 3.33", "0.1 + 0.2 = 0.3", "x = 3", "2 + x = 5", "1 = 2",
      "in 2019 - 2021", "1/0 = 5", "3rd + 4 = 9", "a + b = c", "", "= = =", "1 + = 3",
      "version 1.2.3 + 1 = 5", "2 + 2", "2 2 = 4",
    ])
  func right(text: String) {
    #expect(ArithmeticCheck.wrongEquations(in: text).isEmpty)
  }

  @Test("a critic's prompt has the certain mistakes, and nothing if there are none")
  func findings() {
    let inputs = [
      TaskOrder.NamedInput(name: "Draft", text: "There are 17 + 25 = 43 people."),
      TaskOrder.NamedInput(name: "Other", text: "It began in March 2019."),
    ]
    let material = PromptDocuments(
      sources: [.init(name: "s", text: "It began in March 2021.")])
    let text = InputMistakes.text(
      InputMistakes.of(inputs, material: material), fence: Fence(seed: 1))
    #expect(text.contains("Draft: \"17 + 25 = 43\" is wrong; it is 42."))
    #expect(text.contains("Other: \"It began in March 2019.\" is not what [1] says."))
    #expect(
      InputMistakes.of([.init(name: "Draft", text: "17 + 25 = 42")], material: .none).isEmpty)
    #expect(InputMistakes.text([], fence: Fence(seed: 1)).isEmpty)
  }
}

@Suite("Mistakes that are certain, in a review")
struct ReviewCorrectionTests {
  static let contract = OutputContract.json(
    schema: """
      {"type":"object","required":["verdict","quality","issues"],"properties":{
        "verdict":{"enum":["accept","repair"]},"quality":{"type":"integer"},
        "issues":{"type":"array","maxItems":8,"items":{"type":"object","required":["issue"]}}}}
      """)

  private func enforcing(_ findings: [String], in output: String) -> String? {
    ReviewCorrection.enforcing(findings, in: output, contract: Self.contract)
  }

  @Test("a review that accepts is made to ask for the repair, and keeps what else it found")
  func accepted() {
    let review = #"{"verdict":"accept","quality":5,"issues":[{"issue":"dry"}],"note":"fine"}"#
    #expect(
      enforcing(["17 + 25 is 42"], in: review)
        == #"{"verdict":"repair","quality":5,"issues":[{"kind":"reasoning","issue":"17 + 25 is 42"},"#
        + #"{"issue":"dry"}],"note":"fine"}"#)
  }

  @Test("where the model wrote no review, there is one of what is certain")
  func garbage() throws {
    for output in ["", "Looks good!", "{", #"{"verdict":"maybe"}"#] {
      let review = try #require(enforcing(["17 + 25 is 42"], in: output))
      #expect(ContractCheck.check(review, against: Self.contract) == .met(review))
      #expect(review.contains(#""verdict":"repair""#) && review.contains("17 + 25 is 42"))
    }
  }

  @Test("nothing is changed when nothing is certain, or the output is no review")
  func untouched() {
    #expect(enforcing([], in: #"{"verdict":"accept","quality":5,"issues":[]}"#) == nil)
    for other: OutputContract in [
      .text, .choice(["accept", "repair"]), .json(schema: #"{"type":"object"}"#),
      .json(schema: #"{"properties":{"verdict":{"enum":["yes","no"]}}}"#), .json(schema: "x"),
    ] {
      #expect(ReviewCorrection.enforcing(["x"], in: "{}", contract: other) == nil)
    }
  }

  @Test("more issues than the contract allows are never made")
  func bounded() throws {
    let many = (0..<8).map { #"{"issue":"\#($0)"}"# }.joined(separator: ",")
    let review = try #require(
      enforcing(["a", "b"], in: #"{"verdict":"accept","quality":5,"issues":[\#(many)]}"#))
    #expect(ContractCheck.check(review, against: Self.contract) == .met(review))
    #expect(review.contains(#""issue":"5""#) && !review.contains(#""issue":"6""#))
  }
}
