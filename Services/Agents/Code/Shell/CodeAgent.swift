import AgentKit

enum CodeAgent: AgentRoom {}

/// The process of the code agent.
package enum CodeAgentProcess {
  package static func main() async {
    await AgentProcess.run(CodeAgent.self)
  }
}
