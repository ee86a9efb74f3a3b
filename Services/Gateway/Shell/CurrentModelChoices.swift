import ClusterModel
import GatewayCore
import ServiceKit
import Synchronization

/// The operator's choice of models, with the values that admins set at run time.
final class CurrentModelChoices: Sendable {
  private let choices: Mutex<ModelChoices>

  var value: ModelChoices { choices.withLock(\.self) }

  init(_ settings: SettingsDirectory, configured: ModelChoices) {
    choices = Mutex(configured)
    settings.onChange { [weak self] overrides in
      self?.choices.withLock { $0 = configured.overridden(by: overrides) }
    }
  }
}
