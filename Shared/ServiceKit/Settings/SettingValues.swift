public import ClusterModel

/// The source of a value.
public enum SettingSource: Hashable, Sendable, CustomStringConvertible {
  case flag(String)
  case variable(String)
  case file(path: String, line: Int, key: String)
  case defaultValue
  /// No source set the value, and the setting has no default.
  case unset

  public var description: String {
    switch self {
    case .flag(let flag): flag
    case .variable(let variable): variable
    case .file(let path, let line, let key): "\(path):\(line): \(key)"
    case .defaultValue: "default"
    case .unset: "not set"
    }
  }
}

/// The values that a configuration is made from.
///
/// Reading never fails. Invalid values are already recorded as mistakes, which are reported
/// together, and the reader gets a harmless placeholder. Reading a key without a declared setting
/// is a bug in the service and stops it.
public struct SettingValues: Sendable {
  struct Resolved: Sendable {
    var setting: Setting
    /// The checked value. `nil` means that it is not set or invalid.
    var value: SettingValue?
    /// The value as written.
    var text: String?
    var source: SettingSource
    var isWrong = false
  }

  var resolved: [String: Resolved]
  /// Mistakes in the order in which they were found.
  var mistakes: [String] = []
  /// Warnings about values that are allowed but may be unwise.
  var warnings: [String] = []

  /// The text of a required setting. Empty if not set, which is a mistake.
  public mutating func text(_ key: String) -> String {
    guard case .text(let text) = needed(key) else { return "" }
    return text
  }

  public mutating func optionalText(_ key: String) -> String? {
    guard case .text(let text) = find(key).value else { return nil }
    return text
  }

  public mutating func integer(_ key: String) -> Int {
    guard case .integer(let number) = needed(key) else { return 0 }
    return number
  }

  public mutating func optionalInteger(_ key: String) -> Int? {
    guard case .integer(let number) = find(key).value else { return nil }
    return number
  }

  mutating func real(_ key: String) -> Double {
    guard case .real(let number) = needed(key) else { return 0 }
    return number
  }

  public mutating func optionalReal(_ key: String) -> Double? {
    guard case .real(let number) = find(key).value else { return nil }
    return number
  }

  public mutating func duration(_ key: String) -> Duration {
    guard case .duration(let duration) = needed(key) else { return .zero }
    return duration
  }

  public mutating func optionalDuration(_ key: String) -> Duration? {
    guard case .duration(let duration) = find(key).value else { return nil }
    return duration
  }

  public mutating func bytes(_ key: String) -> Int { integer(key) }

  /// `false` if not set.
  public mutating func toggle(_ key: String) -> Bool {
    guard case .toggle(let isOn) = find(key).value else { return false }
    return isOn
  }

  /// The chosen case. If the value is invalid, the first case.
  mutating func choice<T: RawRepresentable & CaseIterable>(
    _ key: String, as: T.Type
  ) -> T where T.RawValue == String {
    if case .text(let text) = needed(key) {
      if let value = T(rawValue: text) { return value }
      preconditionFailure("setting \(key) allows \(text), which \(T.self) does not have")
    }
    guard let first = T.allCases.first else { preconditionFailure("\(T.self) has no cases") }
    return first
  }

  public mutating func address(_ key: String) -> HostAndPort {
    guard case .address(let address) = needed(key) else { return HostAndPort(port: 0) }
    return address
  }

  mutating func optionalAddress(_ key: String) -> HostAndPort? {
    guard case .address(let address) = find(key).value else { return nil }
    return address
  }

  mutating func port(_ key: String) -> Int { integer(key) }

  /// The members of a list. Empty if the setting is not set.
  public mutating func list(_ key: String) -> [String] {
    guard case .list(let members) = find(key).value else { return [] }
    return members
  }

  public func source(of key: String) -> SettingSource { find(key).source }

  /// Records a mistake that only the service can detect, for example two contradictory settings.
  /// - Parameter why: continues a sentence that begins with the setting's name.
  public mutating func reject(_ key: String, _ why: String) {
    let entry = find(key)
    // Avoid follow-up mistakes, because the value is already reported as wrong.
    guard !entry.isWrong else { return }
    switch entry.source {
    case .defaultValue, .unset:
      mistakes.append("\(entry.setting.names): \(why)")
    case .flag, .variable, .file:
      mistakes.append("\(entry.source): \(why)")
    }
  }

  /// Records a warning about a value that is allowed but may be unwise.
  /// - Parameter why: continues a sentence that begins with the setting's name.
  mutating func warn(_ key: String, _ why: String) {
    let entry = find(key)
    switch entry.source {
    case .defaultValue, .unset: warnings.append("\(entry.setting.flag): \(why)")
    case .flag, .variable, .file: warnings.append("\(entry.source): \(why)")
    }
  }

  private mutating func needed(_ key: String) -> SettingValue? {
    let entry = find(key)
    if entry.value == nil, !entry.isWrong {
      resolved[key]?.isWrong = true
      mistakes.append("\(entry.setting.names): is needed and was not set")
    }
    return entry.value
  }

  private func find(_ key: String) -> Resolved {
    guard let entry = resolved[key] else {
      preconditionFailure("no setting is called \(key)")
    }
    return entry
  }
}

extension Setting {
  /// Flag, variable and key of the setting, for messages.
  var names: String { "\(flag), \(variable) or \(key) in the file" }
}

/// The part of the configuration that belongs to one service.
public protocol ServiceConfiguration: Sendable {
  static var service: ServiceName { get }
  /// One sentence for the top of `--help`.
  static var summary: String { get }
  static var settings: [Setting] { get }
  /// Makes the configuration. It records mistakes with `values.reject` and never throws, so that
  /// all mistakes are reported together.
  init(_ values: inout SettingValues)
  /// Maximum concurrent requests from other services, if the service refuses more with its own
  /// error. The bus then admits slightly more. `nil` means the bus's usual limit.
  var requestsAtOnce: Int? { get }
}

extension ServiceConfiguration {
  public var requestsAtOnce: Int? { nil }
}
