import AgentKit

enum CreativeAgent: AgentRoom {}

/// The process of the creative agent.
package enum CreativeAgentProcess {
  package static func main() async {
    await AgentProcess.run(CreativeAgent.self)
  }
}
