/// An amount of money: a whole number of millionths of a credit, positive or negative.
///
/// All amounts are integers, so that sums are exact. Every operation that can leave the range
/// throws `MoneyError.overflow`.
public struct MicroCredits: Hashable, Comparable, Codable, Sendable {
  public let count: Int64

  public static let zero = MicroCredits(0)
  public static let perCredit: Int64 = 1_000_000

  public init(_ count: Int64) { self.count = count }

  /// Encoded as its number.
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
}
