/// The UTC days that a usage report covers. The last one is today.
public struct UsagePeriod: Hashable, Sendable {
  /// Allowed numbers of days. 31 days cover any calendar month.
  public static let allowedDays = 1...31
  public static let standardDays = 30

  private static let dayMicroseconds: UInt64 = 24 * 3_600 * 1_000_000

  /// Start of the first day, in microseconds since 1970.
  public let sinceUnixMicroseconds: UInt64

  /// - Parameter days: number of days, today included. Other numbers are clamped to `allowedDays`.
  public init(days: Int, nowUnixMicroseconds now: UInt64) {
    let days = min(max(days, Self.allowedDays.lowerBound), Self.allowedDays.upperBound)
    let today = now / Self.dayMicroseconds
    let before = UInt64(days - 1)
    sinceUnixMicroseconds = today > before ? (today - before) * Self.dayMicroseconds : 0
  }
}
