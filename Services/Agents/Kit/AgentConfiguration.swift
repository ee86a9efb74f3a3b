import AgentCore
import ClusterModel
import ServiceKit

/// The settings that only agents have.
enum AgentSettings {
  static let own = [
    Setting(.agentTasks),
    Setting(
      "agents.models", .list(of: .text, atMost: 16),
      help: "Parts of model names, best first, that this agent should prefer. Replaces the "
        + "role's own preference."),
  ]
}

/// The settings of every agent. All agents share the section `agents` of the file.
struct AgentConfiguration<Room: AgentRoom>: ServiceConfiguration {
  static var service: ServiceName { .agent(Room.role.name) }
  static var summary: String {
    "The \(Room.role.name.rawValue) agent: does the tasks of its role, one prompt each, on any host."
  }

  static var settings: [Setting] { AgentSettings.own + InferenceConfiguration.settings }

  var role: Role
  var maxTasks: Int
  /// Highest number of tasks that an admin can allow. The shell enforces the limit in force, which
  /// may rise at run time.
  var requestsAtOnce: Int? { RuntimeSetting.agentTasks.maximum }
  var inference: InferenceConfiguration

  init(_ values: inout SettingValues) {
    role = Room.role
    maxTasks = values.integer(.agentTasks)
    let models = values.list("agents.models")
    if !models.isEmpty { role.preferredModels = models }
    inference = InferenceConfiguration(&values)
  }
}
