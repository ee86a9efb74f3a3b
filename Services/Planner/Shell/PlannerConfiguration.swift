import ClusterModel
import ServiceKit

/// Configuration of the planner. It has no settings, because plans depend on the request alone.
struct PlannerConfiguration: ServiceConfiguration {
  static let service = ServiceName.planner
  static let summary = "The planner: turns a request for a pattern into a plan of tasks."
  static let settings: [Setting] = []

  init(_ values: inout SettingValues) {}
}
