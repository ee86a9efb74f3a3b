import AgentResearch

@main
enum Research {
  static func main() async {
    await ResearchAgentProcess.main()
  }
}
