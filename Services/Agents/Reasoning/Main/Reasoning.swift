import AgentReasoning

@main
enum Reasoning {
  static func main() async {
    await ReasoningAgentProcess.main()
  }
}
