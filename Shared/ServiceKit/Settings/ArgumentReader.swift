import Text

/// Splits a command line into settings and requests. It knows the valid flags and which of them
/// take a value, but does not interpret values.
struct ArgumentReader {
  struct Given: Hashable {
    var setting: Setting
    /// The flag as written, for messages.
    var flag: String
    var value: String
    /// Whether the value is the path of a file that holds the secret.
    var isFile: Bool
  }

  private(set) var given: [Given] = []
  private(set) var mistakes: [String] = []
  private(set) var configPath: String?
  private(set) var wantsHelp = false
  private(set) var wantsVersion = false
  private(set) var wantsCheck = false

  /// Flags that every command has in addition to its settings.
  static let requests = ["--help", "-h", "--version", "--check-config", "--config"]

  private let byFlag: [String: Setting]
  private let secretFileFlags: [String: Setting]
  private let negated: [String: Setting]

  private let suggested: [String]

  /// - Parameter suggesting: flags to suggest in the message for an unknown flag.
  init(_ arguments: [String], settings: [Setting], suggesting: [String]) {
    suggested = Self.requests + suggesting
    byFlag = Dictionary(settings.map { ($0.flag, $0) }) { first, _ in first }
    secretFileFlags = Dictionary(
      settings.filter(\.secret).map { ($0.flag + "-file", $0) }
    ) { first, _ in first }
    negated = Dictionary(
      settings.filter { $0.kind == .toggle }.map { ("--no-" + $0.flag.dropFirst(2), $0) }
    ) { first, _ in first }
    read(arguments)
  }

  static func flags(of settings: [Setting]) -> [String] {
    settings.map(\.flag).sorted() + settings.filter(\.secret).map { $0.flag + "-file" }.sorted()
  }

  private mutating func read(_ arguments: [String]) {
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("-"), argument != "-" else {
        mistakes.append("\"\(argument)\" is not expected: values follow their flag")
        continue
      }
      let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let flag = String(parts[0])
      let attached = parts.count == 2 ? String(parts[1]) : nil
      switch flag {
      case "--help", "-h": wantsHelp = true
      case "--version": wantsVersion = true
      case "--check-config": wantsCheck = true
      case "--config":
        if let path = value(of: flag, attached, &rest) { configPath = path }
      default: read(flag, attached, &rest)
      }
    }
  }

  private mutating func read(
    _ flag: String, _ attached: String?, _ rest: inout ArraySlice<String>
  ) {
    if let setting = byFlag[flag] {
      if setting.kind == .toggle {
        add(Given(setting: setting, flag: flag, value: attached ?? "true", isFile: false))
      } else if let value = value(of: flag, attached, &rest) {
        add(Given(setting: setting, flag: flag, value: value, isFile: false))
      }
    } else if let setting = secretFileFlags[flag] {
      if let value = value(of: flag, attached, &rest) {
        add(Given(setting: setting, flag: flag, value: value, isFile: true))
      }
    } else if let setting = negated[flag], attached == nil {
      add(Given(setting: setting, flag: flag, value: "false", isFile: false))
    } else {
      let near = NearNames.near(flag, among: suggested).first.map { "; did you mean \($0)?" } ?? ""
      mistakes.append("\(flag): there is no such flag\(near)")
      // The next argument is probably the unknown flag's value and not a separate mistake.
      if attached == nil, let next = rest.first, !next.hasPrefix("-") { rest.removeFirst() }
    }
  }

  private mutating func value(
    of flag: String, _ attached: String?, _ rest: inout ArraySlice<String>
  ) -> String? {
    if let attached { return attached }
    // A value may begin with one dash (a negative number), but not with two.
    if let next = rest.first, !next.hasPrefix("--") { return rest.removeFirst() }
    mistakes.append("\(flag): a value must follow")
    return nil
  }

  private mutating func add(_ new: Given) {
    if case .list = new.setting.kind {
      given.append(new)
    } else if let earlier = given.first(where: { $0.setting == new.setting }) {
      mistakes.append(
        earlier.flag == new.flag
          ? "\(new.flag): is given twice" : "\(new.flag): contradicts \(earlier.flag)")
    } else {
      given.append(new)
    }
  }
}
