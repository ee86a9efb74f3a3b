import Money
import Testing

struct AffordableTokensTests {
  @Test("the rest of a hold after the prompt pays whole tokens")
  func tokens() {
    let hold = MicroCredits(1_000)
    #expect(
      hold.affordableTokens(promptCost: MicroCredits(400), pricePerMillion: MicroCredits(2_500_000))
        == 240)
    #expect(
      hold.affordableTokens(
        promptCost: MicroCredits(1_000), pricePerMillion: MicroCredits(1_000_001)) == 0)
  }

  @Test("free tokens have no limit")
  func free() {
    #expect(MicroCredits(1).affordableTokens(promptCost: .zero, pricePerMillion: .zero) == nil)
  }

  @Test("extreme amounts do not trap")
  func extremes() {
    let most = MicroCredits(.max)
    #expect(most.affordableTokens(promptCost: .zero, pricePerMillion: MicroCredits(1)) == .max)
    #expect(MicroCredits(.min).affordableTokens(promptCost: most, pricePerMillion: most) == 0)
    #expect(
      most.affordableTokens(promptCost: MicroCredits(.min), pricePerMillion: most) == 1_000_000)
  }
}
