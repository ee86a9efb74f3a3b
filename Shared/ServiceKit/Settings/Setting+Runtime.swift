public import ClusterModel

extension Setting {
  /// The configuration of a setting that admins can also change at run time.
  ///
  /// - Parameter group: heading in `--help`. `nil` means the service's own settings.
  public init(_ setting: RuntimeSetting, group: String? = nil) {
    let kind: Kind =
      switch setting.range {
      case .integer(let range): .integer(range)
      case .choice(let choices): .choice(choices)
      case .name: .text
      }
    self.init(
      setting.id, kind, default: "\(setting.standard)", help: setting.help, group: group)
  }
}

extension SettingValues {
  public mutating func integer(_ setting: RuntimeSetting) -> Int { integer(setting.id) }

  /// The value of a setting that is a name.
  public mutating func name(_ setting: RuntimeSetting) -> String {
    let name = text(setting.id)
    if !setting.allows(.choice(name)) { reject(setting.id, "must be \(setting.range)") }
    return name
  }

  public mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ setting: RuntimeSetting, as type: Choice.Type = Choice.self
  ) -> Choice where Choice.RawValue == String { choice(setting.id, as: type) }
}
