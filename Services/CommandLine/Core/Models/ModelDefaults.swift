public import ClusterModel
import Text

/// Options of `tutti models default`, unchecked. An option that is `nil` changes nothing.
public struct ModelDefaults: Sendable {
  public var fast: String?
  public var plans: String?
  public var requests: String?

  public init() {}

  /// The settings that name models.
  public static let settings: [RuntimeSetting] = [
    .gatewayDefaultModel, .gatewayFastModel, .gatewayPlanModels,
  ]

  /// The body of a request that changes the settings. `nil` means that no option is given.
  ///
  /// - Throws: all mistakes, one per line.
  public func body() throws(ProcessFailure) -> [UInt8]? {
    let options: [(option: String, setting: RuntimeSetting, name: String?)] = [
      ("requests", .gatewayDefaultModel, requests), ("fast", .gatewayFastModel, fast),
      ("plans", .gatewayPlanModels, plans),
    ]
    var members: [(String, JSON)] = []
    var mistakes: [String] = []
    for (option, setting, name) in options {
      guard let name else { continue }
      members.append((setting.id, .string(name)))
      if setting.value(name) == nil { mistakes.append("--\(option): is not \(setting.range)") }
    }
    guard mistakes.isEmpty else {
      throw ProcessFailure(.usage, mistakes.joined(separator: "\n"))
    }
    return members.isEmpty ? nil : JSON.object(members).encoded
  }

  /// The rows of the settings that name models.
  public static func table(_ rows: [SettingRow]) -> TextTable {
    SettingRow.table(rows.filter { row in settings.contains { $0.id == row.id } })
  }
}
