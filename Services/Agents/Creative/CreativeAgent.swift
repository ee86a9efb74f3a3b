import AgentKit

@main
enum CreativeAgent: AgentRoom {
  static func main() async {
    await AgentProcess.run(CreativeAgent.self)
  }
}
