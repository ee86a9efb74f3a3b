internal import ClusterModel
internal import Limits

/// Why a text is not an amount of credits.
public enum AmountTextError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The text is empty or too long, has other characters than digits and one point, or the point
  /// lacks a digit on one side.
  case notDecimal
  case negative
  /// The text has more than 6 digits after the point.
  case tooManyDecimals
  case aboveMaximum(MicroCredits)

  public var description: String {
    switch self {
    case .notDecimal:
      "an amount is digits with at most 6 decimals, such as 0.15, without exponent or unit"
    case .negative: "an amount is not negative"
    case .tooManyDecimals: "an amount has at most 6 decimals: one millionth is the smallest unit"
    case .aboveMaximum(let most): "an amount is at most \(most.credits)"
    }
  }
}

extension MicroCredits {
  /// Parses credits in decimal digits, such as `0.15`.
  ///
  /// - Throws: an error for a sign, an exponent, white space, a seventh decimal, or an amount above
  ///   `most`. The amount is never rounded.
  public init(
    credits text: some StringProtocol, atMost most: MicroCredits = MicroCredits(.max)
  ) throws(AmountTextError) {
    let bytes = text.utf8
    guard bytes.first != UInt8(ascii: "-") else { throw .negative }
    guard bytes.count <= Limits.amountBytes.value else { throw .notDecimal }
    var count: Int64 = 0
    var isTooLarge = false
    var decimals: Int?
    var digitsOfPart = 0

    func append(_ digit: Int64) {
      let (shifted, first) = count.multipliedReportingOverflow(by: 10)
      let (sum, second) = shifted.addingReportingOverflow(digit)
      count = sum
      isTooLarge = isTooLarge || first || second
    }

    for byte in bytes {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        digitsOfPart += 1
        if let places = decimals { decimals = places + 1 }
        append(Int64(byte - UInt8(ascii: "0")))
      case UInt8(ascii: ".") where decimals == nil && digitsOfPart > 0:
        decimals = 0
        digitsOfPart = 0
      default: throw .notDecimal
      }
    }
    guard digitsOfPart > 0 else { throw .notDecimal }
    guard decimals ?? 0 <= 6 else { throw .tooManyDecimals }
    for _ in (decimals ?? 0)..<6 { append(0) }
    guard !isTooLarge, count <= most.count else { throw .aboveMaximum(most) }
    self.init(count)
  }

  /// The amount in credits, with as many decimals as it needs: `0.15`, `-3`, `0.000001`.
  public var credits: String { CreditAmount.text(ofMillionths: count) }
}
