import Foundation
import Testing

@testable import Money

@Suite("Dates in UTC")
struct UTCDateTests {
  private static func calendar() throws -> Calendar {
    var calendar = Calendar(identifier: .iso8601)
    calendar.timeZone = try #require(TimeZone(secondsFromGMT: 0))
    return calendar
  }

  private static func times() -> [Int64] {
    var rng = SplitMixSource(seed: 3)
    // Most times are before 2100, the others before 9988.
    let random: [Int64] = (0..<2_000).map {
      rng.number(0...($0 < 1_500 ? 4_102_444_800_000 : 253_000_000_000_000))
    }
    return random + [
      0, 951_782_400_000, 951_868_799_999, 4_107_542_399_999, UTCDate.times.upperBound,
    ]
  }

  @Test("dates agree with Foundation's calendar")
  func dates() throws {
    let calendar = try Self.calendar()
    for time in Self.times() {
      let date = UTCDate(milliseconds: time)
      let parts = calendar.dateComponents(
        [.year, .month, .day], from: Date(timeIntervalSince1970: Double(time / 1_000)))
      #expect(date.year == Int64(parts.year ?? 0), "\(time)")
      #expect(date.month == Int64(parts.month ?? 0), "\(time)")
      #expect(date.day == Int64(parts.day ?? 0), "\(time)")
    }
  }

  @Test("periods end where Foundation's calendar ends them")
  func periods() throws {
    let calendar = try Self.calendar()
    let units: [(BudgetPeriod, Calendar.Component)] = [
      (.hour, .hour), (.day, .day), (.week, .weekOfYear), (.month, .month), (.year, .year),
    ]
    for time in Self.times() where time < 253_000_000_000_000 {
      let date = Date(timeIntervalSince1970: Double(time / 1_000))
      for (period, unit) in units {
        let interval = try #require(calendar.dateInterval(of: unit, for: date))
        #expect(
          period.end(ofPeriodAt: time) == Int64(interval.end.timeIntervalSince1970) * 1_000,
          "\(period) at \(time)")
      }
    }
  }

  @Test(
    "quarters end with March, June, September and December",
    arguments: [
      ("2024-01-01T00:00:00Z", "2024-04-01T00:00:00Z"),
      ("2024-02-29T12:00:00Z", "2024-04-01T00:00:00Z"),
      ("2024-06-30T23:59:59Z", "2024-07-01T00:00:00Z"),
      ("2024-11-29T00:00:00Z", "2025-01-01T00:00:00Z"),
    ])
  func quarters(text: String, end: String) throws {
    let date = try Date(text, strategy: .iso8601)
    let time = Int64(date.timeIntervalSince1970) * 1_000
    #expect(UTCDate(milliseconds: time).description == text)
    #expect(UTCDate(milliseconds: BudgetPeriod.quarter.end(ofPeriodAt: time)).description == end)
  }

  @Test("times without a date count as the nearest one")
  func extremes() {
    #expect(UTCDate(milliseconds: .min).description == "1970-01-01T00:00:00Z")
    #expect(UTCDate(milliseconds: .max).description == "9999-12-31T23:59:59Z")
    for period in BudgetPeriod.allCases {
      #expect(period.end(ofPeriodAt: .max) > UTCDate.times.upperBound)
      #expect(period.end(ofPeriodAt: .min) > 0)
    }
  }
}

@Suite("Dates as text")
struct UTCDateTextTests {
  @Test("the text of a date is read as the same date")
  func roundTrip() {
    var rng = SplitMixSource(seed: 5)
    for _ in 0..<1_000 {
      let time = rng.number(0...UTCDate.times.upperBound)
      let date = UTCDate(milliseconds: time / 1_000 * 1_000)
      #expect(UTCDate(date.description) == date)
      #expect(UTCDate(milliseconds: time).milliseconds == time)
    }
  }

  @Test("a date without a time means its first millisecond")
  func day() {
    #expect(UTCDate("2027-01-31")?.milliseconds == 1_801_353_600_000)
    #expect(UTCDate("2028-02-29T00:00Z") == UTCDate("2028-02-29"))
  }

  @Test(
    "other text is no date",
    arguments: [
      "", "2027", "2027-02-29", "2027-00-01", "2027-13-01", "2027-01-00", "2027-01-32",
      "2027/01/31", "1969-12-31", "2027-01-31T24:00Z", "2027-01-31T00:60Z", "2027-01-31T00:00:60Z",
      "2027-01-31t00:00Z", "2027-01-31T00:00:00", "+027-01-31", "２027-01-31",
    ])
  func noDate(text: String) { #expect(UTCDate(text) == nil) }
}
