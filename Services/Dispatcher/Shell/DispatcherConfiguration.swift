import ClusterModel
import HostModel
import ServiceKit

struct DispatcherConfiguration: ServiceConfiguration {
  static let service = ServiceName.dispatcher
  static let summary =
    "The dispatcher: runs plans. Gives their tasks to agents and streams the answer back."
  static let settings = own + InferenceConfiguration.settings

  private static let own: [Setting] = [
    Setting(
      "dispatcher.max_plans", .integer(1...65_536), default: "4096",
      help: "Maximum plans at once; each may hold a whole conversation. More are refused."),
    Setting(
      "dispatcher.max_tasks", .integer(1...4_096), default: "64",
      help: "Maximum tasks per agent at once; further tasks wait, and clients take turns. "
        + "Must not exceed the agents' own agents.max_tasks: agents refuse more."),
  ]

  var maxPlans: Int
  var requestsAtOnce: Int? { maxPlans }
  var maxTasks: Int
  /// Requirements on the hosts that get tasks.
  var rules: EligibilityRules

  init(_ values: inout SettingValues) {
    maxPlans = values.integer("dispatcher.max_plans")
    maxTasks = values.integer("dispatcher.max_tasks")
    rules = InferenceConfiguration(&values).rules
  }
}
