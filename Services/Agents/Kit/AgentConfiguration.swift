import AgentCore
import ClusterModel
import ServiceKit

/// The settings of every agent, shared in one section `agents` of the file.
struct AgentConfiguration<Room: AgentRoom>: ServiceConfiguration {
  static var service: ServiceName { .agent(Room.role.name) }
  static var summary: String {
    "The \(Room.role.name.rawValue) agent: does the tasks of its role, one prompt each, on any host."
  }

  static var settings: [Setting] {
    [
      Setting(
        "agents.max_tasks", .integer(1...4_096), default: "64",
        help: "Maximum tasks at once; more are refused and go to another agent of the role."),
      Setting(
        "agents.models", .list(of: .text, atMost: 16),
        help: "Parts of model names, best first, that this agent should prefer. Replaces the "
          + "role's own preference."),
    ] + InferenceConfiguration.settings
  }

  var role: Role
  var maxTasks: Int
  var requestsAtOnce: Int? { maxTasks }
  var inference: InferenceConfiguration

  init(_ values: inout SettingValues) {
    role = Room.role
    maxTasks = values.integer("agents.max_tasks")
    let models = values.list("agents.models")
    if !models.isEmpty { role.preferredModels = models }
    inference = InferenceConfiguration(&values)
  }
}
