/// A date and time of day in UTC, in the proleptic Gregorian calendar, without leap seconds.
public struct UTCDate: Hashable, Sendable, CustomStringConvertible {
  let year: Int64
  /// 1 … 12.
  public let month: Int64
  /// 1 … 31.
  let day: Int64
  /// 0 … 86,399,999.
  public let millisecondOfDay: Int64

  /// Times that have a date: the years 1970 … 9999.
  public static let times: ClosedRange<Int64> = 0...253_402_300_799_999
  static let millisecondsPerDay: Int64 = 86_400_000

  /// - Parameter time: milliseconds since 1970. A time outside `times` counts as the nearest bound.
  public init(milliseconds time: Int64) {
    let time = Self.clamped(time)
    let (days, rest) = time.quotientAndRemainder(dividingBy: Self.millisecondsPerDay)
    // A cycle of 400 years has 146,097 days. Years begin in March, so that the leap day is the last
    // day.
    let shifted = days + 719_468
    let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    millisecondOfDay = rest
  }

  static func clamped(_ time: Int64) -> Int64 {
    min(max(time, times.lowerBound), times.upperBound)
  }

  /// Milliseconds from 1970 to the first day of a month.
  ///
  /// - Parameter month: 1 … 12, or 13 for January of the next year.
  static func start(ofMonth month: Int64, in year: Int64) -> Int64 {
    let monthFromMarch = month > 2 ? month - 3 : month + 9
    let marchYear = month > 2 ? year : year - 1
    let (era, yearOfEra) = marchYear.quotientAndRemainder(dividingBy: 400)
    let dayOfYear = (153 * monthFromMarch + 2) / 5
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return (era * 146_097 + dayOfEra - 719_468) * millisecondsPerDay
  }

  /// Date and time in ISO 8601, for example `2026-11-29T21:55:00Z`.
  public var description: String {
    let second = millisecondOfDay / 1_000
    let date = "\(padded(year, to: 4))-\(padded(month, to: 2))-\(padded(day, to: 2))"
    let hour = padded(second / 3_600, to: 2)
    return "\(date)T\(hour):\(padded(second / 60 % 60, to: 2)):\(padded(second % 60, to: 2))Z"
  }

  private func padded(_ number: Int64, to width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
