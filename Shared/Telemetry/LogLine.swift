import ClusterModel

/// Output format of log lines.
public enum LogFormat: Sendable {
  /// One JSON object per line.
  case json
  /// For a person at a terminal.
  case text
}

/// Renders log records as text, one line each. No message or value can end the line early or move a
/// terminal's cursor.
enum LogLine {
  static func render(_ record: LogRecord, as format: LogFormat) -> String {
    switch format {
    case .json: json(record)
    case .text: text(record)
    }
  }

  private static func json(_ record: LogRecord) -> String {
    var line = "{\"time\":\"\(timestamp(record.timeUnixMicroseconds))\""
    line +=
      ",\"level\":\(JSONText.quoted(record.level)),\"service\":\(JSONText.quoted(record.service))"
    line += ",\"message\":\(JSONText.quoted(record.message))"
    if let trace = record.trace { line += ",\"\(LogKey.trace)\":\"\(trace)\"" }
    var seen: Set<String> = ["time", "level", "service", "message", LogKey.trace]
    for attribute in record.attributes {
      // Keys must be unique, because readers of JSON disagree about which of two equal keys counts.
      let key = seen.contains(attribute.key) ? "_" + attribute.key : attribute.key
      guard seen.insert(key).inserted else { continue }
      line += ",\(JSONText.quoted(key)):\(JSONText.quoted(attribute.value))"
    }
    return line + "}\n"
  }

  private static func text(_ record: LogRecord) -> String {
    let time = timestamp(record.timeUnixMicroseconds)
    // A person at a terminal needs only the time of day, without the date.
    let clock = time[time.index(time.startIndex, offsetBy: 11)...].prefix(12)
    let level = record.level.uppercased()
    var line =
      "\(clock) \(level)\(level.count < 7 ? String(repeating: " ", count: 7 - level.count) : "")"
    line += " \(record.service): \(plain(record.message))"
    for attribute in record.attributes {
      line += " \(plain(attribute.key))=\(plain(attribute.value))"
    }
    if let trace = record.trace { line += " \(LogKey.trace)=\(trace)" }
    return line + "\n"
  }

  /// The time in the form of RFC 3339, in UTC, with microseconds.
  static func timestamp(_ unixMicroseconds: UInt64) -> String {
    let seconds = unixMicroseconds / 1_000_000
    let (days, secondOfDay) = (Int(seconds / 86_400), Int(seconds % 86_400))
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
    return "\(year)-\(padded(month, 2))-\(padded(day, 2))T"
      + "\(padded(secondOfDay / 3_600, 2)):\(padded(secondOfDay / 60 % 60, 2)):"
      + "\(padded(secondOfDay % 60, 2)).\(padded(Int(unixMicroseconds % 1_000_000), 6))Z"
  }

  private static func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }

  private static func plain(_ text: String) -> String {
    let needsQuotes = text.unicodeScalars.contains {
      $0.value < 0x20 || (0x7F...0x9F).contains($0.value) || $0 == "\u{2028}" || $0 == "\u{2029}"
    }
    return needsQuotes ? JSONText.quoted(text) : text
  }
}

/// Writes JSON without `Codable`, for uses in which `Codable` would take more code.
public enum JSONText {
  /// A JSON string with its quotes. Control characters, even those above ASCII, and the two line
  /// separators of Unicode are escaped, so the result is always one line.
  public static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
        let hex = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
