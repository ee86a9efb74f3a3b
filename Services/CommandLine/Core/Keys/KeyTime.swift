public import ClusterModel
import Money

/// Durations and points in time as people write them in options.
public enum KeyTime {
  /// Parses the value of `--expires`.
  ///
  /// - Parameters:
  ///   - text: a duration, a date, or `never`.
  ///   - now: milliseconds since 1970.
  /// - Returns: milliseconds since 1970. `nil` means that the key does not expire.
  static func expiry(_ text: String, now: Int64) throws(ProcessFailure) -> Int64? {
    if text == "never" { return nil }
    if let date = UTCDate(text) {
      guard date.milliseconds > now else {
        throw ProcessFailure(.usage, "--expires: \(text) is in the past (dates are in UTC)")
      }
      return date.milliseconds
    }
    guard let duration = milliseconds(text), duration > 0 else {
      throw ProcessFailure(
        .usage,
        "--expires: “\(text.cut(toBytes: 40))” is not a duration (90m, 12h, 30d, 2w), a date "
          + "(2027-01-31 or 2027-01-31T12:00:00Z, in UTC) or never")
    }
    let (time, overflows) = now.addingReportingOverflow(duration)
    guard !overflows, UTCDate.times.contains(time) else {
      throw ProcessFailure(
        .usage, "--expires: \(text) ends after the year 9999; write never for no expiry")
    }
    return time
  }

  /// Parses the value of `--grace`.
  public static func grace(_ text: String) throws(ProcessFailure) -> Int64 {
    guard let duration = milliseconds(text) else {
      throw ProcessFailure(
        .usage,
        "--grace: “\(text.cut(toBytes: 40))” is not a duration (0, 90m, 12h, 30d, 2w)")
    }
    return duration
  }

  private static let units: [Character: Int64] = [
    "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000,
  ]

  /// Milliseconds of a duration such as `30d` or `0`. `nil` means that the text is no duration, or
  /// that the result exceeds 64 bits.
  static func milliseconds(_ text: String) -> Int64? {
    if text == "0" { return 0 }
    guard text.utf8.count <= 20, let last = text.last, let unit = units[last] else { return nil }
    let digits = text.dropLast()
    guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }),
      let count = Int64(digits)
    else { return nil }
    let (product, overflows) = count.multipliedReportingOverflow(by: unit)
    return overflows ? nil : product
  }

  /// A point in time for a table: `2027-01-31`, with the time of day unless it is midnight.
  static func text(_ milliseconds: Int64) -> String {
    let date = UTCDate(milliseconds: milliseconds)
    let text = "\(date)"
    return date.millisecondOfDay == 0
      ? text.split(separator: "T").first.map(String.init) ?? text : text
  }
}
