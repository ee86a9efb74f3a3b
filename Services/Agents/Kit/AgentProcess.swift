public import AgentCore
import ClusterModel
import ServiceKit
import ServiceLifecycle

/// What one agent's executable supplies: its role.
public protocol AgentRoom: Sendable {
  static var role: Role { get }
}

/// The process around a role.
public enum AgentProcess {
  public static func run<Room: AgentRoom>(_: Room.Type) async -> Never {
    await ServiceMain.run(AgentConfiguration<Room>.self, build: buildAgent)
  }
}
