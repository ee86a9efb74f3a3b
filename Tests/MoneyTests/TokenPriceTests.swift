import Foundation
import Money
import Testing

@Suite("Prices of tokens")
struct TokenPriceTests {
  @Test("the cost is rounded down once, after all kinds of tokens are summed")
  func rounding() throws {
    let price = try TokenPrice(
      input: MicroCredits(400_000), cachedInput: MicroCredits(300_000),
      output: MicroCredits(300_000))
    // The cost is 0.4 + 0.3 + 0.3. If each kind were rounded down, it would be 0.
    let usage = try TokenUsage(prompt: 2, cached: 1, completion: 1)
    #expect(try price.cost(of: usage) == MicroCredits(1))
    #expect(try price.cost(of: TokenUsage(prompt: 1, completion: 1)) == .zero)
  }

  @Test("cached prompt tokens cost their own price")
  func cached() throws {
    let price = try TokenPrice(
      input: MicroCredits(2_000_000), cachedInput: MicroCredits(500_000), output: .zero)
    let usage = try TokenUsage(prompt: 1_000, cached: 800, completion: 50)
    #expect(try price.cost(of: usage) == MicroCredits(400 + 400))
  }

  @Test("the largest counts at the highest price are an error, not a trap")
  func overflow() throws {
    let highest = TokenPrice.highest
    let price = try TokenPrice(input: highest, cachedInput: highest, output: highest)
    let most = try TokenUsage(prompt: .max, cached: 5, completion: .max)
    #expect(throws: MoneyError.overflow) { try price.cost(of: most) }
    // The intermediate product exceeds 64 bits, but the cost does not.
    let usage = try TokenUsage(prompt: 9_000_000_000, completion: 0)
    #expect(try price.cost(of: usage) == MicroCredits(9_000_000_000_000_000_000))
  }

  @Test("prices and counts out of range are errors, also if they are decoded")
  func ranges() throws {
    #expect(throws: MoneyError.invalidPrice) {
      try TokenPrice(input: MicroCredits(-1), cachedInput: .zero, output: .zero)
    }
    #expect(throws: MoneyError.invalidPrice) {
      try TokenPrice(
        input: .zero, cachedInput: .zero, output: TokenPrice.highest.adding(MicroCredits(1)))
    }
    #expect(throws: MoneyError.invalidTokens) { try TokenUsage(prompt: -1, completion: 0) }
    #expect(throws: MoneyError.invalidTokens) {
      try TokenUsage(prompt: 3, cached: 4, completion: 0)
    }
    #expect(throws: MoneyError.overflow) {
      try TokenUsage(prompt: .max, completion: 0).adding(TokenUsage(prompt: 1, completion: 0))
    }
    let decoder = JSONDecoder()
    #expect(throws: MoneyError.invalidPrice) {
      try decoder.decode(
        TokenPrice.self, from: Data(#"{"input":-1,"cachedInput":0,"output":0}"#.utf8))
    }
    #expect(throws: MoneyError.invalidTokens) {
      try decoder.decode(TokenUsage.self, from: Data(#"{"prompt":1,"completion":-1}"#.utf8))
    }
    let price = try TokenPrice(
      input: MicroCredits(1), cachedInput: MicroCredits(2), output: MicroCredits(3))
    #expect(try decoder.decode(TokenPrice.self, from: JSONEncoder().encode(price)) == price)
  }
}
