import ClusterModel
import ServiceKit

struct DispatcherConfiguration: ServiceConfiguration {
  static let service = ServiceName.dispatcher
  static let summary =
    "The dispatcher: runs plans. Gives their tasks to agents and streams the answer back."
  static let settings: [Setting] = [
    Setting(
      "dispatcher.max_plans", .integer(1...65_536), default: "1024",
      help: "Plans at once; each may hold a whole conversation. More are refused.")
  ]

  var maxPlans: Int

  init(_ values: inout SettingValues) {
    maxPlans = values.integer("dispatcher.max_plans")
  }
}
