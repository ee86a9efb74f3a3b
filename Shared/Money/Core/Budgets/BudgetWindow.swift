/// Determines how long spending counts against a budget.
public struct BudgetWindow: Hashable, Codable, Sendable {
  public enum Kind: String, Codable, CaseIterable, Sendable {
    /// Spending counts until the end of the calendar period in UTC.
    case calendar
    /// Spending counts for at least the length of the period.
    case rolling
  }

  public let period: BudgetPeriod
  public let kind: Kind

  /// Number of buckets of a rolling period. All spending in one bucket expires at the same time.
  static let bucketsPerPeriod: Int64 = 60

  public init(_ kind: Kind, _ period: BudgetPeriod) {
    self.kind = kind
    self.period = period
  }

  /// First millisecond at which spending at `time` no longer counts.
  ///
  /// In a rolling window, a bucket counts for a whole period after its end. So the counted amount
  /// is never below the spending of the last period.
  func expiry(ofSpendingAt time: Int64) -> Int64 {
    switch kind {
    case .calendar: return period.end(ofPeriodAt: time)
    case .rolling:
      let time = UTCDate.clamped(time)
      let length = period.rollingLength / Self.bucketsPerPeriod
      return time - time % length + length + period.rollingLength
    }
  }
}
