import ClusterModel
import HostModel
import ServiceKit

struct DispatcherConfiguration: ServiceConfiguration {
  static let service = ServiceName.dispatcher
  static let summary =
    "The dispatcher: runs plans. Gives their tasks to agents and streams the answer back."
  static let settings = own + InferenceConfiguration.settings

  private static let own: [Setting] = [
    Setting(.dispatcherPlans),
    Setting(.dispatcherTasks),
  ]

  var maxPlans: Int
  /// Highest number of plans that an admin can allow. The shell enforces the limit in force, which
  /// may rise at run time.
  var requestsAtOnce: Int? { RuntimeSetting.dispatcherPlans.maximum }
  var maxTasks: Int
  /// Requirements on the hosts that get tasks.
  var rules: EligibilityRules

  init(_ values: inout SettingValues) {
    maxPlans = values.integer(.dispatcherPlans)
    maxTasks = values.integer(.dispatcherTasks)
    rules = InferenceConfiguration(&values).rules
  }
}
