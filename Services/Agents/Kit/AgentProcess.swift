public import AgentCore
import ClusterModel
import ServiceKit
import ServiceLifecycle

/// Defines one agent's executable by its role.
public protocol AgentRoom: Sendable {
  static var role: Role { get }
}

/// Runs the process of a role.
public enum AgentProcess {
  public static func run<Room: AgentRoom>(_: Room.Type) async -> Never {
    await ServiceMain.run(AgentConfiguration<Room>.self, build: buildAgent)
  }
}
