/// A cost in a record: a whole number of millionths of a credit, not negative.
///
/// In JSON, it is a string in credits, such as `"0.0123"`.
public struct CreditAmount: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let millionths: Int64

  /// - Parameter millionths: a negative amount counts as 0.
  public init(millionths: Int64) { self.millionths = max(0, millionths) }

  public static let zero = CreditAmount(millionths: 0)

  public static func < (left: CreditAmount, right: CreditAmount) -> Bool {
    left.millionths < right.millionths
  }

  /// The sum, or the largest amount if the sum does not fit into 64 bits.
  public func addingCapped(_ other: CreditAmount) -> CreditAmount {
    let (sum, overflow) = millionths.addingReportingOverflow(other.millionths)
    return CreditAmount(millionths: overflow ? .max : sum)
  }

  /// Parses a text that `description` made.
  /// - Returns: `nil` if the text has more than 6 decimals, or another form.
  public init?(_ text: String) {
    guard text.utf8.count <= 20 else { return nil }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count),
      parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
      let whole = Int64(parts[0])
    else { return nil }
    let digits = parts.count == 2 ? String(parts[1]) : "0"
    guard digits.utf8.count <= 6,
      let rest = Int64(digits + String(repeating: "0", count: 6 - digits.utf8.count))
    else { return nil }
    let (product, isTooMuch) = whole.multipliedReportingOverflow(by: 1_000_000)
    let (sum, isMore) = product.addingReportingOverflow(rest)
    guard !isTooMuch, !isMore else { return nil }
    self.init(millionths: sum)
  }

  public var description: String { Self.text(ofMillionths: millionths) }

  /// An amount in credits, with as many decimals as it needs: `0.15`, `-3`, `0.000001`.
  public static func text(ofMillionths count: Int64) -> String {
    let (whole, rest) = count.magnitude.quotientAndRemainder(dividingBy: 1_000_000)
    let sign = count < 0 ? "-" : ""
    guard rest > 0 else { return sign + String(whole) }
    var digits: [UInt8] = []
    digits.reserveCapacity(6)
    var (left, unit): (UInt64, UInt64) = (rest, 100_000)
    while left > 0 {
      digits.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: left / unit))
      left %= unit
      unit /= 10
    }
    return sign + String(whole) + "." + String(decoding: digits, as: UTF8.self)
  }
}

extension CreditAmount: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let amount = CreditAmount(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "an amount is a string of credits, such as \"0.15\"")
    }
    self = amount
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
