/// A host's own price, in millionths of a credit per million tokens.
///
/// A price of 0.15 credits per million tokens is the number 150,000.
public struct HostPrice: Hashable, Sendable {
  /// Price of prompt tokens.
  public let input: Int64
  /// Price of completion tokens.
  public let output: Int64

  /// Highest permitted price: a thousand credits per token.
  public static let highest: Int64 = 1_000_000_000_000_000
  public static let free = HostPrice(input: 0, output: 0)

  private static let tokensPerPrice: Int128 = 1_000_000

  /// Prices outside 0 … `highest` are replaced by the nearest permitted one.
  public init(input: Int64, output: Int64) {
    self.input = Self.clamped(input)
    self.output = Self.clamped(output)
  }

  private static func clamped(_ price: Int64) -> Int64 { min(max(price, 0), highest) }

  /// The higher of both prices. No token costs more.
  public var dearest: Int64 { max(input, output) }

  /// Cost of the tokens in millionths of a credit, rounded down once. A cost that does not fit into
  /// 64 bits is `Int64.max`. A negative number of tokens counts as 0.
  public func cost(prompt: Int, completion: Int) -> Int64 {
    // It fits into 128 bits, because each product has fewer than 2^63 tokens and a price of at most
    // 10^15.
    let exact =
      Int128(max(prompt, 0)) * Int128(input) + Int128(max(completion, 0)) * Int128(output)
    return Int64(clamping: exact / Self.tokensPerPrice)
  }
}
