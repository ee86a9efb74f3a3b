/// Length of time for which a budget's amount is granted.
public enum BudgetPeriod: String, Codable, CaseIterable, Sendable {
  case hour, day, week, month, quarter, year

  /// First millisecond after the calendar period that contains `time`, in UTC. Weeks begin on
  /// Monday.
  func end(ofPeriodAt time: Int64) -> Int64 {
    let time = UTCDate.clamped(time)
    let date = UTCDate(milliseconds: time)
    switch self {
    case .hour: return time - time % Self.hourLength + Self.hourLength
    case .day: return time - date.millisecondOfDay + UTCDate.millisecondsPerDay
    case .week:
      // The first day of 1970 was a Thursday, which is three days after Monday.
      let daysSinceMonday = (time / UTCDate.millisecondsPerDay + 3) % 7
      return time - date.millisecondOfDay + (7 - daysSinceMonday) * UTCDate.millisecondsPerDay
    case .month: return UTCDate.start(ofMonth: date.month + 1, in: date.year)
    case .quarter:
      return UTCDate.start(ofMonth: (date.month - 1) / 3 * 3 + 4, in: date.year)
    case .year: return UTCDate.start(ofMonth: 13, in: date.year)
    }
  }

  /// Length of a rolling period in milliseconds. A month has 30 days, a quarter 90 and a year 365.
  var rollingLength: Int64 {
    switch self {
    case .hour: Self.hourLength
    case .day: UTCDate.millisecondsPerDay
    case .week: 7 * UTCDate.millisecondsPerDay
    case .month: 30 * UTCDate.millisecondsPerDay
    case .quarter: 90 * UTCDate.millisecondsPerDay
    case .year: 365 * UTCDate.millisecondsPerDay
    }
  }

  private static let hourLength: Int64 = 3_600_000
}
