import AgentCritic

@main
enum Critic {
  static func main() async {
    await CriticAgentProcess.main()
  }
}
