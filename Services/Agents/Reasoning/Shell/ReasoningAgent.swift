import AgentKit

enum ReasoningAgent: AgentRoom {}

/// The process of the reasoning agent.
package enum ReasoningAgentProcess {
  package static func main() async {
    await AgentProcess.run(ReasoningAgent.self)
  }
}
