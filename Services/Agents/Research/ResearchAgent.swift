import AgentKit

@main
enum ResearchAgent: AgentRoom {
  static func main() async {
    await AgentProcess.run(ResearchAgent.self)
  }
}
