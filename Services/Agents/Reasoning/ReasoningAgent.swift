import AgentKit

@main
enum ReasoningAgent: AgentRoom {
  static func main() async {
    await AgentProcess.run(ReasoningAgent.self)
  }
}
