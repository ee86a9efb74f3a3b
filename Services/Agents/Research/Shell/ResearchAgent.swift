import AgentKit

enum ResearchAgent: AgentRoom {}

/// The process of the research agent.
package enum ResearchAgentProcess {
  package static func main() async {
    await AgentProcess.run(ResearchAgent.self)
  }
}
