public import ClusterModel

/// The complete configuration of a service, resolved from its sources.
public struct ServiceSettings<C: ServiceConfiguration>: Sendable {
  let request: SettingsTable.Request
  let table: SettingsTable
  let values: SettingValues
  let common: CommonConfiguration
  public let own: C
  let warnings: [String]
  /// All mistakes found. If there are any, `common` and `own` must not be used.
  public let mistakes: [String]

  public init(
    arguments: [String], environment: [String: String], hostName: String,
    readFile: @escaping (String) throws(ProcessFailure) -> String
  ) {
    table = SettingsTable(
      C.settings + CommonConfiguration.settings(for: C.service, environment: environment),
      sections: CommonConfiguration.sections)
    let resolution = table.resolve(
      arguments: arguments, environment: environment, readFile: readFile)
    request = resolution.request
    var values = resolution.values
    common = CommonConfiguration(&values, service: C.service, hostName: hostName)
    own = C(&values)
    self.values = values
    mistakes = values.mistakes
    warnings = resolution.warnings + values.warnings
  }
}
