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
    // The tokens cost at most `rest`, which is a whole number, and the bill is rounded down once
    // for all tokens. So the bill is at most the hold, even if `promptCost` was rounded down.
    let product = UInt64(rest.count).multipliedFullWidth(by: 1_000_000)
    let divisor = UInt64(price.count)
    guard product.high < divisor else { return .max }
    return Int(clamping: divisor.dividingFullWidth(product).quotient)
  }
}
