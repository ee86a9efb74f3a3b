import AgentKit

@main
enum CriticAgent: AgentRoom {
  static func main() async {
    await AgentProcess.run(CriticAgent.self)
  }
}
