import ClusterModel
import ServiceKit

/// The planner has no settings of its own: what it decides follows from the request.
struct PlannerConfiguration: ServiceConfiguration {
  static let service = ServiceName.planner
  static let summary = "The planner: turns a request for a pattern into a plan of tasks."
  static let settings: [Setting] = []

  init(_ values: inout SettingValues) {}
}
