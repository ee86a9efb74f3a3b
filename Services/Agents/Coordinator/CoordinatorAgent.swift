import AgentKit

@main
enum CoordinatorAgent: AgentRoom {
  static func main() async {
    await AgentProcess.run(CoordinatorAgent.self)
  }
}
