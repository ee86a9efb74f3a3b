import AgentCore
import ClusterModel
import Testing

@Suite("Mistakes that are reported as certain")
struct CertaintyTests {
  @Test(
    "a right calculation is left alone, however it is written",
    arguments: [
      "15 × 12 = 15 × 10 + 15 × 2 = 180", "-5 + 8 = 3", "- 5 + 8 = 3", "(2 + 3) × 4 - 5 = 15",
      "x + 3 + 4 = 10", "2^3 + 4 + 5 = 17", "2**3 + 4 = 12", "3² + 4 + 1 = 14",
      "19 / 5 = 3 remainder 4", "50 + 20 = 70 - 4 + 4", "2 + 3 = 5 × 4 = 20", ".5 + 5 = 5.5",
      "20% of 50 + 3 = 13", "3 \\times 4 + 5 = 17", "three plus 4 + 5 = 12", "2 1/2 + 3 = 5.5",
      "2 + 3 = 5(4 - 3)", "0.2 + 0.3 = 50%", "3 × 2 = 3!", "1 / 7 = 0.1428...", "y 3 + 4 = 10",
      "2 + 2 = 1 y", "max(2, 3) × 2 + 1 = 7", "√4 + 5 = 7", "Total = 17 + 25 = 42",
    ])
  func right(text: String) {
    #expect(ArithmeticCheck.wrongEquations(in: text).isEmpty)
  }

  @Test(
    "a wrong equation is found wherever it is complete",
    arguments: [
      ("Total = 17 + 25 = 43", "17 + 25 = 43"), ("- 17 + 25 = 43", "17 + 25 = 43"),
      ("1. 17 + 25 = 43 people", "17 + 25 = 43"), ("The sum (17 + 25 = 43) is", "17 + 25 = 43"),
      ("**17 + 25 = 43**", "17 + 25 = 43"), ("Both: 17 + 25 = 43, so", "17 + 25 = 43"),
      ("Yes.\n17 + 25 = 43\nNo.", "17 + 25 = 43"), ("| 17 + 25 = 43 |", "17 + 25 = 43"),
      ("15 × 12 = 15 × 10 + 15 × 2 = 190", "15 × 10 + 15 × 2 = 190"),
    ])
  func wrong(text: String, written: String) {
    #expect(ArithmeticCheck.wrongEquations(in: text).map(\.written) == [written])
  }

  @Test(
    "a sentence that combines two of a source contradicts neither",
    arguments: [
      ("In 2021 and 2022 revenue was 5 and 7 million.", FactCheck.Verdict.supported),
      ("In 2021 revenue was 7 million.", .contradicted),
      ("In 2021 and 2022 revenue was 5 and 9 million.", .contradicted),
    ])
  func together(claim: String, verdict: FactCheck.Verdict) {
    let source = PromptDocuments.Source(
      name: "s.md", text: "In 2021 revenue was 5 million. In 2022 revenue was 7 million.")
    #expect(FactCheck(claim, against: [source]).claims.map(\.verdict) == [verdict])
  }
}
