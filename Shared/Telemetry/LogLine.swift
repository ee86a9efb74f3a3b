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
    let members = record.members.map { "\(JSONText.quoted($0.key)):\(JSONText.quoted($0.value))" }
    return "{" + members.joined(separator: ",") + "}\n"
  }

  private static func text(_ record: LogRecord) -> String {
    let time = Timestamp(unixMicroseconds: record.timeUnixMicroseconds).rfc3339
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
