/// An amount of money as a whole number of millionths of a credit. It may be negative.
///
/// All amounts are integers, so that sums are exact. A sum or difference that does not fit into 64
/// bits throws `MoneyError.overflow`, unless the operation has `Capped` in its name.
public struct MicroCredits: Hashable, Comparable, Codable, Sendable {
  public let count: Int64

  public static let zero = MicroCredits(0)
  public static let perCredit: Int64 = 1_000_000

  public init(_ count: Int64) { self.count = count }

  /// Decodes the amount from a plain number.
  public init(from decoder: any Decoder) throws {
    count = try decoder.singleValueContainer().decode(Int64.self)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(count)
  }

  public static func < (left: MicroCredits, right: MicroCredits) -> Bool {
    left.count < right.count
  }

  public func adding(_ other: MicroCredits) throws(MoneyError) -> MicroCredits {
    let (sum, overflow) = count.addingReportingOverflow(other.count)
    guard !overflow else { throw .overflow }
    return MicroCredits(sum)
  }

  public func subtracting(_ other: MicroCredits) throws(MoneyError) -> MicroCredits {
    let (difference, overflow) = count.subtractingReportingOverflow(other.count)
    guard !overflow else { throw .overflow }
    return MicroCredits(difference)
  }

  public func negated() throws(MoneyError) -> MicroCredits {
    try MicroCredits.zero.subtracting(self)
  }
}

/// Why an amount could not be computed or posted.
public enum MoneyError: Error, Hashable, Sendable {
  /// The result does not fit into 64 bits.
  case overflow
  /// The entries of a transaction do not sum to zero.
  case unbalanced
  /// A transaction has an empty or too long id, too many entries, or too long a note or name.
  case oversized
  /// An amount that must not be negative is negative.
  case negative
  /// A token count is negative, or exceeds the count that contains it.
  case invalidTokens
  /// A price or fee is outside 0 … 10^15 micro-credits.
  case invalidPrice
  /// A payout rule's share of the winner's pay is outside 100 … 200 per mille.
  case invalidShare
  /// Warning thresholds of a budget are outside 1 … 1000 per mille, or there are too many of them.
  case invalidWarnings
  /// An answer has two winners, or a bill has too many answers or attempts.
  case invalidOutcome
}
