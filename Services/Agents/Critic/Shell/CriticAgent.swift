import AgentKit

enum CriticAgent: AgentRoom {}

/// The process of the critic agent.
package enum CriticAgentProcess {
  package static func main() async {
    await AgentProcess.run(CriticAgent.self)
  }
}
