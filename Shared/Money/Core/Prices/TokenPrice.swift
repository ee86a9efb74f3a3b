public import ClusterModel

/// Price of tokens of each kind, in micro-credits per million tokens.
///
/// A price of 0.15 credits per million tokens is the number 150,000.
public struct TokenPrice: Hashable, Codable, Sendable {
  public let input: MicroCredits
  /// Price of prompt tokens that the host had in its cache.
  public let cachedInput: MicroCredits
  public let output: MicroCredits

  /// Highest permitted price: a thousand credits per token.
  public static let highest = MicroCredits(HostPrice.highest)
  public static let free = TokenPrice()

  private static let tokensPerPrice: Int128 = 1_000_000

  private init() {
    input = .zero
    cachedInput = .zero
    output = .zero
  }

  /// - Throws: `MoneyError.invalidPrice` if a price is outside 0 … `highest`.
  public init(
    input: MicroCredits, cachedInput: MicroCredits, output: MicroCredits
  ) throws(MoneyError) {
    for price in [input, cachedInput, output] {
      guard Self.isValid(price) else { throw .invalidPrice }
    }
    self.input = input
    self.cachedInput = cachedInput
    self.output = output
  }

  /// A host's own price. Cached tokens cost as much as other tokens of the prompt.
  public init(_ price: HostPrice) {
    input = MicroCredits(price.input)
    cachedInput = input
    output = MicroCredits(price.output)
  }

  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    try self.init(
      input: members.decode(MicroCredits.self, forKey: .input),
      cachedInput: members.decode(MicroCredits.self, forKey: .cachedInput),
      output: members.decode(MicroCredits.self, forKey: .output))
  }

  /// Parses one price from credits per million tokens, such as `0.15`.
  public static func parse(_ text: some StringProtocol) throws(AmountTextError) -> MicroCredits {
    try MicroCredits(credits: text, atMost: highest)
  }

  static func isValid(_ price: MicroCredits) -> Bool {
    (MicroCredits.zero...highest).contains(price)
  }

  /// Cost of the tokens. It is rounded down once, after the costs of all kinds are summed.
  public func cost(of usage: TokenUsage) throws(MoneyError) -> MicroCredits {
    let total = (exactCost(of: usage) / Self.tokensPerPrice)
    guard let count = Int64(exactly: total) else { throw .overflow }
    return MicroCredits(count)
  }

  /// Cost times a million. It fits into 128 bits, because it is the sum of three products, each of
  /// fewer than 2^63 tokens and a price of at most 10^15 micro-credits (`highest`).
  private func exactCost(of usage: TokenUsage) -> Int128 {
    Int128(usage.prompt - usage.cached) * Int128(input.count)
      + Int128(usage.cached) * Int128(cachedInput.count)
      + Int128(usage.completion) * Int128(output.count)
  }
}
