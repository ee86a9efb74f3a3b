import AgentKit

enum CoordinatorAgent: AgentRoom {}

/// The process of the coordinator agent.
package enum CoordinatorAgentProcess {
  package static func main() async {
    await AgentProcess.run(CoordinatorAgent.self)
  }
}
