import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  func settingsTable(
    _ table: RuntimeSettingsTable
  ) -> UnsafeMutablePointer<Tutti__V1__SettingsTable> {
    let message = unsafe make(tutti__v1__settings_table__init)
    let texts = table.overrides.texts
    unsafe message.pointee.epoch = table.epoch
    unsafe message.pointee.revision = table.revision
    unsafe message.pointee.n_overrides = texts.count
    unsafe message.pointee.overrides = array(texts) { unsafe settingOverride($0.id, $0.value) }
    return unsafe message
  }

  private func settingOverride(
    _ id: String, _ value: String
  ) -> UnsafeMutablePointer<Tutti__V1__SettingOverride>? {
    let message = unsafe make(tutti__v1__setting_override__init)
    unsafe message.pointee.id = text(id)
    unsafe message.pointee.value = text(value)
    return unsafe message
  }
}

extension RuntimeSettingsTable {
  init(wire message: Tutti__V1__SettingsTable) throws(WireError) {
    let texts = try unsafe elements(message.n_overrides, message.overrides) {
      entry throws(WireError) in
      (
        id: try unsafe String(wire: entry.id, "SettingOverride.id"),
        value: try unsafe String(wire: entry.value, "SettingOverride.value")
      )
    }
    self.init(
      epoch: unsafe message.epoch, revision: unsafe message.revision,
      overrides: RuntimeOverrides(texts: texts))
  }
}
