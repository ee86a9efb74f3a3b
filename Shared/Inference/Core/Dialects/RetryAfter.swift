import Limits

/// Parses HTTP's `Retry-After`: seconds, whole or fractional, or a date (RFC 9110, 10.2.3).
public enum RetryAfter {
  /// Longest accepted wait: one day, in seconds. A larger value counts as a mistake.
  static let longest = 86_400.0

  /// - Parameter now: Seconds since 1970 by the local clock. If the host's clock differs, the wait
  ///   is wrong by the difference.
  /// - Returns: `nil` if the value has another format, is negative or means more than a day. A date
  ///   in the past means no wait.
  public static func duration(_ value: String, now: Int) -> Duration? {
    let text = value.trimmed
    guard text.utf8.first.map({ $0 < UInt8(ascii: "A") }) == true else {
      guard let date = date(text) else { return nil }
      return wait(Double(max(date - now, 0)))
    }
    guard let seconds = Double(text) else { return nil }
    return wait(seconds)
  }

  /// Parses OpenAI's `retry-after-ms`: milliseconds, whole or fractional.
  /// - Returns: `nil` if the value is not a number from zero to a day.
  public static func duration(milliseconds value: String) -> Duration? {
    Double(value.trimmed).flatMap { wait($0 / 1_000) }
  }

  private static func wait(_ seconds: Double) -> Duration? {
    guard (0...longest).contains(seconds) else { return nil }
    return .milliseconds(Int(clamping: (seconds * 1_000).rounded(.up)))
  }

  private static let months = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
  ]

  /// Seconds since 1970 of a date such as "Sun, 06 Nov 1994 08:49:37 GMT".
  ///
  /// HTTP has other date formats too, but servers may no longer send them.
  private static func date(_ text: String) -> Int? {
    let words = text.split(separator: " ")
    guard words.count == 6, words[0].hasSuffix(","), words[5] == "GMT",
      let day = Int(words[1]), (1...31).contains(day),
      let month = months.firstIndex(of: words[2].lowercased()),
      let year = Int(words[3]), (1_970...9_999).contains(year)
    else { return nil }
    let time = words[4].split(separator: ":").compactMap { Int($0) }
    guard time.count == 3, (0...23).contains(time[0]), (0...59).contains(time[1]),
      (0...60).contains(time[2])
    else { return nil }
    return days(year, month + 1, day) * 86_400 + time[0] * 3_600 + time[1] * 60 + time[2]
  }

  /// Days from 1 January 1970 to a date. For the calculation a year begins in March, so that a leap
  /// day is the last day of its year.
  private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month <= 2 ? year - 1 : year
    let inYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    // 1 March of the year 0 is 719,468 days before 1 January 1970.
    return 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + inYear - 719_468
  }
}

extension String {
  fileprivate var trimmed: String {
    let inner = drop { $0 == " " || $0 == "\t" }
    return String(inner.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
  }
}
