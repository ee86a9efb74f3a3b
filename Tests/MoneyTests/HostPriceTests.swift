import ClusterModel
import Money
import Testing

@Suite("Price of a host")
struct HostPriceTests {
  @Test("the cost has both kinds of tokens and is rounded down once")
  func cost() {
    // 0.15 and 0.6 credits per million tokens.
    let price = HostPrice(input: 150_000, output: 600_000)
    #expect(price.cost(prompt: 1_000_000, completion: 1_000_000) == 750_000)
    #expect(price.cost(prompt: 10, completion: 0) == 1)
    #expect(price.cost(prompt: 5, completion: 1) == 1)
    #expect(price.cost(prompt: 0, completion: 0) == 0)
    #expect(price.cost(prompt: -5, completion: 10) == 6)
    #expect(HostPrice.free.cost(prompt: .max, completion: .max) == 0)
    let most = HostPrice(input: .max, output: .max)
    #expect(most.cost(prompt: .max, completion: .max) == .max)
    #expect(most.cost(prompt: 1, completion: 1) == 2_000_000_000)
  }

  @Test("prices outside the permitted range become the nearest permitted one")
  func range() {
    let price = HostPrice(input: -1, output: .max)
    #expect(price.input == 0 && price.output == HostPrice.highest)
    #expect(price.dearest == HostPrice.highest)
  }

  @Test(
    "a host's price and the same price of the book cost the same", arguments: 0..<200 as Range<Int>)
  func sameAsBook(_ number: Int) throws {
    var random = SplitMix64(seed: UInt64(number))
    let price = HostPrice(
      input: Int64.random(in: 0...HostPrice.highest, using: &random),
      output: Int64.random(in: 0...HostPrice.highest, using: &random))
    let (prompt, completion) = (
      Int.random(in: 0...1_000_000, using: &random), Int.random(in: 0...1_000, using: &random)
    )
    let usage = try TokenUsage(prompt: Int64(prompt), completion: Int64(completion))
    #expect(
      try TokenPrice(price).cost(of: usage).count
        == price.cost(prompt: prompt, completion: completion))
  }

  @Test("a host is free if its price is 0, or if it has neither a price nor a credential")
  func free() {
    func isFree(_ price: HostPrice?, credential: String? = nil) -> Bool {
      Host(id: "h", url: "http://h", credential: credential, price: price).isFree
    }
    #expect(isFree(nil))
    #expect(!isFree(nil, credential: "env:A"), "it probably sends bills")
    #expect(isFree(.free, credential: "env:A"))
    #expect(!isFree(HostPrice(input: 0, output: 1)))
    #expect(!isFree(HostPrice(input: 1, output: 0)))
  }
}
