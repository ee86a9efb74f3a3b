import AgentKit

@main
enum CodeAgent: AgentRoom {
  static func main() async {
    await AgentProcess.run(CodeAgent.self)
  }
}
