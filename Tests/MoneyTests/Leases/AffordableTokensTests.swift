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

  @Test("the cost of prompt and affordable tokens, rounded once, is within the hold")
  func withinHold() throws {
    var rng = SplitMixSource(seed: 7)
    for _ in 0..<2_000 {
      let price = try TokenPrice(
        input: MicroCredits(rng.number(0...5_000_000)), cachedInput: .zero,
        output: MicroCredits(rng.number(1...5_000_000)))
      let prompt = try TokenUsage(prompt: rng.number(0...1_000), completion: 0)
      let hold = MicroCredits(rng.number(0...5_000))
      let promptCost = try price.cost(of: prompt)
      let tokens = try #require(
        hold.affordableTokens(promptCost: promptCost, pricePerMillion: price.output))
      guard promptCost <= hold else {
        #expect(tokens == 0)
        continue
      }
      let answer = try TokenUsage(prompt: prompt.prompt, completion: Int64(tokens))
      #expect(try price.cost(of: answer) <= hold)
      // One more token would use up the hold.
      let longer = try TokenUsage(prompt: prompt.prompt, completion: Int64(tokens) + 1)
      #expect(try price.cost(of: longer) >= hold)
    }
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
