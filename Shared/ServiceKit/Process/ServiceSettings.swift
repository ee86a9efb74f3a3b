/// A service's whole configuration, as resolved from its sources.
public struct ServiceSettings<C: ServiceConfiguration>: Sendable {
  public let request: SettingsTable.Request
  public let table: SettingsTable
  public let values: SettingValues
  public let common: CommonConfiguration
  public let own: C
  public let warnings: [String]
  /// All of them; the rest may be used only if there are none.
  public let mistakes: [String]

  public init(
    arguments: [String], environment: [String: String], hostName: String,
    readFile: @escaping (String) throws(ServiceFailure) -> String
  ) {
    table = SettingsTable(
      C.settings
        + CommonConfiguration.settings(
          for: C.service, environment: environment, hostName: hostName),
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
