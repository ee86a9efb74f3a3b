import Limits
import Text

/// A value that passed its setting's check.
enum SettingValue: Hashable, Sendable {
  case text(String)
  case integer(Int)
  case real(Double)
  case duration(Duration)
  case toggle(Bool)
  case address(HostAndPort)
  case list([String])
}

/// Why a text is not a valid value. The message follows the text: `"80a" ` + `is not a port`.
struct Unfit: Error, Hashable {
  var why: String
  init(_ why: String) { self.why = why }
}

extension Setting.Kind {
  /// Maximum length of a text value; longer text is rejected, because no setting needs it.
  static let maxTextBytes = 4_096

  func parse(_ text: String) throws(Unfit) -> SettingValue {
    switch self {
    case .text, .path:
      try Self.checkText(text)
      return .text(text)
    case .name:
      let allowed = text.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
          || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D
      }
      guard allowed, (1...64).contains(text.utf8.count) else { throw unfit }
      return .text(text)
    case .integer(let range):
      guard let number = Int(text), range.contains(number) else { throw unfit }
      return .integer(number)
    case .real(let range):
      guard let number = Double(text), number.isFinite, range.contains(number) else { throw unfit }
      return .real(number)
    case .duration(let unit, let range):
      guard let duration = Self.duration(text, unit), range.contains(duration) else { throw unfit }
      return .duration(duration)
    case .bytes(let range):
      guard let count = Self.bytes(text), range.contains(count) else { throw unfit }
      return .integer(count)
    case .choice(let choices):
      guard choices.contains(text) else {
        throw Unfit(
          unfit.why
            + NearNames.near(text, among: choices).first.map { "; did you mean \($0)?" }.orEmpty)
      }
      return .text(text)
    case .toggle:
      switch text.lowercased() {
      case "true", "yes", "on", "1": return .toggle(true)
      case "false", "no", "off", "0": return .toggle(false)
      default: throw unfit
      }
    case .address:
      guard let address = HostAndPort(text) else { throw unfit }
      return .address(address)
    case .port:
      guard let port = Int(text), (0...65_535).contains(port) else { throw unfit }
      return .integer(port)
    case .url:
      try Self.checkText(text)
      guard Self.isURL(text) else { throw unfit }
      return .text(text)
    case .list:
      return try parse(list: text.split(separator: ",").map { $0.trimmingSpaces() })
    }
  }

  /// Parses the members of a list, or the only value of another kind.
  func parse(list members: [String]) throws(Unfit) -> SettingValue {
    guard case .list(let kind, let atMost) = self else {
      guard members.count == 1 else { throw Unfit("is a list; one value is wanted") }
      return try parse(members[0])
    }
    guard members.count <= atMost else {
      throw Unfit("has \(members.count) members; at most \(atMost) are allowed")
    }
    for member in members {
      do { _ = try kind.parse(member) } catch {
        throw Unfit("has a member \"\(member)\" that \(error.why)")
      }
    }
    return .list(members)
  }

  private var unfit: Unfit { Unfit("is not \(description)") }

  /// The expected value in words, used after "is not" and in `--help`.
  var description: String {
    switch self {
    case .text: "a text"
    case .path: "a path"
    case .name: "a name (1–64 of a–z A–Z 0–9 . _ -)"
    case .integer(let range): "a whole number (\(Self.range(range)))"
    case .real(let range): "a number (\(range.lowerBound)–\(range.upperBound))"
    case .duration(let unit, let range):
      "a duration (\(Self.text(range.lowerBound))–\(Self.text(range.upperBound)); such as 250ms, "
        + "10s, 5m, 1h; a bare number counts \(unit.rawValue))"
    case .bytes(let range):
      "a size (\(Self.range(range)) bytes; such as 65536, 64KiB, 10MB)"
    case .choice(let choices): "one of " + choices.joined(separator: ", ")
    case .toggle: "true or false"
    case .address: "an address (HOST:PORT, port 0–65535)"
    case .port: "a port (0–65535)"
    case .url: "a URL (http://… or https://…)"
    case .list(let kind, let atMost):
      "a list of at most \(atMost), separated by commas or given by repeating the flag, each "
        + kind.description
    }
  }

  /// The placeholder for the value in `--help`.
  var placeholder: String {
    switch self {
    case .text: "TEXT"
    case .path: "PATH"
    case .name: "NAME"
    case .integer, .real: "NUMBER"
    case .duration: "DURATION"
    case .bytes: "SIZE"
    case .choice(let choices): choices.joined(separator: "|")
    case .toggle: ""
    case .address: "HOST:PORT"
    case .port: "PORT"
    case .url: "URL"
    case .list(let kind, _): kind.placeholder
    }
  }

  private static func checkText(_ text: String) throws(Unfit) {
    guard text.utf8.count <= maxTextBytes else {
      throw Unfit("is longer than \(maxTextBytes) bytes")
    }
    guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F }) else {
      throw Unfit("has a control character in it")
    }
  }

  private static func isURL(_ text: String) -> Bool {
    for scheme in ["http://", "https://"] where text.lowercased().hasPrefix(scheme) {
      let rest = text.dropFirst(scheme.count)
      let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
      guard !authority.isEmpty, !text.contains(" ") else { return false }
      // The text after the last colon outside brackets is a port.
      let afterBracket = authority.lastIndex(of: "]").map {
        authority[authority.index(after: $0)...]
      }
      let tail = afterBracket ?? authority
      if let colon = tail.lastIndex(of: ":") {
        guard let port = Int(tail[tail.index(after: colon)...]), (1...65_535).contains(port)
        else { return false }
        return colon != authority.startIndex
      }
      return true
    }
    return false
  }

  private static func duration(_ text: String, _ unit: Setting.TimeUnit) -> Duration? {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let number = Double(digits), number.isFinite, number < 1e9 else { return nil }
    let suffix = text[digits.endIndex...].drop { $0 == " " }
    let milliseconds: Double
    switch suffix.isEmpty ? Substring(unit.rawValue) : suffix {
    case "ms": milliseconds = number
    case "s": milliseconds = number * 1_000
    case "m", "min": milliseconds = number * 60_000
    case "h": milliseconds = number * 3_600_000
    default: return nil
    }
    return .microseconds(Int64(clamping: (milliseconds * 1_000).rounded()))
  }

  private static func bytes(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int(digits) else { return nil }
    let factor: Int
    switch text[digits.endIndex...].drop(while: { $0 == " " }) {
    case "", "B": factor = 1
    case "KiB": factor = 1 << 10
    case "MiB": factor = 1 << 20
    case "GiB": factor = 1 << 30
    case "kB", "KB": factor = 1_000
    case "MB": factor = 1_000_000
    case "GB": factor = 1_000_000_000
    default: return nil
    }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    return overflow ? nil : product
  }

  private static func range(_ range: ClosedRange<Int>) -> String {
    range.upperBound == .max
      ? "\(range.lowerBound) or more" : "\(range.lowerBound)–\(range.upperBound)"
  }

  /// The shortest exact text of a duration.
  static func text(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    guard attoseconds == 0 else { return "\(duration.wholeMillisecondsText)ms" }
    if seconds > 0, seconds % 3_600 == 0 { return "\(seconds / 3_600)h" }
    if seconds > 0, seconds % 60 == 0 { return "\(seconds / 60)m" }
    return "\(seconds)s"
  }
}

extension Duration {
  fileprivate var wholeMillisecondsText: String {
    let microseconds = components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    return microseconds % 1_000 == 0
      ? "\(microseconds / 1_000)" : "\(Double(microseconds) / 1_000)"
  }
}

extension Optional<String> {
  fileprivate var orEmpty: String { self ?? "" }
}

extension Substring {
  func trimmingSpaces() -> String {
    var text = drop { $0.isWhitespace }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}

/// A host and a port to listen on or to connect to.
public struct HostAndPort: Hashable, Sendable, CustomStringConvertible {
  var host: String
  var port: Int

  init(host: String = "127.0.0.1", port: Int) {
    self.host = host
    self.port = port
  }

  /// - Parameter text: `HOST:PORT`, `[IPv6]:PORT`, `:PORT` or `PORT`; otherwise the result is
  ///   `nil`.
  init?(_ text: String) {
    var host: Substring = "127.0.0.1"
    var portText = text[...]
    if let colon = text.lastIndex(of: ":") {
      portText = text[text.index(after: colon)...]
      if colon != text.startIndex { host = text[..<colon] }
    }
    if host.first == "[" {
      guard host.last == "]", host.count > 2 else { return nil }
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    let hostIsFit = host.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != 0x2F }
    guard hostIsFit, host.utf8.count <= 253, (1...5).contains(portText.count),
      portText.allSatisfy({ $0.isASCII && $0.isNumber }),
      let port = Int(portText), port <= 65_535
    else { return nil }
    self.init(host: String(host), port: port)
  }

  public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
