extension MicroCredits {
  /// Maximum number of completion tokens that a hold pays after the prompt.
  ///
  /// - Parameters:
  ///   - promptCost: cost of the prompt, which is part of the hold.
  ///   - price: price of a million completion tokens.
  /// - Returns: `nil` if the tokens are free, so that the hold sets no limit. 0 if the hold does
  ///   not even pay for the prompt.
  public func affordableTokens(promptCost: MicroCredits, pricePerMillion price: MicroCredits)
    -> Int?
  {
    guard price > .zero else { return nil }
    let rest = subtractingCapped(promptCost)
    guard rest >= .zero else { return 0 }
    // The bill is rounded down once for all tokens. The prompt's cost was rounded down alone, so it
    // may be up to one micro-credit below its part of the bill. The condition `tokens × price ≤
    // rest` leaves room for this difference.
    let product = UInt64(rest.count).multipliedFullWidth(by: 1_000_000)
    let divisor = UInt64(price.count)
    guard product.high < divisor else { return .max }
    return Int(clamping: divisor.dividingFullWidth(product).quotient)
  }
}
