public import ClusterModel
import Text

/// A change of one setting, from the arguments of `tutti settings`.
public struct SettingChange: Hashable, Sendable {
  let setting: RuntimeSetting
  /// The new value. `nil` means that the present value is removed.
  let value: RuntimeValue?

  /// - Parameter text: the new value. `nil` means that the present value is removed.
  /// - Throws: a sentence that names the mistake.
  public init(name: String, text: String?) throws(ProcessFailure) {
    guard let setting = RuntimeSetting(rawValue: name) else {
      let known = RuntimeSetting.allCases.map(\.id)
      let near = NearNames.near(name, among: known).first
      throw ProcessFailure(
        .usage,
        "\(name): no setting that can change at run time has this name; "
          + (near.map { "did you mean \($0)?" } ?? "`tutti settings list` shows all"))
    }
    self.setting = setting
    guard let text else {
      value = nil
      return
    }
    guard let value = setting.value(text) else {
      throw ProcessFailure(.usage, "\(name): \"\(text)\" is not \(setting.range)")
    }
    self.value = value
  }

  /// The body of the request.
  public var body: [UInt8] {
    let value: JSON =
      switch value {
      case .integer(let number): .integer(number)
      case .choice(let choice): .string(choice)
      case nil: .null
      }
    return JSON.object([(setting.id, value)]).encoded
  }
}
