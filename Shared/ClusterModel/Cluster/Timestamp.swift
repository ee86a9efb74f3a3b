import Limits

/// A time in microseconds since 1970, UTC. Its text is that of RFC 3339.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
  /// At most `latest`.
  public let unixMicroseconds: UInt64

  /// The last microsecond of the year 9999. RFC 3339 has no later years.
  public static let latest: UInt64 = 253_402_300_799_999_999

  /// - Parameter unixMicroseconds: a time after `latest` counts as `latest`.
  public init(unixMicroseconds: UInt64) {
    self.unixMicroseconds = min(unixMicroseconds, Self.latest)
  }

  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    left.unixMicroseconds < right.unixMicroseconds
  }

  /// The time in UTC with microseconds, for example `2026-01-31T12:34:56.789012Z`.
  public var rfc3339: String {
    let seconds = unixMicroseconds / 1_000_000
    let (days, secondOfDay) = (seconds / 86_400, seconds % 86_400)
    // Computes the date from the days since 1970, for years from 1970 on (Howard Hinnant,
    // "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))T"
      + "\(Self.padded(secondOfDay / 3_600, 2)):\(Self.padded(secondOfDay / 60 % 60, 2)):"
      + "\(Self.padded(secondOfDay % 60, 2)).\(Self.padded(unixMicroseconds % 1_000_000, 6))Z"
  }

  public var description: String { rfc3339 }

  /// Reads a time with `Z` or an offset from UTC. Digits after the sixth of a fraction are ignored.
  ///
  /// - Returns: `nil` if the text is not a time of RFC 3339 in the years 1970 … 9999.
  public init?(rfc3339 text: String) {
    var reader = Reader(bytes: text.utf8[...])
    guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2),
      reader.skip("-"), let day = reader.number(2), reader.skip("T") || reader.skip("t"),
      let hour = reader.number(2), reader.skip(":"), let minute = reader.number(2),
      reader.skip(":"), let second = reader.number(2),
      let fraction = reader.fraction(), let offset = reader.offset(), reader.bytes.isEmpty,
      (1...12).contains(month), (1...Self.days(inMonth: month, of: year)).contains(day),
      // Unix time has no leap seconds. Second 60 is the first one of the next minute.
      hour < 24, minute < 60, second <= 60
    else { return nil }
    let secondOfDay = hour * 3_600 + minute * 60 + second
    let seconds = Self.days(toDay: day, of: month, in: year) * 86_400 + secondOfDay - offset
    guard seconds >= 0 else { return nil }
    let time = UInt64(seconds) * 1_000_000 + UInt64(fraction)
    guard time <= Self.latest else { return nil }
    self.init(unixMicroseconds: time)
  }

  private static func days(inMonth month: Int, of year: Int) -> Int {
    switch month {
    case 2:
      year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400)) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  /// Days from 1970 to a date. Negative before 1970.
  private static func days(toDay day: Int, of month: Int, in year: Int) -> Int {
    // Years begin in March, so that the leap day is the last day. A cycle of 400 years has 146,097
    // days.
    let monthFromMarch = month > 2 ? month - 3 : month + 9
    let marchYear = month > 2 ? year : year - 1
    let (era, yearOfEra) =
      marchYear >= 0 ? (marchYear / 400, marchYear % 400) : (-1, marchYear + 400)
    let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    return era * 146_097 + dayOfEra - 719_468
  }

  private static func padded(_ number: UInt64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }

  /// Reads parts of fixed width. No number has more than six digits, so none overflows.
  private struct Reader {
    var bytes: String.UTF8View.SubSequence

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
      guard let first = bytes.first, UInt32(first) == character.value else { return false }
      bytes = bytes.dropFirst()
      return true
    }

    mutating func nextDigit() -> Int? {
      guard let first = bytes.first, (0x30...0x39).contains(first) else { return nil }
      bytes = bytes.dropFirst()
      return Int(first) - 0x30
    }

    mutating func number(_ width: Int) -> Int? {
      var number = 0
      for _ in 0..<width {
        guard let digit = nextDigit() else { return nil }
        number = number * 10 + digit
      }
      return number
    }

    /// Microseconds of an optional fraction of a second.
    mutating func fraction() -> Int? {
      guard skip(".") else { return 0 }
      guard var microseconds = nextDigit() else { return nil }
      var width = 1
      while let digit = nextDigit() {
        if width < 6 { microseconds = microseconds * 10 + digit }
        width += 1
      }
      for _ in min(width, 6)..<6 { microseconds *= 10 }
      return microseconds
    }

    /// Seconds that local time is ahead of UTC.
    mutating func offset() -> Int? {
      if skip("Z") || skip("z") { return 0 }
      let isAhead = skip("+")
      guard isAhead || skip("-"), let hours = number(2), skip(":"), let minutes = number(2),
        hours < 24, minutes < 60
      else { return nil }
      let seconds = hours * 3_600 + minutes * 60
      return isAhead ? seconds : -seconds
    }
  }
}

extension Timestamp: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let time = Timestamp(rfc3339: try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a time has the form of RFC 3339")
    }
    self = time
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(rfc3339)
  }
}

/// The earliest time of a query's records: a duration before now, or a time.
public struct SinceArgument: Hashable, Sendable {
  public let time: Timestamp

  /// Describes the accepted texts, for the end of an error message.
  public static let forms =
    "a duration such as 90s, 15m, 1h or 2d, a time such as 2026-01-31T12:34:56Z, or a whole number "
    + "of microseconds since 1970, UTC"

  /// - Returns: `nil` if the text has none of `forms`. A duration that begins before 1970 counts
  ///   from 1970.
  public init?(_ text: String, now: Timestamp) {
    if let microseconds = UInt64(text), !text.hasPrefix("+") {
      time = Timestamp(unixMicroseconds: microseconds)
    } else if let time = Timestamp(rfc3339: text) {
      self.time = time
    } else {
      guard let unit = text.utf8.last, let count = UInt64(text.dropLast()),
        !text.hasPrefix("+"), let seconds = Self.seconds(ofUnit: unit)
      else { return nil }
      let age = count.multipliedCapped(by: seconds * 1_000_000)
      time = Timestamp(unixMicroseconds: now.unixMicroseconds - min(age, now.unixMicroseconds))
    }
  }

  private static func seconds(ofUnit unit: UInt8) -> UInt64? {
    switch Unicode.Scalar(unit) {
    case "s": 1
    case "m": 60
    case "h": 3_600
    case "d": 86_400
    default: nil
    }
  }
}
